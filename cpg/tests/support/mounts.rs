//! File systems in memory, in the mount namespace of the calling thread.

use std::ffi::CString;
use std::fs;
use std::io;
use std::ptr;

use super::wait_for;

/// Covers a directory with an empty one.
pub fn mount_memory(directory: &str) {
    let mounted = ["tmpfs", directory].map(|text| CString::new(text).unwrap());
    let [tmpfs, directory] = mounted.each_ref().map(|text| text.as_ptr());
    // SAFETY: the strings end with a NUL and outlive the call, and there are no data.
    let code = unsafe { libc::mount(tmpfs, directory, tmpfs, 0, ptr::null()) };
    assert_eq!(code, 0, "{}", io::Error::last_os_error());
}

/// Returns the size of this node's `/dev/shm`, and the bytes in use.
fn shared_memory() -> libc::statvfs {
    // SAFETY: all zero is a value of it.
    let mut shm: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a NUL, and the struct is there.
    assert_eq!(unsafe { libc::statvfs(c"/dev/shm".as_ptr(), &raw mut shm) }, 0);
    shm
}

/// Returns the number of bytes in use of this node's `/dev/shm`.
#[allow(dead_code, reason = "each layer uses a part")]
pub fn used_shared_memory() -> u64 {
    let shm = shared_memory();
    (shm.f_blocks - shm.f_bfree) * shm.f_frsize
}

/// Waits until only this process's connections have shared memory of this node's daemon. The daemon frees the memory of a
/// connection a moment after its end, also that of the tools which asked the daemon when it started.
pub fn wait_for_shared_memory_of_others() {
    wait_for("the daemon to free the memory of connections that have ended", || {
        let mapped = fs::read_to_string("/proc/self/maps").unwrap();
        // libqb makes a directory for each connection.
        let mut entries = fs::read_dir("/dev/shm").unwrap().flatten();
        let all_are_mapped = entries
            .all(|entry| !entry.path().is_dir() || mapped.contains(&entry.path().display().to_string()));
        all_are_mapped.then_some(())
    });
}

/// Leaves only so many bytes free in this node's `/dev/shm`, beside those of this process's connections.
pub fn limit_shared_memory(free: u64) {
    wait_for_shared_memory_of_others();
    let size = used_shared_memory() + free;
    let size = CString::new(format!("size={size}")).unwrap();
    let (none, path) = (ptr::null(), c"/dev/shm".as_ptr());
    // SAFETY: the strings end with a NUL and outlive the call, which takes null for the others.
    let code = unsafe { libc::mount(none, path, none, libc::MS_REMOUNT, size.as_ptr().cast()) };
    assert_eq!(code, 0, "{}", io::Error::last_os_error());
}

/// Gives the calling thread a root directory that contains only `/dev/shm`, as after `chroot(2)`.
#[allow(dead_code, reason = "each layer uses a part")]
pub fn keep_shared_memory_alone() {
    let done = |code| assert_eq!(code, 0, "{}", io::Error::last_os_error());
    // SAFETY: it has no precondition: this thread has its own root and mounts from here on.
    done(unsafe { libc::unshare(libc::CLONE_FS | libc::CLONE_NEWNS) });
    // In memory, so that nothing is left behind.
    mount_memory("/tmp");
    fs::create_dir_all("/tmp/dev/shm").unwrap();
    let (none, from, to) = (ptr::null(), c"/dev/shm".as_ptr(), c"/tmp/dev/shm".as_ptr());
    // SAFETY: the strings end with a NUL and outlive the call, which takes null for the others.
    done(unsafe { libc::mount(from, to, none, libc::MS_BIND, none.cast()) });
    // SAFETY: the string ends with a NUL.
    done(unsafe { libc::chroot(c"/tmp".as_ptr()) });
}
