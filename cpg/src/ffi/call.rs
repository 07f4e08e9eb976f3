//! The half that makes requests, and the call that has it at the moment.
//!
//! libcpg waits for the daemon's answer without a limit ([B16](crate::facts#b16)). So a thread of this crate makes each request,
//! and can be left behind. The half moves to that thread as a value. Meanwhile nobody else can make a request, and an answer is
//! never taken for the answer to another call ([A4](crate::facts#a4)). The half comes back with the answer, and the next request
//! finds it there.

use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cpg_sys as sys;

use crate::error::{Error, Result};
use crate::ffi::open::OpenHandle;
use crate::ffi::options::ConnectOptions;
use crate::ffi::requests::{RequestHalf, Small};
use crate::ffi::send::{Credit, Few, MCAST, Room};
use crate::flow_control::FlowControl;
use crate::guarantee::Guarantee;
use crate::os::fd;
use crate::os::outstanding::{End, NotEnded, Outstanding, Waited};
use crate::os::patience::Patience;
use crate::os::worker::Worker;

/// The event that a request waits for.
const ANSWER: &str = "the answer of the daemon, which may be paused";

/// The bytes of a long message for which a request gets one more millisecond.
const SLOWEST: usize = 1 << 10;

/// The requests of a connection, which are made one at a time.
#[derive(Debug)]
pub(crate) struct Requests {
    open: Arc<OpenHandle>,
    slot: RefCell<Slot>,
    /// The messages that can be sent on this thread: 0 while the half is away.
    credit: Credit,
    /// The thread that is kept for further requests, if there is one.
    worker: RefCell<Option<Worker>>,
    /// True if the thread of the next request is kept.
    keeps_worker: Cell<bool>,
}

/// The place of the half.
#[derive(Debug)]
enum Slot {
    Here(RequestHalf),
    Away(Away),
}

/// The place to which a call gives the half back.
#[derive(Debug, Clone)]
struct Away {
    half: Arc<Mutex<Option<RequestHalf>>>,
    end: End,
}

impl Away {
    fn put(&self, half: RequestHalf) {
        *self.half.lock().unwrap_or_else(PoisonError::into_inner) = Some(half);
    }

    fn take(&self) -> Option<RequestHalf> {
        self.half.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A guard that gives the half back when it is dropped, also by a panic.
struct Lent {
    half: Option<RequestHalf>,
    away: Away,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(half) = self.half.take() {
            self.away.put(half);
        }
    }
}

/// A call that has the half.
#[derive(Debug)]
pub(crate) struct Busy {
    open: Arc<OpenHandle>,
    away: Away,
}

impl Busy {
    /// Waits until the half is back.
    ///
    /// # Errors
    /// The half has not come back in time, or the daemon is dead.
    pub(crate) fn wait(&self, call: &'static str, patience: &Patience<'_>) -> Result<()> {
        match self.away.end.wait(Some(self.open.as_fd()), patience) {
            Waited::Ended => Ok(()),
            Waited::HungUp => Err(Error::cs(call, sys::CS_ERR_LIBRARY)),
            Waited::Over => Err(Error::CallOutstanding),
        }
    }
}

/// A request that has been made.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    call: &'static str,
    open: Arc<OpenHandle>,
    work: Outstanding<Result<T>>,
}

impl<T: Send + 'static> Pending<T> {
    /// Waits for the answer. If no answer comes in time, the call is left behind with the half.
    pub(crate) fn wait(self, patience: &Patience<'_>) -> Result<T> {
        match self.work.wait(Some(self.open.as_fd()), patience) {
            Ok(result) => result,
            // libcpg notices the death of the daemon later, or never (A19).
            Err(NotEnded::HungUp) => Err(Error::cs(self.call, sys::CS_ERR_LIBRARY)),
            Err(NotEnded::Over) => Err(Error::TimedOut { waiting_for: ANSWER }),
            Err(NotEnded::Failed(error)) => Err(error),
        }
    }
}

impl Requests {
    pub(super) fn new(open: Arc<OpenHandle>) -> Self {
        let half = RequestHalf::new(Arc::clone(&open));
        let slot = RefCell::new(Slot::Here(half));
        let credit = Credit::default();
        Self { open, slot, credit, worker: RefCell::new(None), keeps_worker: Cell::new(false) }
    }

    /// Refuses a connection that a parent of this process made ([A7](crate::facts#a7)).
    #[inline]
    pub(crate) fn check_owner(&self) -> Result<()> {
        self.open.check_owner()
    }

    /// Keeps the thread of the next request for later requests.
    pub(crate) fn keep_worker(&self) {
        self.keeps_worker.set(true);
    }

    /// Makes several requests on one thread. The thread ends afterwards, unless it is kept.
    pub(crate) fn with_one_worker<R>(&self, requests: impl FnOnce() -> R) -> R {
        let kept = self.keeps_worker.replace(true);
        let result = requests();
        self.keeps_worker.set(kept);
        if !kept {
            self.worker.take();
        }
        result
    }

    /// Returns the options for another connection to the same daemon.
    pub(crate) fn options(&self) -> ConnectOptions {
        self.open.options
    }

    /// Returns the deadline of a request that begins now.
    pub(crate) fn deadline(&self) -> Instant {
        self.open.options.deadline()
    }

    /// Returns the patience of a request without a deadline.
    pub(crate) fn patience(&self) -> Patience<'static> {
        self.deadline().into()
    }

    /// Returns the size of the longest message that is sent in one piece.
    #[inline]
    pub(crate) fn max_atomic(&self) -> usize {
        self.open.max_atomic
    }

    /// Returns the proof that the group was small in its last view, if it was.
    pub(crate) fn small(&self) -> Option<Small> {
        Small::in_view(self.open.view_size())
    }

    /// Records the number of members when the join was delivered. It counts as the size of the first view.
    pub(crate) fn joined(&self, members: usize) {
        self.open.joined(members);
    }

    pub(crate) fn flow_control(&self) -> Result<FlowControl> {
        self.open.flow_control()
    }

    pub(super) fn open(&self) -> &Arc<OpenHandle> {
        &self.open
    }

    /// Returns the call that has the half. `None` if the half is here.
    pub(crate) fn busy(&self) -> Option<Busy> {
        let mut slot = self.slot.borrow_mut();
        let Slot::Away(away) = &*slot else { return None };
        match away.take() {
            Some(half) => {
                *slot = Slot::Here(half);
                None
            }
            None => Some(Busy { open: Arc::clone(&self.open), away: away.clone() }),
        }
    }

    /// Takes the room for one message, which is then sent on this thread.
    #[inline]
    fn room(&self) -> Result<Room> {
        self.check_owner()?;
        self.credit.take().map_or_else(|| self.look_for_room(), Ok)
    }

    #[cold]
    fn look_for_room(&self) -> Result<Room> {
        if self.busy().is_some() {
            let gone = fd::hung_up(self.open.fd);
            return Err(if gone { Error::cs(MCAST, sys::CS_ERR_LIBRARY) } else { Error::CallOutstanding });
        }
        match &*self.slot.borrow() {
            Slot::Here(half) => self.credit.renew(half, MCAST),
            Slot::Away(_) => Err(Error::CallOutstanding),
        }
    }

    /// Makes a request on a thread of this crate. Afterwards the thread calls `after` with the result, even if the request has
    /// panicked. The half is back by then.
    ///
    /// # Errors
    /// The half is [`busy`](Self::busy), or no thread can be had. In both cases `after` is not called.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        call: &'static str,
        request: impl FnOnce(&RequestHalf) -> Result<T> + Send + 'static,
        after: impl FnOnce(Result<()>) + Send + 'static,
    ) -> Result<Pending<T>> {
        self.check_owner()?;
        if self.busy().is_some() {
            return Err(Error::CallOutstanding);
        }
        let end = End::new();
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start()?,
        };
        let away = Away { half: Arc::default(), end: end.clone() };
        let before = self.slot.replace(Slot::Away(away.clone()));
        let Slot::Here(half) = before else { return Err(Error::CallOutstanding) };
        self.credit.end();
        let lent = Lent { half: Some(half), away };
        let work = move || {
            // The whole guard is moved in, so that it gives the half back once there is a result.
            let lent = lent;
            let half = lent.half.as_ref().ok_or(Error::CallOutstanding)?;
            half.free_unused();
            request(half)
        };
        let after = move |result: Result<&Result<T>>| {
            after(result.and_then(|result| result.as_ref().map(|_| ()).map_err(Error::clone)));
        };
        let (work, give) = Outstanding::prepare(end, work, after);
        let given = worker.give(give);
        if given.is_ok() && self.keeps_worker.get() {
            self.worker.replace(Some(worker));
        }
        // Dropping the work gives the half back. Nobody waits for its end, because the half was never seen away.
        given.map_err(|back| {
            drop(back);
            Error::CallOutstanding
        })?;
        Ok(Pending { call, open: Arc::clone(&self.open), work })
    }

    /// Makes a request after the one that is being made, and waits for the answer. If the deadline has passed already, the
    /// request still gets a moment.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        call: &'static str,
        patience: &Patience<'_>,
        request: impl FnOnce(&RequestHalf) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.ask_by(call, &patience.attempt(), request)
    }

    /// Makes a request as [`ask`](Self::ask) does, but does not wait at all if the deadline has passed already.
    pub(crate) fn ask_by<T: Send + 'static>(
        &self,
        call: &'static str,
        patience: &Patience<'_>,
        request: impl FnOnce(&RequestHalf) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.check_owner()?;
        if let Some(busy) = self.busy() {
            busy.wait(call, patience)?;
        }
        self.begin(call, request, |_| ())?.wait(patience)
    }

    /// Sends a message. A message above the atomic size is copied, and waits until the daemon has taken each part.
    #[inline]
    pub(crate) fn mcast(
        &self,
        guarantee: Guarantee,
        slices: &[IoSlice<'_>],
        patience: Option<&Patience<'_>>,
    ) -> Result<()> {
        let len = slices.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        if len > self.max_atomic() {
            return self.mcast_long(guarantee, slices, len, patience);
        }
        match Few::new(slices) {
            Some(slices) => self.open.mcast(self.room()?, guarantee, slices),
            None => self.mcast_gathered(guarantee, &gather(slices, len)),
        }
    }

    #[cold]
    fn mcast_gathered(&self, guarantee: Guarantee, bytes: &[u8]) -> Result<()> {
        self.open.mcast(self.room()?, guarantee, Few::one(&IoSlice::new(bytes)))
    }

    #[cold]
    fn mcast_long(
        &self,
        guarantee: Guarantee,
        slices: &[IoSlice<'_>],
        len: usize,
        patience: Option<&Patience<'_>>,
    ) -> Result<()> {
        self.check_owner()?;
        RequestHalf::check_length(len)?;
        let bytes = gather(slices, len);
        let more = Duration::from_millis((len / SLOWEST) as u64);
        let timeout = self.open.options.timeout().saturating_add(more);
        let lasting = Patience::lasting(timeout);
        let send = move |half: &RequestHalf| half.mcast_long(guarantee, &bytes);
        self.ask(MCAST, patience.unwrap_or(&lasting), send)
    }

    /// Closes the handle and returns the result, unless the other half keeps the handle open.
    pub(crate) fn close(self, patience: &Patience<'_>) -> Result<()> {
        self.check_owner()?;
        let patience = &patience.attempt();
        if let Some(busy) = self.busy() {
            // If the half does not come back, the call that has it closes the handle at its end.
            busy.wait("cpg_finalize", patience)?;
            drop(self.busy());
        }
        let Self { open, slot, .. } = self;
        drop(slot);
        Arc::into_inner(open).map_or(Ok(()), |mut open| open.close(patience))
    }
}

impl AsFd for Requests {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }
}

fn gather(slices: &[IoSlice<'_>], len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    for slice in slices {
        bytes.extend_from_slice(slice);
    }
    bytes
}
