//! Children of the test process, which report a failed check by their exit status.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cpg::{Error, Result};

/// Ends a forked child with the result of `work`: 0 if all is well, else the line of the failed check.
pub fn child(work: impl FnOnce() -> u32) -> ! {
    ends_by_itself();
    let line = catch_unwind(AssertUnwindSafe(work)).unwrap_or(line!());
    // The status is one byte, which is enough for the lines of most files.
    let status = line.try_into().unwrap_or(255);
    // SAFETY: it ends the process, and nothing of the parent's is flushed or run before.
    unsafe { libc::_exit(status) }
}

/// Makes sure that a child that hangs ends.
pub fn ends_by_itself() {
    // SAFETY: it sets a timer of this process.
    unsafe { libc::alarm(60) };
}

/// Forks. Returns 0 in the child.
pub fn fork() -> libc::pid_t {
    // SAFETY: the child uses nothing that another thread may hold: a test that forks runs in a separate process, and
    // glibc keeps its allocator usable.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", io::Error::last_os_error());
    pid
}

/// Waits until the child has ended, and asserts that it succeeded.
pub fn reap(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: it writes one int.
    let reaped = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(reaped, pid);
    assert!(libc::WIFEXITED(status), "the child was killed: {status:#x}");
    let line = libc::WEXITSTATUS(status);
    assert_eq!(line, 0, "the check in line {line} of this file failed in the child");
}

/// Returns true if a call was refused because the handle belongs to the parent (A7).
pub fn refused<T>(result: Result<T>) -> bool {
    matches!(result.err(), Some(Error::Forked { owner }) if owner == std::os::unix::process::parent_id())
}

/// Ends the work of a child with the line of the failed check.
#[allow(unused_macros, reason = "each test file uses a part")]
macro_rules! ensure {
    ($condition:expr) => {
        if !$condition {
            return line!();
        }
    };
}
#[allow(unused_imports, reason = "each test file uses a part")]
pub(crate) use ensure;
