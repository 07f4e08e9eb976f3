//! Tests that run in a process of their own, since they are about the whole process.
//!
//! Such are tests that fork (a child copies each lock as it is, and must find none that another test holds), tests that pause a
//! daemon (whoever connects meanwhile holds libcpg's lock, and all others of the process wait), and tests that count what the
//! process has: descriptors, threads, mappings, entries of libcpg's tables.

use std::ffi::OsStr;
use std::process::Command;

use testcluster::child::succeed;

/// Names the test that this process was started for.
const VARIABLE: &str = "CPG_TEST_PROCESS";

/// Names a command that such a process is to be run by, in words: memcheck follows no child by itself.
const RUNNER: &str = "CPG_TEST_RUNNER";

/// Runs the test of the function `here` is in again, in a process of its own, and returns true once it has passed there.
/// Returns false in that process.
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
    let output = succeed(command.args(words).args(["--exact", test]).env(VARIABLE, test));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("1 passed"), "{test} was not found:\n{printed}");
    true
}

/// Stands at the beginning of a test that needs a process of its own. The rest of the test runs there.
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
