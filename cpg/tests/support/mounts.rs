//! File systems in memory, in the mount namespace of the calling thread.

use std::ffi::CString;
use std::io;
use std::ptr;

/// Covers a directory with an empty one.
pub fn mount_memory(directory: &str) {
    let mounted = ["tmpfs", directory].map(|text| CString::new(text).unwrap());
    let [tmpfs, directory] = mounted.each_ref().map(|text| text.as_ptr());
    // SAFETY: the strings end with a NUL and outlive the call, and there are no data.
    let code = unsafe { libc::mount(tmpfs, directory, tmpfs, 0, ptr::null()) };
    assert_eq!(code, 0, "{}", io::Error::last_os_error());
}

/// Leaves so many bytes in this node's `/dev/shm`.
pub fn limit_shared_memory(free: u64) {
    // SAFETY: all zero is a value of it.
    let mut shm: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a NUL, and the struct is there.
    assert_eq!(unsafe { libc::statvfs(c"/dev/shm".as_ptr(), &raw mut shm) }, 0);
    let size = (shm.f_blocks - shm.f_bfree) * shm.f_frsize + free;
    let size = CString::new(format!("size={size}")).unwrap();
    let (none, path) = (ptr::null(), c"/dev/shm".as_ptr());
    // SAFETY: the strings end with a NUL and outlive the call, which takes null for the others.
    let code = unsafe { libc::mount(none, path, none, libc::MS_REMOUNT, size.as_ptr().cast()) };
    assert_eq!(code, 0, "{}", io::Error::last_os_error());
}
