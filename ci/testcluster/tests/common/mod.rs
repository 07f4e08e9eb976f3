//! What the tests look at: the processes, mounts and files of the machine.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::path::Path;
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
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
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

/// The processes in a namespace such as `net:[4026531840]`.
pub fn in_namespace(namespace: &str) -> Vec<u32> {
    let Some((kind, _)) = namespace.split_once(':') else { return Vec::new() };
    processes()
        .filter(|pid| {
            fs::read_link(format!("/proc/{pid}/ns/{kind}")).is_ok_and(|link| link == Path::new(namespace))
        })
        .collect()
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
