//! An open handle, which its two halves share.

use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cpg_sys as sys;
use cpg_sys::Tables;

use crate::error::{Error, Result};
use crate::ffi::context::Context;
use crate::ffi::frames;
use crate::ffi::options::ConnectOptions;
use crate::os::fork::Owner;
use crate::os::{fd, thread};

/// An open `cpg_handle_t`, which is closed when this goes.
///
/// It can be shared, and so calls nothing but what any thread may call at any time. Requests are made by its one
/// [`RequestHalf`](super::requests::RequestHalf), events are taken by its one [`EventHalf`](super::events::EventHalf): libqb
/// allows these two at once, and no others (A4).
#[derive(Debug)]
pub(super) struct OpenHandle {
    pub(super) handle: sys::cpg_handle_t,
    pub(super) fd: RawFd,
    pub(super) max_atomic: usize,
    /// The size of the socket's buffer for what is sent to the daemon, as the kernel counts it.
    pub(super) socket_buffer: libc::c_int,
    /// The options that another connection to the same daemon is made with.
    pub(super) options: ConnectOptions,
    /// The process that connected. A child of it must keep off (A7).
    pub(super) owner: Owner,
    /// The members in the last view that was dispatched, or in one that was too large (A8); until one was, those that there
    /// were when the join was delivered; 0 before that.
    pub(super) view_size: AtomicUsize,
    /// Entries in the table of iterations: those that run, and those that are to be finalized again.
    pub(super) iterations: AtomicUsize,
    /// The value that libcpg's context pointer points at, until the handle is closed.
    pub(super) context: Arc<Context>,
    pub(super) closed: bool,
}

/// Makes an error of any code but `CS_OK`.
#[inline]
pub(super) fn check(call: &'static str, code: sys::cs_error_t) -> Result<()> {
    if code == sys::CS_OK { Ok(()) } else { Err(failure(call, code)) }
}

/// The error of any code but `CS_OK`.
#[cold]
pub(super) fn failure(call: &'static str, code: sys::cs_error_t) -> Error {
    // libqb hands on what its polls say, which is not the daemon's word, and ends nothing (B30).
    let refused = if code == sys::CS_ERR_INVALID_PARAM { fd::poll_refused() } else { None };
    refused.map_or(Error::cs(call, code), Error::io(fd::POLL))
}

/// Waits for the lock on libcpg's tables (A12), for a handle of this process.
pub(super) fn tables() -> cpg_sys::TablesGuard {
    Tables::lock(None)
        .expect("without a deadline, and in the process that connected, the wait ends with the lock")
}

impl OpenHandle {
    /// Refuses a handle that the parent of this process made (A7).
    #[inline]
    pub(super) fn check_owner(&self) -> Result<()> {
        self.owner.check()
    }

    /// Returns the members in the last view that was dispatched.
    #[inline]
    pub(super) fn view_size(&self) -> usize {
        self.view_size.load(Ordering::Relaxed)
    }

    /// Closes the handle, once, and says how that went.
    pub(super) fn finalize(&mut self) -> Result<()> {
        self.check_owner()?;
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let mut tables = tables();
        let handle = self.handle;
        // SAFETY: the handle is open, both halves are gone, and the lock is held (A12). libcpg frees the entry and those
        // of its iterations whatever the daemon answers (lib/cpg.c).
        let ended = thread::with_stack(|left| unsafe { frames::finalize(left, handle) });
        // Without a thread it stays open, and is counted on.
        let code = ended?;
        let iterations = isize::try_from(self.iterations.load(Ordering::Relaxed)).unwrap_or(isize::MAX);
        // SAFETY: that handle has ended, and its iterations with it.
        unsafe { tables.count(-1, -iterations) };
        drop(tables);
        check("cpg_finalize", code)
    }
}

impl Drop for OpenHandle {
    fn drop(&mut self) {
        // The daemon's answer changes nothing: libcpg has freed the handle, and a member that did not leave is taken out when
        // its connection goes.
        let _: Result<()> = self.finalize();
    }
}

impl AsFd for OpenHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: libqb closes the descriptor in cpg_finalize, which is called when the value borrowed here goes.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}
