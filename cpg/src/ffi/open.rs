//! An open handle, which is shared by its two halves.

use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use cpg_sys as sys;
use cpg_sys::{LockError, Tables, TablesGuard};

use crate::error::{Error, Result};
use crate::ffi::context::Context;
use crate::ffi::frames;
use crate::ffi::options::ConnectOptions;
use crate::flow_control::FlowControl;
use crate::group_name::GroupName;
use crate::os::ending::Ending;
use crate::os::fork::Owner;
use crate::os::outstanding::{NotEnded, Outstanding};
use crate::os::patience::Patience;
use crate::os::{fd, thread};

/// The time for which dropping a connection waits for the daemon.
const DROPPING: Duration = Duration::from_millis(500);

/// An open `cpg_handle_t`, which is closed when this value is dropped.
///
/// Threads share it, so it calls only functions that any thread may call at any time. Its one
/// [`RequestHalf`](super::requests::RequestHalf) makes requests, and its one [`EventHalf`](super::events::EventHalf) takes
/// events. libqb allows these two at the same time, and no others ([A4](crate::facts#a4)).
#[derive(Debug)]
pub(super) struct OpenHandle {
    pub(super) handle: sys::cpg_handle_t,
    pub(super) fd: RawFd,
    /// The size of the longest message that is sent in one piece: the daemon's limit, or libcpg's if that is lower.
    pub(super) max_atomic: usize,
    /// The size of the socket's send buffer towards the daemon, as the kernel counts it.
    pub(super) socket_buffer: libc::c_int,
    /// The options for another connection to the same daemon.
    pub(super) options: ConnectOptions,
    /// The process that connected. A child of this process must not use the handle ([A7](crate::facts#a7)).
    pub(super) owner: Owner,
    /// The number of members in the last view that was dispatched, or in a view that was too large ([A8](crate::facts#a8)).
    /// Before the first view it is the number when the join was delivered, and before that 0.
    pub(super) view_size: AtomicUsize,
    /// The number of entries in the table of iterations: iterations that run, and iterations that have to be finalized again.
    pub(super) iterations: AtomicUsize,
    /// The value at which libcpg's context pointer points, until the handle is closed.
    pub(super) context: Arc<Context>,
    /// The memory of dropped zero-copy buffers, which the next request gives back.
    pub(super) unused: Arc<Unused>,
    /// The group that the handle has asked to join.
    pub(super) group: OnceLock<GroupName>,
    /// The end of the membership, once it has begun. Other joins of this process wait for it.
    pub(super) ending: OnceLock<Ending>,
    pub(super) closed: bool,
}

/// Turns any code except `CS_OK` into an error.
#[inline]
pub(super) fn check(call: &'static str, code: sys::cs_error_t) -> Result<()> {
    if code == sys::CS_OK { Ok(()) } else { Err(failure(call, code)) }
}

/// Returns the error for a code that is not `CS_OK`.
#[cold]
pub(super) fn failure(call: &'static str, code: sys::cs_error_t) -> Error {
    // libqb passes on errors of its own poll. Such an error is not from the daemon, and ends nothing (B30).
    let refused = if code == sys::CS_ERR_INVALID_PARAM { fd::poll_refused() } else { None };
    refused.map_or(Error::cs(call, code), Error::io(fd::POLL))
}

/// Waits for the lock on libcpg's tables ([A12](crate::facts#a12)).
#[cfg(not(cpg_model))]
pub(super) fn lock_tables(deadline: Option<Instant>) -> std::result::Result<TablesGuard, LockError> {
    Tables::lock(deadline)
}

/// Takes the lock on libcpg's tables by trying again and again: under the model, a wait in the kernel would stop all threads.
#[cfg(cpg_model)]
pub(super) fn lock_tables(_deadline: Option<Instant>) -> std::result::Result<TablesGuard, LockError> {
    loop {
        match Tables::lock(Some(Instant::now())) {
            Err(LockError::TimedOut) => crate::os::model::pass(),
            locked => return locked,
        }
    }
}

/// Waits for the lock on libcpg's tables without a limit, for a handle of this process. Call it only on a thread that can be left
/// behind, because the owner of the lock may be waiting for the daemon.
pub(super) fn tables() -> TablesGuard {
    lock_tables(None)
        .expect("without a deadline, and in the process that connected, the wait ends with the lock")
}

impl OpenHandle {
    /// Refuses a handle that a parent of this process made ([A7](crate::facts#a7)).
    #[inline]
    pub(super) fn check_owner(&self) -> Result<()> {
        self.owner.check()
    }

    /// Returns the number of members in the last view that was dispatched.
    #[inline]
    pub(super) fn view_size(&self) -> usize {
        self.view_size.load(Ordering::Relaxed)
    }

    /// Records the number of members when the join was delivered.
    pub(super) fn joined(&self, members: usize) {
        self.view_size.store(members, Ordering::Relaxed);
    }

    /// Turns the code of a request into an error, as [`check`] does, and reports a dead daemon instead of flow control. A daemon that
    /// died under flow control leaves that state in its shared memory, which must not be taken for a state that passes
    /// ([B9](crate::facts#b9)).
    #[inline]
    pub(super) fn check_request(&self, call: &'static str, code: sys::cs_error_t) -> Result<()> {
        if code == sys::CS_OK { Ok(()) } else { Err(self.failed(call, code)) }
    }

    #[cold]
    fn failed(&self, call: &'static str, code: sys::cs_error_t) -> Error {
        let gone = code == sys::CS_ERR_TRY_AGAIN && fd::hung_up(self.fd);
        failure(call, if gone { sys::CS_ERR_LIBRARY } else { code })
    }

    /// Refuses a connection whose daemon is dead, with the error that `call` would return.
    pub(super) fn check_connected(&self, call: &'static str) -> Result<()> {
        self.check_owner()?;
        if fd::hung_up(self.fd) { Err(Error::cs(call, sys::CS_ERR_LIBRARY)) } else { Ok(()) }
    }

    pub(super) fn flow_control(&self) -> Result<FlowControl> {
        self.check_owner()?;
        let mut state = 0;
        // SAFETY: libcpg writes one enum; it asks nobody (lib/cpg.c, cpg_flow_control_state_get).
        let code = unsafe { sys::cpg_flow_control_state_get(self.handle, &raw mut state) };
        check("cpg_flow_control_state_get", code)?;
        Ok(state.into())
    }

    pub(super) fn take_unused(&self) -> Vec<AtomicPtr<u8>> {
        std::mem::take(&mut *self.unused.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins the end of the membership: the program does not use the connection any more.
    pub(super) fn begin_ending(&self) {
        if let (Ok(()), Some(group)) = (self.check_owner(), self.group.get()) {
            self.ending.get_or_init(|| Ending::begin(group.clone()));
        }
    }

    /// Closes the handle once, on another thread, and returns the result. If the patience ends first, the thread is left behind.
    pub(super) fn close(&mut self, patience: &Patience<'_>) -> Result<()> {
        self.check_owner()?;
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.begin_ending();
        let last = Last {
            handle: self.handle,
            fd: self.fd,
            iterations: self.iterations.load(Ordering::Relaxed),
            unused: self.take_unused(),
            _context: Arc::clone(&self.context),
            _ending: self.ending.take(),
        };
        let begun = Outstanding::begin(move || last.finalize());
        // Does not watch the socket: once the socket is closed, its number can belong to another file.
        match begun.map(|work| work.wait(None, patience)) {
            Ok(Ok(result)) => result,
            Ok(Err(NotEnded::Failed(error))) => Err(error),
            Ok(Err(NotEnded::Over | NotEnded::HungUp)) => {
                Err(Error::TimedOut { waiting_for: "the daemon to close the connection" })
            }
            // If no thread can be made, this thread closes the handle.
            Err((_, finalize)) => finalize(),
        }
    }
}

impl Drop for OpenHandle {
    fn drop(&mut self) {
        // The daemon's answer does not matter: libcpg has freed the handle, and the daemon removes a member that did not leave
        // when the connection ends.
        let _: Result<()> = self.close(&Patience::lasting(DROPPING));
    }
}

/// The memory of dropped zero-copy buffers. It is separate from the handle, because a buffer must not keep the handle open.
#[derive(Debug, Default)]
pub(super) struct Unused(Mutex<Vec<AtomicPtr<u8>>>);

impl Unused {
    pub(super) fn push(&self, start: *mut u8) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(AtomicPtr::new(start));
    }
}

/// A handle without its halves, to be closed.
#[derive(Debug)]
struct Last {
    handle: sys::cpg_handle_t,
    fd: RawFd,
    iterations: usize,
    unused: Vec<AtomicPtr<u8>>,
    /// Kept until `cpg_finalize` has returned.
    _context: Arc<Context>,
    _ending: Option<Ending>,
}

impl Last {
    fn finalize(self) -> Result<()> {
        // Waits for the daemon before the lock is taken, so that a paused daemon does not keep the lock (B16). When the daemon
        // answers, it has read everything that was sent.
        if !fd::hung_up(self.fd) {
            let mut node = 0;
            // SAFETY: libcpg writes one unsigned int, and both halves of the handle are gone (A4).
            let _ = unsafe { sys::cpg_local_get(self.handle, &raw mut node) };
        }
        for start in self.unused {
            // SAFETY: the pointer is one of cpg_zcb_alloc, and nobody else has it (A4 as above).
            let _ = unsafe { sys::cpg_zcb_free(self.handle, start.into_inner().cast()) };
        }
        let mut tables = tables();
        let handle = self.handle;
        // SAFETY: the handle is open, both halves are gone, and the lock is held (A12). libcpg frees the entry and those
        // of its iterations whatever the daemon answers (lib/cpg.c).
        let ended = thread::with_stack(|left| unsafe { frames::finalize(left, handle) });
        // If no thread could be made, the handle stays open, and is still counted.
        let code = ended?;
        let iterations = isize::try_from(self.iterations).unwrap_or(isize::MAX);
        // SAFETY: that handle has ended, and its iterations with it.
        unsafe { tables.count(-1, -iterations) };
        drop(tables);
        check("cpg_finalize", code)
    }
}

impl AsFd for OpenHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: libqb closes the descriptor in cpg_finalize, which is called when the value borrowed here goes.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}
