//! Threads of another user.

pub const NOBODY: libc::c_long = 65534;

/// Whether there are other users to become: not so in the user namespace of `ci/as-root`.
pub fn real_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    map.split_whitespace().nth(2).is_some_and(|count| count == "4294967295")
}

/// Makes the calling thread, and no other, another user's.
pub fn become_nobody() {
    // SAFETY: the bare system call takes three numbers and changes this thread alone.
    assert_eq!(unsafe { libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) }, 0);
}
