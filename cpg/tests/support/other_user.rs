//! Threads of another user.

pub const NOBODY: libc::c_long = 65534;

/// Returns true if this thread can become another user. It cannot in the user namespace of `ci/as-root`.
pub fn real_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    map.split_whitespace().nth(2).is_some_and(|count| count == "4294967295")
}

/// Changes the user of the calling thread, and of no other thread.
pub fn become_nobody() {
    // SAFETY: the bare system call takes three numbers and changes this thread alone.
    assert_eq!(unsafe { libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) }, 0);
}
