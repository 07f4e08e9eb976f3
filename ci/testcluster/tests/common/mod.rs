//! What the tests look at: the processes, mounts and files of the machine.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::thread;
use std::time::{Duration, Instant};

/// An environment variable that processes inherit, to know them by.
pub const MARK: &str = "TESTCLUSTER_MARK";

/// A value for [`MARK`] that no other test has.
pub fn mark(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

/// As system calls have it.
pub fn pid(pid: u32) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(pid.try_into().unwrap())
}

/// Waits until it is so, and fails when it does not become so.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    eventually_none(what, || if so() { vec![] } else { vec!["not so"] });
}

/// Waits until nothing is found, and fails with what is when something stays.
pub fn eventually_none<T: std::fmt::Debug>(what: &str, mut find: impl FnMut() -> Vec<T>) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = find();
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "in vain: {what}: {found:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until no process has the mark.
pub fn none_stays(mark: &str) {
    eventually_none("no process stays behind", || marked(mark));
}

/// The processes that have the mark, with their command lines.
pub fn marked(mark: &str) -> Vec<(u32, String)> {
    let wanted = format!("{MARK}={mark}");
    processes()
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|text| text.split(|&byte| byte == 0).any(|part| part == wanted.as_bytes()))
        })
        .map(|pid| (pid, command_line(pid)))
        .collect()
}

/// A namespace, kept: a new one would else get its number as soon as it is gone.
pub struct Namespace {
    kind: &'static str,
    file: File,
}

impl Namespace {
    pub fn of(pid: u32, kind: &'static str) -> Self {
        Self { kind, file: File::open(format!("/proc/{pid}/ns/{kind}")).unwrap() }
    }

    /// Those that are in it.
    pub fn processes(&self) -> Vec<u32> {
        let own = self.file.metadata().unwrap();
        let same = |other: fs::Metadata| (other.dev(), other.ino()) == (own.dev(), own.ino());
        processes()
            .filter(|pid| fs::metadata(format!("/proc/{pid}/ns/{}", self.kind)).is_ok_and(same))
            .collect()
    }
}

/// What a cluster could have left where everybody sees it.
pub fn traces() -> Vec<String> {
    let of_cluster = |name: &str| ["testcluster", "qb-", "corosync"].iter().any(|part| name.contains(part));
    let mut found = Vec::new();
    for directory in ["/run", "/dev/shm", "/var/lib/corosync", "/run/netns"] {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.path().display().to_string());
        found.extend(names.filter(|name| of_cluster(name)));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    // A working copy may itself be mounted, below a directory of any name.
    found.extend(mounts.lines().filter(|line| line.contains(" /run/testcluster")).map(str::to_owned));
    found
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn command_line(pid: u32) -> String {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&text).replace('\0', " ")
}
