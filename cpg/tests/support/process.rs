//! Tests that run in a separate process, because they concern the whole process. These are:
//!
//! - tests that fork, because a child copies each lock as it is, and must find none that another test holds;
//! - tests that pause a daemon, because a thread that connects meanwhile holds libcpg's lock, and all other threads
//!   wait for it;
//! - tests that count descriptors, threads, mappings or entries of libcpg's tables.

use std::ffi::OsStr;
use std::process::Command;

use testcluster::child::succeed;

/// The environment variable with the test for which this process was started.
const VARIABLE: &str = "CPG_TEST_PROCESS";

/// The environment variable with a command, in words, that runs such a process: memcheck does not follow children.
const RUNNER: &str = "CPG_TEST_RUNNER";

/// Runs the current test again in a separate process, and returns true when the test has passed there. Returns false in
/// that process. `here` is a function within the test, and identifies the test.
///
/// # Panics
///
/// When the test fails there.
pub fn again<F>(_here: F) -> bool {
    let path = std::any::type_name::<F>();
    let (_, path) = path.split_once("::").expect("the crate's name is before the test's");
    let test = path.strip_suffix("::here").expect("only `own_process!` calls this");
    if std::env::var_os(VARIABLE).is_some_and(|started_for| started_for == test) {
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let runner = std::env::var(RUNNER).unwrap_or_default();
    let mut words =
        runner.split(' ').filter(|word| !word.is_empty()).map(OsStr::new).chain([program.as_os_str()]);
    let mut command = Command::new(words.next().expect("the program is one"));
    let only = ["--exact", test, "--include-ignored", "--nocapture"];
    let output = succeed(command.args(words).args(only).env(VARIABLE, test));
    let printed = String::from_utf8_lossy(&output.stdout);
    println!("{printed}");
    assert!(printed.contains("1 passed"), "{test} was not found:\n{printed}");
    true
}

/// Begins a test that needs a separate process. The rest of the test runs in that process.
#[allow(unused_macros, reason = "each layer uses a part")]
macro_rules! own_process {
    () => {{
        fn here() {}
        if crate::support::process::again(here) {
            return;
        }
    }};
}
#[allow(unused_imports, reason = "each layer uses a part")]
pub(crate) use own_process;
