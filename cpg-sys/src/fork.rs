//! Children of a test.

/// Does `work` in a forked child, and sees to it that it gives true there, and does not hang.
pub(crate) fn in_a_child(work: impl FnOnce() -> bool) {
    // SAFETY: the child makes calls that are tested to need nothing that other threads hold, and allocates, for which the C
    // library provides.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: it sets a timer of this process, which ends it.
        unsafe { libc::alarm(20) };
        let well = work();
        // SAFETY: it ends the process, and nothing of the parent's is flushed or run before.
        unsafe { libc::_exit(libc::c_int::from(!well)) };
    }
    let mut status = 0;
    // SAFETY: it writes one int.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "in the child it is not so, or does not end");
}
