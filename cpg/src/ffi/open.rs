//! An open handle, which its two halves share.

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

/// How long dropping a connection waits for the daemon.
const DROPPING: Duration = Duration::from_millis(500);

/// An open `cpg_handle_t`, which is closed when this goes.
///
/// It can be shared, and so calls nothing but what any thread may call at any time. Requests are made by its one
/// [`RequestHalf`](super::requests::RequestHalf), events are taken by its one [`EventHalf`](super::events::EventHalf): libqb
/// allows these two at once, and no others ([A4](crate::facts#a4)).
#[derive(Debug)]
pub(super) struct OpenHandle {
    pub(super) handle: sys::cpg_handle_t,
    pub(super) fd: RawFd,
    /// The longest message that is sent in one piece: what the daemon says, and at most what libcpg can count.
    pub(super) max_atomic: usize,
    /// The size of the socket's buffer for what is sent to the daemon, as the kernel counts it.
    pub(super) socket_buffer: libc::c_int,
    /// The options that another connection to the same daemon is made with.
    pub(super) options: ConnectOptions,
    /// The process that connected. A child of it must keep off ([A7](crate::facts#a7)).
    pub(super) owner: Owner,
    /// The members in the last view that was dispatched, or in one that was too large ([A8](crate::facts#a8)); until one was,
    /// those that there were when the join was delivered; 0 before that.
    pub(super) view_size: AtomicUsize,
    /// Entries in the table of iterations: those that run, and those that are to be finalized again.
    pub(super) iterations: AtomicUsize,
    /// The value that libcpg's context pointer points at, until the handle is closed.
    pub(super) context: Arc<Context>,
    /// The memory of zero-copy buffers that have gone, which the next request gives back.
    pub(super) unused: Arc<Unused>,
    /// The group that it has asked to join.
    pub(super) group: OnceLock<GroupName>,
    /// Since when its membership is ending, for others of this process that join.
    pub(super) ending: OnceLock<Ending>,
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

/// Waits for the lock on libcpg's tables ([A12](crate::facts#a12)).
#[cfg(not(cpg_model))]
pub(super) fn lock_tables(deadline: Option<Instant>) -> std::result::Result<TablesGuard, LockError> {
    Tables::lock(deadline)
}

/// As without the model, where a wait in the kernel would be that of all threads.
#[cfg(cpg_model)]
pub(super) fn lock_tables(_deadline: Option<Instant>) -> std::result::Result<TablesGuard, LockError> {
    loop {
        match Tables::lock(Some(Instant::now())) {
            Err(LockError::TimedOut) => crate::os::model::pass(),
            locked => return locked,
        }
    }
}

/// Waits for that lock, for a handle of this process and on a thread that can be left behind: whoever has it can be waiting for
/// the daemon.
pub(super) fn tables() -> TablesGuard {
    lock_tables(None)
        .expect("without a deadline, and in the process that connected, the wait ends with the lock")
}

impl OpenHandle {
    /// Refuses a handle that the parent of this process made ([A7](crate::facts#a7)).
    #[inline]
    pub(super) fn check_owner(&self) -> Result<()> {
        self.owner.check()
    }

    /// Returns the members in the last view that was dispatched.
    #[inline]
    pub(super) fn view_size(&self) -> usize {
        self.view_size.load(Ordering::Relaxed)
    }

    /// As the view that comes with the own join.
    pub(super) fn joined(&self, members: usize) {
        self.view_size.store(members, Ordering::Relaxed);
    }

    /// As [`check`], for a request; but flow control stays in force in the memory that a daemon shared when it died, and must not
    /// be taken for something that passes ([B9](crate::facts#b9)).
    #[inline]
    pub(super) fn check_request(&self, call: &'static str, code: sys::cs_error_t) -> Result<()> {
        if code == sys::CS_OK { Ok(()) } else { Err(self.failed(call, code)) }
    }

    #[cold]
    fn failed(&self, call: &'static str, code: sys::cs_error_t) -> Error {
        let gone = code == sys::CS_ERR_TRY_AGAIN && fd::hung_up(self.fd);
        failure(call, if gone { sys::CS_ERR_LIBRARY } else { code })
    }

    /// Refuses a connection whose daemon has gone: `call` would say so.
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

    /// The program has no further use for the connection.
    pub(super) fn begin_ending(&self) {
        if let (Ok(()), Some(group)) = (self.check_owner(), self.group.get()) {
            self.ending.get_or_init(|| Ending::begin(group.clone()));
        }
    }

    /// Closes the handle, once, by a thread that is left behind when the patience ends first, and says how that went.
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
        // Not with an eye on the socket, whose number is another file's once it has been closed.
        match begun.map(|work| work.wait(None, patience)) {
            Ok(Ok(result)) => result,
            Ok(Err(NotEnded::Failed(error))) => Err(error),
            Ok(Err(NotEnded::Over | NotEnded::HungUp)) => {
                Err(Error::TimedOut { waiting_for: "the daemon to close the connection" })
            }
            // Without a thread nobody can be left behind.
            Err((_, finalize)) => finalize(),
        }
    }
}

impl Drop for OpenHandle {
    fn drop(&mut self) {
        // The daemon's answer changes nothing: libcpg has freed the handle, and a member that did not leave is taken out when
        // its connection goes.
        let _: Result<()> = self.close(&Patience::lasting(DROPPING));
    }
}

/// The memory of zero-copy buffers that nobody has any more: apart from the handle, which a buffer must not keep open.
#[derive(Debug, Default)]
pub(super) struct Unused(Mutex<Vec<AtomicPtr<u8>>>);

impl Unused {
    pub(super) fn push(&self, start: *mut u8) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(AtomicPtr::new(start));
    }
}

/// A handle without its halves, which is closed.
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
        // The daemon has read what was sent when it answers. It is waited for here, so that the lock is not held for as long as
        // it is paused (B16).
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
        // Without a thread it stays open, and is counted on.
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
