//! Filters of system calls, which containers use.

/// Makes these system calls fail with `EPERM` on this thread and on threads that it starts.
pub fn forbid(calls: &[libc::c_long]) {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code.try_into().unwrap(), jt, jf, k };
    let number = u32::try_from(std::mem::offset_of!(libc::seccomp_data, nr)).unwrap();
    let refused = u32::try_from(libc::EPERM).unwrap();
    let mut filter = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, number)];
    for &call in calls {
        let call = u32::try_from(call).unwrap();
        filter.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call));
        filter.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | refused));
    }
    filter.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    let len = filter.len().try_into().unwrap();
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: it takes numbers, and concerns this thread alone.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the program and its statements live for the length of the call, which copies them.
    let code = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(code, 0, "{}", std::io::Error::last_os_error());
}
