//! Children of the test process, which say what was not so by their status.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cpg::{Error, Result};

/// Ends a forked child with what `work` returns: 0 if all was well, else the line of what was not.
pub fn child(work: impl FnOnce() -> u32) -> ! {
    ends_by_itself();
    let line = catch_unwind(AssertUnwindSafe(work)).unwrap_or(line!());
    // The status has a byte, which has room for the lines of most files.
    let status = line.try_into().unwrap_or(255);
    // SAFETY: it ends the process, and nothing of the parent's is flushed or run before.
    unsafe { libc::_exit(status) }
}

/// Has a child that hangs end all the same.
pub fn ends_by_itself() {
    // SAFETY: it sets a timer of this process.
    unsafe { libc::alarm(60) };
}

/// Forks; 0 in the child.
pub fn fork() -> libc::pid_t {
    // SAFETY: nothing that the child goes on to use is held by another thread: a test that forks has a process
    // of its own, and glibc sees to its allocator.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", io::Error::last_os_error());
    pid
}

/// Waits until the child has ended well.
pub fn reap(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: it writes one int.
    let reaped = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(reaped, pid);
    assert!(libc::WIFEXITED(status), "the child was killed: {status:#x}");
    let line = libc::WEXITSTATUS(status);
    assert_eq!(line, 0, "what is in line {line} of this file was not so in the child");
}

/// Whether a call was refused because the handle is the parent's (A7).
pub fn refused<T>(result: Result<T>) -> bool {
    matches!(result.err(), Some(Error::Forked { owner }) if owner == std::os::unix::process::parent_id())
}

/// Ends the work of a child with the line of what is not so.
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
