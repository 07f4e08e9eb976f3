//! Fact B27: zero-copy buffers of libcpg 3.1, which does not report the answer of the daemon.

use std::ffi::c_void;
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::join;
use crate::stub::{Replies, SOUND};
use cpg::CsError;

static FILES: AtomicUsize = AtomicUsize::new(0);

/// Maps a new file for a buffer. A daemon that takes the buffer removes the name of the file.
fn map(size: usize, taken: bool) -> *mut c_void {
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let path = format!("/dev/shm/corosync_zerocopy-stub-{}-{number}", std::process::id());
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(size as u64).unwrap();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the kernel chooses an address that nothing is mapped at.
    let map = unsafe { libc::mmap(ptr::null_mut(), size, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    assert_ne!(map, libc::MAP_FAILED);
    if taken {
        fs::remove_file(path).unwrap();
    }
    map
}

fn files() -> usize {
    let own = format!("corosync_zerocopy-stub-{}-", std::process::id());
    let entries = fs::read_dir("/dev/shm").unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&own)).count()
}

#[test]
fn b27_a_buffer_that_the_daemon_never_takes_is_reported_as_not_supported() {
    let _alone = crate::stub::alone();
    let (group, stub) = join();
    stub.reply(Replies { alloc: Some(|size| map(size, false)), ..SOUND });
    // More attempts than a handle may have buffers, because refused ones do not count.
    for _ in 0..1100 {
        let error = group.zero_copy(100).unwrap_err();
        assert_eq!(error.code(), Some(CsError::NotSupported), "{error}");
        assert!(!error.is_retryable());
    }
    assert_eq!(files(), 0, "a buffer that the daemon has not taken is left behind");

    // A daemon that supports buffers still refuses one while it has no room for requests.
    stub.reply(Replies { alloc: Some(|size| map(size, true)), ..SOUND });
    drop(group.zero_copy(100).unwrap());
    stub.reply(Replies { alloc: Some(|size| map(size, false)), ..SOUND });
    let error = group.zero_copy(100).unwrap_err();
    assert!(error.code() == Some(CsError::TryAgain) && error.is_retryable(), "{error}");
}
