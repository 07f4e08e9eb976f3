//! Helpers of the tests, which look at the processes, mounts and files of the machine.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// An environment variable that marks the processes of a test: they inherit it.
pub const MARK: &str = "TESTCLUSTER_MARK";

/// Returns a value for [`MARK`] that no other test uses.
pub fn mark(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

/// Returns a process number with the type that system calls use.
pub fn pid(pid: u32) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(pid.try_into().unwrap())
}

/// Waits until the condition is true, and fails at the deadline.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    eventually_none(what, || if so() { vec![] } else { vec!["not so"] });
}

/// Waits until nothing is found. Fails at the deadline, with the things that are still found.
pub fn eventually_none<T: std::fmt::Debug>(what: &str, mut find: impl FnMut() -> Vec<T>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let found = find();
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "in vain: {what}: {found:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a child prints that it is ready. Fails with its status if the child ends first.
pub fn wait_ready(child: &mut Child) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ready = lines.any(|line| line.ends_with("ready"));
    assert!(ready, "the child ended before it was ready, with {}: see its output", child.wait().unwrap());
}

/// Starts a cluster with processes on its nodes, and returns when all of them run.
pub fn busy(program: &mut Command, mark: &str) -> Child {
    let script = "testcluster on 2 sleep 1000 & setsid sleep 1000 & echo ready; exec sleep 1000";
    let mut child = program
        .args(["run", "--nodes", "2", "--", "sh", "-c", script])
        .env(MARK, mark)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_ready(&mut child);
    eventually("all commands run", || {
        marked(mark).iter().filter(|(_, line)| line.starts_with("sleep")).count() == 3
    });
    child
}

/// Waits until no process has the mark.
pub fn none_stays(mark: &str) {
    eventually_none("no process stays behind", || marked(mark));
}

/// Returns the processes with the mark, and their command lines.
pub fn marked(mark: &str) -> Vec<(u32, String)> {
    let wanted = format!("{MARK}={mark}");
    processes()
        .filter(|pid| {
            // A process that has just ended, or that belongs to another user, was not started by a test.
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|text| text.split(|&byte| byte == 0).any(|part| part == wanted.as_bytes()))
        })
        .map(|pid| (pid, command_line(pid)))
        .collect()
}

/// A namespace that is held open, so that no new namespace can get its number.
pub struct Namespace {
    kind: &'static str,
    file: File,
}

impl Namespace {
    pub fn of(pid: u32, kind: &'static str) -> Self {
        Self { kind, file: File::open(format!("/proc/{pid}/ns/{kind}")).unwrap() }
    }

    /// Returns the processes in the namespace.
    pub fn processes(&self) -> Vec<u32> {
        let own = self.file.metadata().unwrap();
        let same = |other: fs::Metadata| (other.dev(), other.ino()) == (own.dev(), own.ino());
        // The namespaces of other users' processes, and of processes that have just ended, cannot be read.
        processes()
            .filter(|pid| fs::metadata(format!("/proc/{pid}/ns/{}", self.kind)).is_ok_and(same))
            .collect()
    }
}

/// Returns everything that a cluster could have left on the machine.
pub fn traces() -> Vec<String> {
    let of_cluster = |name: &str| ["testcluster", "qb-", "corosync"].iter().any(|part| name.contains(part));
    let mut found = Vec::new();
    for directory in ["/run", "/dev/shm", "/var/lib/corosync", "/run/netns"] {
        let entries = match fs::read_dir(directory) {
            // The directory does not exist, or this user may not read it.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                continue;
            }
            entries => entries.unwrap_or_else(|error| panic!("{directory}: {error}")),
        };
        let names = entries.map(|entry| entry.unwrap().path().display().to_string());
        found.extend(names.filter(|name| of_cluster(name)));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    // The working copy itself may be a mount, below a directory of any name.
    found.extend(mounts.lines().filter(|line| line.contains(" /run/testcluster")).map(str::to_owned));
    found
}

fn processes() -> impl Iterator<Item = u32> {
    // Only entries with a number as their name are processes.
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
}

fn command_line(pid: u32) -> String {
    // The process may have ended after its number was read.
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&text).replace('\0', " ")
}
