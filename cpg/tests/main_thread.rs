//! Fact A18: the stack of the main thread. The test harness runs tests on other threads, so this program does not use
//! the harness.
//!
//! For each case, the program starts itself again on a node of a private cluster. `--skip CASE` leaves out a case, with underscores for
//! its spaces.

#[path = "support/mod.rs"]
mod support;

use std::env;
use std::fs::File;
use std::path::Path;

use cpg::{Error, Group, Limits, Result};
use support::mounts::mount_memory;
use support::stack::KIB;
use support::{deadline, join, payloads};
use testcluster::Cluster;
use testcluster::child::succeed;

/// The environment variable with the case for which this process was started.
const VARIABLE: &str = "CPG_TEST_MAIN_THREAD";

const CASES: [(&str, fn()); 5] = [
    ("plain", works),
    ("without /proc", without_proc),
    ("without descriptors", without_descriptors),
    ("a limit that is lowered", lowered),
    ("deep in an unlimited stack", deep),
];

fn main() {
    if let Ok(case) = env::var(VARIABLE) {
        let (_, run) = CASES.into_iter().find(|(name, _)| *name == case).expect("a case");
        return run();
    }
    let arguments: Vec<String> = env::args().collect();
    let is_skipped = |case: &str| {
        let case = case.replace(' ', "_");
        arguments.windows(2).any(|pair| pair[0] == "--skip" && case.contains(&pair[1]))
    };
    let cluster = Cluster::start(1).unwrap();
    for (case, _) in CASES.into_iter().filter(|(case, _)| !is_skipped(case)) {
        // The usual limit of a shell, and no limit. A user who may not lift the limit has one case fewer.
        for limit in ["8192", "unlimited"] {
            if limit == "unlimited" && case == "a limit that is lowered"
                || limit != "unlimited" && case.starts_with("deep")
            {
                continue;
            }
            let script = format!("ulimit -S -s {limit} || exit 0; exec \"$@\"");
            let mut command = cluster.command_on(1, "sh");
            command.args(["-c", &script, "sh"]).arg(env::current_exe().unwrap()).env(VARIABLE, case);
            succeed(&mut command);
            println!("{case}, ulimit -s {limit}: ok");
        }
    }
}

/// Sends, dispatches and leaves.
fn works_with(group: &mut Group) {
    group.send(b"main").unwrap();
    assert_eq!(payloads(group, 1), [b"main"]);
    assert_eq!(group.members().unwrap(), [group.me()]);
}

fn works() {
    let mut group = join("main");
    works_with(&mut group);
    group.leave().unwrap();
}

fn without_proc() {
    // SAFETY: the process has one thread, and no other process is in its new namespace.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
    mount_memory("/proc");
    assert!(!Path::new("/proc/self").exists());
    works();
}

fn without_descriptors() {
    let mut group = join("main");
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    works_with(&mut group);
}

/// Calls `work` this many bytes deeper in the stack, or a little more.
fn deeper<T>(bytes: usize, work: &mut dyn FnMut() -> T) -> T {
    let here = 0_u8;
    deeper_than(std::ptr::from_ref(&here).addr() - bytes, work)
}

fn deeper_than<T>(address: usize, work: &mut dyn FnMut() -> T) -> T {
    let here = std::hint::black_box([0_u8; 1024]);
    let result = if std::ptr::from_ref(&here).addr() > address { deeper_than(address, work) } else { work() };
    std::hint::black_box(here);
    result
}

fn lowered() {
    let mut group = join("main");
    works_with(&mut group);
    let limit = libc::rlimit { rlim_cur: 1300 << 10, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it reads one rlimit. The hard limit cannot be raised, and stays then.
    if unsafe { libc::setrlimit(libc::RLIMIT_STACK, &raw const limit) } != 0 {
        let limit = libc::rlimit { rlim_max: 8 << 20, ..limit };
        // SAFETY: it reads one rlimit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_STACK, &raw const limit) }, 0);
    }
    // Stack that was used once stays mapped, and is used again.
    works_with(&mut group);
    let mut dispatch = || group.dispatch(Limits::available(), |_, _| {});
    let refused: Result<usize> = deeper(400 * KIB, &mut dispatch);
    assert!(matches!(refused, Err(Error::StackTooSmall { .. })), "{refused:?}");
    works_with(&mut group);
    group.leave_until(deadline(), |_, _| {}).unwrap();
}

fn deep() {
    deeper(100 << 20, &mut works);
}
