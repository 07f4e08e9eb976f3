//! Zero-copy buffers of libcpg.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use cpg_sys as sys;

use crate::error::{Error, Result};
use crate::ffi::call::Requests;
use crate::ffi::frames;
use crate::ffi::open::{Unused, tables};
use crate::ffi::requests::RequestHalf;
use crate::ffi::send::code_of;
use crate::ffi::slice::{slice, slice_mut};
use crate::guarantee::Guarantee;
use crate::os::patience::Patience;
use crate::os::shared_memory::{check_shared_memory, untaken_file};
use crate::os::stack::StackLeft;
use crate::os::thread;

/// The highest number of zero-copy buffers of a handle. Each buffer is a mapping, and a process has 65530 of them
/// (`vm.max_map_count`). When libcpg or the daemon gets no more, an assertion ends it.
const MAX_BUFFERS: usize = 1024;

/// A buffer from `cpg_zcb_alloc`, which belongs to one connection.
///
/// A call that was left behind while it used the buffer shares the buffer.
#[derive(Debug)]
pub(crate) struct Buffer(Arc<Memory>);

/// The memory of a buffer. After it is dropped, the next request on its connection gives the memory back, or closing the
/// connection does.
#[derive(Debug)]
struct Memory {
    start: AtomicPtr<u8>,
    capacity: usize,
    unused: Arc<Unused>,
}

impl Memory {
    fn start(&self) -> *mut u8 {
        self.start.load(Ordering::Relaxed)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.unused.push(*self.start.get_mut());
    }
}

impl Buffer {
    pub(crate) fn alloc(requests: &Requests, len: usize, patience: &Patience<'_>) -> Result<Self> {
        requests.check_owner()?;
        if len > requests.max_atomic() {
            return Err(Error::MessageTooLong { len, limit: requests.max_atomic() });
        }
        // A worker, because each send waits for the daemon too, and so does the end of the buffer.
        requests.keep_worker();
        requests.ask("cpg_zcb_alloc", patience, move |half| alloc(half, len)).map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let Memory { capacity, .. } = *self.0;
        // SAFETY: `capacity` bytes that were allocated and written; nothing writes while they are borrowed.
        unsafe { slice(self.0.start().cast_const(), capacity) }
    }

    /// Returns the bytes for writing. The slice is empty while a call that was left behind uses the buffer.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let Some(memory) = Arc::get_mut(&mut self.0) else { return &mut [] };
        // SAFETY: as in bytes, and the borrow is the only one.
        unsafe { slice_mut(memory.start(), memory.capacity) }
    }

    /// Sends the first `len` bytes. `requests` must be those of the buffer's own connection.
    pub(crate) fn mcast(
        &self,
        requests: &Requests,
        guarantee: Guarantee,
        len: usize,
        patience: &Patience<'_>,
    ) -> Result<()> {
        let memory = Arc::clone(&self.0);
        let send = move |half: &RequestHalf| mcast(half, &memory, guarantee, len);
        requests.ask("cpg_zcb_mcast_joined", patience, send)
    }

    /// Gives the memory back. If the daemon is dead, the memory stays with the process for good.
    pub(crate) fn free(self, requests: &Requests, patience: &Patience<'_>) -> Result<()> {
        drop(self);
        requests.ask("cpg_zcb_free", patience, |_| Ok(()))
    }
}

fn mcast(half: &RequestHalf, memory: &Memory, guarantee: Guarantee, len: usize) -> Result<()> {
    half.check_owner()?;
    let len = len.min(memory.capacity);
    // Newer libraries send a plain message here, which does not wait.
    half.take_room("cpg_zcb_mcast_joined")?;
    // SAFETY: the pointer is one of cpg_zcb_alloc, before which libcpg keeps the headers that it writes here, and
    // `len` bytes of it are allocated. One thread only (A4).
    let code = unsafe {
        sys::cpg_zcb_mcast_joined(half.open.handle, code_of(guarantee), memory.start().cast(), len)
    };
    half.check("cpg_zcb_mcast_joined", code)
}

fn alloc(half: &RequestHalf, len: usize) -> Result<Arc<Memory>> {
    half.check_owner()?;
    // If the daemon is dead, the file of a new buffer would remain.
    half.local_get()?;
    let refused = |source: io::Error| Error::NoSharedMemory { len, source: source.into() };
    if half.buffers.get() >= MAX_BUFFERS {
        return Err(refused(io::Error::other("too many buffers of this handle are in use")));
    }
    let handle = half.open.handle;
    let start = AtomicPtr::new(ptr::null_mut());
    // The lock keeps this process's other buffers and new connections from taking what is tried here.
    let lock = tables();
    let made = thread::apart(half.open.fd, |_, left| make(left, handle, len, &start));
    drop(lock);
    let made = made?.map_err(refused)?;
    half.check("cpg_zcb_alloc", made.code)?;
    // If the daemon has no zero-copy, an older library can leave the pointer null (B12).
    if start.load(Ordering::Relaxed).is_null() {
        return Err(Error::cs("cpg_zcb_alloc", sys::CS_ERR_NOT_SUPPORTED));
    }
    half.buffers.set(half.buffers.get() + 1);
    // If a step below fails, dropping this value gives the memory back.
    let memory = Memory { start, capacity: len, unused: Arc::clone(&half.open.unused) };
    match made.untaken {
        Ok(None) => {
            half.takes_buffers.set(true);
            Ok(Arc::new(memory))
        }
        Ok(Some(file)) => {
            drop(memory);
            half.free_unused();
            let _ = std::fs::remove_file(file);
            // libcpg does not say why. A daemon that has accepted a buffer before refuses one while it has no room for requests.
            // A daemon that has never accepted one has no zero-copy (B27).
            let passes = half.takes_buffers.get();
            let code = if passes { sys::CS_ERR_TRY_AGAIN } else { sys::CS_ERR_NOT_SUPPORTED };
            Err(Error::cs("cpg_zcb_alloc", code))
        }
        Err(error) => {
            drop(memory);
            half.free_unused();
            Err(refused(error))
        }
    }
}

/// The result of a call of `cpg_zcb_alloc`.
struct Made {
    code: sys::cs_error_t,
    /// The file of the buffer, if the daemon has not accepted the buffer.
    untaken: io::Result<Option<PathBuf>>,
}

/// Calls `cpg_zcb_alloc` on a thread with its own umask and descriptors, because that function changes the umask and asserts that
/// it gets a descriptor ([A15](crate::facts#a15)).
///
/// # Errors
/// The error of the trial, if shared memory is short. Then `cpg_zcb_alloc` was not called.
fn make(
    left: StackLeft<{ frames::ZCB_ALLOC }>,
    handle: sys::cpg_handle_t,
    len: usize,
    start: &AtomicPtr<u8>,
) -> io::Result<Made> {
    let (file, size) = check_shared_memory(len)?;
    check_map(&file, size)?;
    drop(file);
    let mut buffer = ptr::null_mut();
    // SAFETY: libcpg writes one pointer. Its assertion that memory can be had holds, as was just tried. The thread that has the
    // half waits for this one (A4).
    let code = unsafe { frames::zcb_alloc(left, handle, len.max(1), &raw mut buffer) };
    let untaken = if buffer.is_null() { Ok(None) } else { untaken_file(buffer.addr()) };
    if code == sys::CS_OK && !buffer.is_null() {
        // SAFETY: the buffer has at least `len` bytes. libcpg has not written its last page, which comes out of /dev/shm when it
        // is written: now. Newer libraries take the bytes from malloc, unwritten.
        unsafe { buffer.cast::<u8>().write_bytes(0, len) };
    }
    start.store(buffer.cast(), Ordering::Relaxed);
    Ok(Made { code, untaken })
}

/// Maps a file as `cpg_zcb_alloc` will do, which asserts that mapping works, and unmaps the file.
fn check_map(file: &File, len: usize) -> io::Result<()> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the kernel chooses an address that nothing is mapped at.
    let start = unsafe { libc::mmap(ptr::null_mut(), len, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was mapped above, and nobody has a reference to it.
    let code = unsafe { libc::munmap(start, len) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
