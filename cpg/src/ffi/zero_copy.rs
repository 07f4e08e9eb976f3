//! Zero-copy buffers.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::ptr::NonNull;

use cpg_sys as sys;

use crate::error::{Error, Result};
use crate::ffi::open::check;
use crate::ffi::requests::RequestHalf;
use crate::ffi::send::code_of;
use crate::ffi::slice::{slice, slice_mut};
use crate::guarantee::Guarantee;
use crate::os::shared_memory::{check_shared_memory, untaken_file};

/// Zero-copy buffers of a handle: each is a mapping, of which a process has 65530 (`vm.max_map_count`), and libcpg and
/// the daemon alike end with an assertion where they get no more.
const MAX_BUFFERS: usize = 1024;

/// A buffer of `cpg_zcb_alloc`, for as long as its owner gives it back to the connection that it is of.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// None once it has been given back.
    start: Option<NonNull<u8>>,
    capacity: usize,
}

impl Buffer {
    pub(crate) fn alloc(half: &RequestHalf, len: usize) -> Result<Self> {
        half.check_owner()?;
        if len > half.max_atomic() {
            return Err(Error::MessageTooLong { len, limit: half.max_atomic() });
        }
        // A daemon that has gone leaves the file of the buffer behind.
        half.local_get()?;
        let refused = |source: io::Error| Error::NoSharedMemory { len, source: source.into() };
        if half.buffers.get() >= MAX_BUFFERS {
            return Err(refused(io::Error::other("too many buffers of this handle are in use")));
        }
        let (file, size) = check_shared_memory(len).map_err(refused)?;
        check_map(&file, size).map_err(refused)?;
        drop(file);
        let mut start = std::ptr::null_mut();
        // SAFETY: libcpg writes one pointer. Its assertion that memory can be had holds, as was just tried.
        let code = unsafe { sys::cpg_zcb_alloc(half.open.handle, len.max(1), &raw mut start) };
        half.check("cpg_zcb_alloc", code)?;
        // An older library can leave the pointer null with a daemon that has no zero-copy (B12).
        let start =
            NonNull::new(start.cast::<u8>()).ok_or(Error::cs("cpg_zcb_alloc", sys::CS_ERR_NOT_SUPPORTED))?;
        half.buffers.set(half.buffers.get() + 1);
        if let Some(file) = untaken_file(start.addr().get()) {
            let _ = Self { start: Some(start), capacity: 0 }.free(half);
            let _ = std::fs::remove_file(file);
            return Err(Error::cs("cpg_zcb_alloc", sys::CS_ERR_TRY_AGAIN));
        }
        // SAFETY: the buffer has at least `len` bytes; newer libraries take them from malloc, unwritten.
        unsafe { start.write_bytes(0, len) };
        Ok(Self { start: Some(start), capacity: len })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let start = self.start.map_or(std::ptr::null(), |start| start.as_ptr().cast_const());
        // SAFETY: null, or `capacity` bytes that were allocated and written; nothing writes while they are borrowed.
        unsafe { slice(start, self.capacity) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let start = self.start.map_or(std::ptr::null_mut(), NonNull::as_ptr);
        // SAFETY: as in bytes, and the borrow is the only one.
        unsafe { slice_mut(start, self.capacity) }
    }

    /// Sends the first `len` bytes; `half` is the one that the buffer is of.
    pub(crate) fn mcast(&self, half: &RequestHalf, guarantee: Guarantee, len: usize) -> Result<()> {
        half.check_owner()?;
        let len = len.min(self.capacity);
        let Some(start) = self.start else { return Ok(()) };
        // Newer libraries make a plain send of it, which does not wait.
        half.take_credit("cpg_zcb_mcast_joined")?;
        // SAFETY: the pointer is one of cpg_zcb_alloc, before which libcpg keeps the headers that it writes here, and
        // `len` bytes of it are allocated. One thread only (A4).
        let code = unsafe {
            sys::cpg_zcb_mcast_joined(half.open.handle, code_of(guarantee), start.as_ptr().cast(), len)
        };
        half.check("cpg_zcb_mcast_joined", code)
    }

    /// Gives the memory back, once. If the daemon has gone it stays with the process, which nothing can mend.
    pub(crate) fn free(&mut self, half: &RequestHalf) -> Result<()> {
        half.check_owner()?;
        let Some(start) = self.start.take() else { return Ok(()) };
        // SAFETY: the pointer is one of cpg_zcb_alloc, and it is forgotten here.
        let code = unsafe { sys::cpg_zcb_free(half.open.handle, start.as_ptr().cast()) };
        check("cpg_zcb_free", code)?;
        half.buffers.set(half.buffers.get().saturating_sub(1));
        Ok(())
    }
}

/// Maps a file as `cpg_zcb_alloc` is about to, which asserts that it can, and unmaps it.
fn check_map(file: &File, len: usize) -> io::Result<()> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the kernel chooses an address that nothing is mapped at.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was mapped above, and nobody has a reference to it.
    let code = unsafe { libc::munmap(start, len) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
