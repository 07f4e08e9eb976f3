//! The receiving half of a session.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

use crate::dispatch::events::{Events, Receive};
use crate::dispatch::limits::{Ended, Limits};
use crate::dispatch::run::{Progress, Stopped, run, until_broken};
use crate::error::{Error, Result};
use crate::event::event::{Event, OwnedEvent};
use crate::ffi::requests::Counted;
#[cfg(feature = "tokio")]
use crate::group::leave::OwnLeave;
use crate::group::leave::{RETRY, leave};
use crate::group_name::GroupName;
use crate::member::Member;
use crate::session::incoming::{Incoming, Leaving};
use crate::session::lag::Lag;
use crate::session::sender::Sender;
use crate::session::shared::{Closes, Shared};
use crate::session::turn::{Dispatching, Turn};

/// The receiving half of a session, for the one thread that dispatches. [`Session::split`](crate::Session::split) gives it.
///
/// Dispatching lets the messages in the queue of the [`Sender`]s out, and hands back messages that were not delivered. Handlers
/// get a `&Sender`, the same type that other threads use. In a handler, a send that has to wait is refused with
/// [`Error::WouldWait`].
///
/// ```no_run
/// use std::ops::ControlFlow;
/// use std::time::{Duration, Instant};
/// use cpg::{Ended, Event, Limits, Session};
///
/// let (sender, mut receiver) = Session::join("ledger")?.split();
/// sender.send(b"+5 alice")?;
/// let soon = || Instant::now() + Duration::from_millis(100);
/// receiver.dispatch(Limits::one().until(soon()), |_, event| println!("{event:?}"))?;
/// while let Some(event) = receiver.recv_until(soon())? {
///     println!("{event:?}");
/// }
/// let limits = Limits::forever().until(soon());
/// let ended = receiver.run(limits, |_, _| ControlFlow::<()>::Continue(()))?;
/// assert_eq!((ended, receiver.lag()?.in_flight()), (Ended::TimedOut, 0));
/// // Leaving first sends all accepted messages, and hands their delivery to the handler.
/// sender.send(b"-5 alice")?;
/// let mut last = Vec::new();
/// receiver.leave_until(Instant::now() + Duration::from_secs(10), |_, event| {
///     if let Event::Deliver(message) = event {
///         last = message.payload().to_vec();
///     }
/// })?;
/// assert_eq!(last, b"-5 alice");
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// # Dropping the receiver
///
/// Use [`leave`](Self::leave) to be sure that everything in the queue is sent. Dropping the receiver sends what can be sent at
/// once, and loses the other messages in the queue. The half of a session that is dropped last closes the handle, and waits for
/// the daemon for half a second at most ([B16](crate::facts#b16)). If a [long](Sender#long-messages) message is being sent at
/// that moment, that drop first waits for it and for the messages behind it, for one second in all.
#[derive(Debug)]
pub struct Receiver {
    /// The first field, so that it is dropped first.
    heard: Heard,
    sender: Sender,
    incoming: Incoming,
}

/// A guard that tells the queue, when it is dropped, that no thread dispatches any more. Telling twice does no harm.
#[derive(Debug)]
pub(crate) struct Heard(Arc<Shared>);

impl Heard {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.0.unheard();
    }
}

impl Receiver {
    pub(super) fn new(sender: Sender, incoming: Incoming) -> Self {
        Self { heard: Heard::new(sender.shared()), sender, incoming }
    }

    /// Returns the sending half.
    #[inline]
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Returns the name of the group.
    pub fn name(&self) -> &GroupName {
        self.sender.name()
    }

    /// Returns this member: this node and this process.
    pub fn me(&self) -> Member {
        self.sender.me()
    }

    /// Returns the number of the membership; see [`Sender::generation`].
    pub fn generation(&self) -> u64 {
        self.sender.generation()
    }

    /// Returns how far this member lags behind the messages that it has sent; see [`Sender::lag`].
    ///
    /// # Errors
    /// Those of [`Sender::lag`].
    pub fn lag(&self) -> Result<Lag> {
        self.sender.lag()
    }

    /// Hands events to `handler` within the limits, and returns the number of events, as
    /// [`Group::dispatch`](crate::Group::dispatch) does. A session that [reconnects](crate::Reconnect) goes on when it has lost
    /// the daemon.
    ///
    /// # Panics
    /// Panics as [`Group::dispatch`](crate::Group::dispatch) does.
    ///
    /// # Errors
    /// Those of [`Group::dispatch`](crate::Group::dispatch). Before an error that ends the membership, the handler gets the
    /// messages that are left [undelivered](crate::Event::Undelivered). Each later dispatch returns the same error.
    #[doc(alias = "cpg_dispatch")]
    pub fn dispatch(
        &mut self,
        limits: Limits<'_>,
        mut handler: impl FnMut(&Sender, Event<'_>),
    ) -> Result<usize> {
        let progress = Progress::new(limits);
        self.pump(&progress, &mut handler)?;
        Ok(progress.handled())
    }

    /// Dispatches until the limits of `progress` end it.
    fn pump(
        &mut self,
        progress: &Progress<'_>,
        handler: &mut impl FnMut(&Sender, Event<'_>),
    ) -> Result<Stopped> {
        let mut counted = None;
        loop {
            match self.turn(progress, counted, handler)? {
                Stopped::Full => counted = self.counted(self.sender.shared().count())?,
                stopped => return Ok(stopped),
            }
        }
    }

    /// Dispatches until the limits of `progress` end it, or the members of a full group have to be [counted](Self::counted).
    ///
    /// A count that this turn does not use is dropped with the turn, because other members may join before the next one.
    pub(crate) fn turn(
        &mut self,
        progress: &Progress<'_>,
        counted: Option<Counted>,
        handler: &mut impl FnMut(&Sender, Event<'_>),
    ) -> Result<Stopped> {
        let Self { sender, incoming, .. } = self;
        let dispatching = Dispatching::begin(sender.shared().outbox());
        let turn = &mut Turn { sender, incoming, dispatching: &dispatching, counted, handler };
        let result = run(turn, progress);
        dispatching.end(incoming.has_more());
        result
    }

    /// Returns the count that allows taking the next event of a full group. If counting shows that the membership has ended, the
    /// session is told; another error concerns only the connection that was used for counting.
    pub(crate) fn counted(&mut self, counted: Result<Counted>) -> Result<Option<Counted>> {
        match counted {
            Ok(counted) => Ok(Some(counted)),
            Err(error) if error.is_connection_lost() => {
                self.incoming.failed(self.sender.shared(), error).map(|()| None)
            }
            Err(error) => Err(error),
        }
    }

    /// Hands events to `handler` until it breaks with a value, or the limits end the run, as [`Group::run`](crate::Group::run)
    /// does.
    ///
    /// # Panics
    /// Panics as [`Group::dispatch`](crate::Group::dispatch) does.
    ///
    /// # Errors
    /// Those of [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn run<T>(
        &mut self,
        limits: Limits<'_>,
        handler: impl FnMut(&Sender, Event<'_>) -> ControlFlow<T>,
    ) -> Result<Ended<T>> {
        let (progress, mut value) = (Progress::new(limits), None);
        let stopped = self.pump(&progress, &mut until_broken(&progress, &mut value, handler))?;
        Ok(stopped.into_ended(value))
    }

    /// Waits for the next event, and returns a copy that can be kept, as [`Group::recv`](crate::Group::recv) does.
    ///
    /// # Errors
    /// Those of [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn recv(&mut self) -> Result<OwnedEvent> {
        loop {
            let ended = self.run(Limits::forever(), |_, event| ControlFlow::Break(event.into_owned()))?;
            if let Some(event) = ended.broke() {
                return Ok(event);
            }
        }
    }

    /// Waits for the next event until the deadline, as [`Group::recv_until`](crate::Group::recv_until) does.
    ///
    /// # Errors
    /// Those of [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn recv_until(&mut self, deadline: Instant) -> Result<Option<OwnedEvent>> {
        let limits = Limits::one().until(deadline);
        Ok(self.run(limits, |_, event| ControlFlow::Break(event.into_owned()))?.broke())
    }

    /// Returns the events as an iterator, as [`Group::events`](crate::Group::events) does.
    #[doc(alias = "cpg_dispatch")]
    pub fn events(&mut self) -> Events<'_> {
        Events::new(self)
    }

    /// Sends the messages in the queue, leaves the group and closes the handle, as [`Group::leave`](crate::Group::leave) does.
    /// From the beginning of this call on, sends are refused with [`Error::Left`].
    ///
    /// # Errors
    /// Those of [`leave_until`](Self::leave_until).
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub fn leave(self) -> Result<()> {
        let deadline = self.sender.shared().deadline();
        self.leave_until(deadline, |_, _| {})
    }

    /// Sends the messages in the queue, leaves the group and closes the handle, as
    /// [`Group::leave_until`](crate::Group::leave_until) does. From the beginning of this call on, sends are refused with
    /// [`Error::Left`]. Messages that were not delivered come to the handler as [`Event::Undelivered`].
    ///
    /// # Panics
    /// Panics as [`Group::leave_until`](crate::Group::leave_until) does.
    ///
    /// # Errors
    /// Those of [`Group::leave_until`](crate::Group::leave_until). If the session has lost its membership and is not back,
    /// there is nothing to leave, and the result is `Ok`.
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub fn leave_until(
        mut self,
        deadline: Instant,
        mut handler: impl FnMut(&Sender, Event<'_>),
    ) -> Result<()> {
        let shared = Arc::clone(self.sender.shared());
        // Without a membership, nothing below would check the process.
        shared.check_owner()?;
        // Ends the membership also if the leave fails or the handler panics, although senders are left.
        let closes = Closes(Arc::clone(&shared));
        let left = match self.begin_leave() {
            Leaving::Here => self.leave_here(deadline, &mut handler).map(|()| Error::DroppedByDaemon),
            Leaving::Away(rejoin) => {
                // Ends the search for the daemon. If the search has just joined, this waits for the daemon.
                drop(rejoin);
                Ok(Error::Left)
            }
            Leaving::Over(error) => Err(error),
        };
        self.end_leave(&left, &mut handler);
        left?;
        let Self { incoming, heard, .. } = self;
        drop(incoming);
        let result = shared.take().map_or(Ok(()), |daemon| daemon.close(&deadline.into()));
        drop((closes, heard));
        result
    }

    /// Refuses messages from now on. No other membership follows.
    pub(crate) fn begin_leave(&mut self) -> Leaving {
        self.sender.shared().outbox().close();
        self.incoming.begin_leave()
    }

    /// Ends the queue after the leave with the result `left`. Messages that have not come back by now are handed back.
    pub(crate) fn end_leave(&mut self, left: &Result<Error>, handler: &mut impl FnMut(&Sender, Event<'_>)) {
        let outbox = self.sender.shared().outbox();
        outbox.end(match left {
            Ok(error) => error,
            // The membership had ended before the leave.
            Err(error) if error.is_final() => error,
            Err(_) => &Error::Left,
        });
        while let Some(message) = outbox.take_returned() {
            handler(&self.sender, Event::Undelivered(message));
        }
    }

    /// Returns the state of this member's own leave.
    #[cfg(feature = "tokio")]
    pub(crate) fn own_leave(&self) -> &OwnLeave {
        &self.incoming.leave
    }

    fn leave_here(&mut self, deadline: Instant, handler: &mut impl FnMut(&Sender, Event<'_>)) -> Result<()> {
        let shared = Arc::clone(self.sender.shared());
        while shared.outbox().is_waiting() {
            let now = Instant::now();
            if now >= deadline {
                return Err(Error::TimedOut { waiting_for: "the queue to be sent" });
            }
            // When the last part of a long message has been sent, no event says so.
            self.dispatch(Limits::one().until(deadline.min(now + RETRY)), &mut *handler)?;
        }
        leave(
            self,
            deadline,
            |receiver| &receiver.incoming.leave,
            |receiver| receiver.sender.shared().leave(&deadline.into()),
            |receiver, until| receiver.dispatch(Limits::one().until(until), &mut *handler),
        )
    }
}

impl Receive for Receiver {
    fn receive(&mut self) -> Result<OwnedEvent> {
        self.recv()
    }
}

/// The descriptor to wait on in an event loop: see [`Group`](crate::Group#impl-AsFd-for-Group). It stays the same when the
/// session comes back on another connection.
impl AsFd for Receiver {
    #[doc(alias = "cpg_fd_get")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sender.shared().outbox().readiness().as_fd()
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
