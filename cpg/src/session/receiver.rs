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

/// The receiving half of a session, from [`Session::split`](crate::Session::split): for the one thread that dispatches.
///
/// Its dispatch clocks the queue of the [`Sender`]s, and hands back what was not delivered. Handlers get a `&Sender`, the same
/// type that other threads use; in a handler, a send that would have to wait is refused with
/// [`Error::WouldWait`].
///
/// Dropping it sends what waits in the queue if that can be done at once, and loses the rest; [`leave`](Self::leave) sees it sent. (A
/// [long](Sender#long-messages) message that is being sent has a second for that, and what is behind it too.)
/// The last half to be dropped closes the handle, and waits for the daemon for half a second at most ([B16](crate::facts#b16)).
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
/// // What was accepted is sent before it leaves, and heard.
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
#[derive(Debug)]
pub struct Receiver {
    /// First, so that it goes first.
    heard: Heard,
    sender: Sender,
    incoming: Incoming,
}

/// Tells the queue that nobody dispatches any more, when it goes: once, however often it is told.
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

    /// The sending half.
    #[inline]
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// The group.
    pub fn name(&self) -> &GroupName {
        self.sender.name()
    }

    /// This member: this node and this process.
    pub fn me(&self) -> Member {
        self.sender.me()
    }

    /// As [`Sender::generation`].
    pub fn generation(&self) -> u64 {
        self.sender.generation()
    }

    /// As [`Sender::lag`].
    ///
    /// # Errors
    /// As [`Sender::lag`].
    pub fn lag(&self) -> Result<Lag> {
        self.sender.lag()
    }

    /// As [`Group::dispatch`](crate::Group::dispatch); a session that [reconnects](crate::Reconnect) goes on when the daemon has
    /// gone.
    ///
    /// # Panics
    /// As [`Group::dispatch`](crate::Group::dispatch).
    ///
    /// # Errors
    /// As [`Group::dispatch`](crate::Group::dispatch). Errors that end the membership come after the messages that they leave
    /// [undelivered](crate::Event::Undelivered), and again from each further dispatch.
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

    /// Dispatches until the limits of `progress` end it, or the members of a full group are to be [`counted`](Self::counted).
    ///
    /// A count that this turn does not use is gone with it: later, others may have joined.
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

    /// Returns what lets the next event of a full group be taken. A count finds out that the membership has ended; another error
    /// is of the connection that it was made on.
    pub(crate) fn counted(&mut self, counted: Result<Counted>) -> Result<Option<Counted>> {
        match counted {
            Ok(counted) => Ok(Some(counted)),
            Err(error) if error.is_connection_lost() => {
                self.incoming.failed(self.sender.shared(), error).map(|()| None)
            }
            Err(error) => Err(error),
        }
    }

    /// As [`Group::run`](crate::Group::run).
    ///
    /// # Panics
    /// As [`Group::dispatch`](crate::Group::dispatch).
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
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

    /// As [`Group::recv`](crate::Group::recv).
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn recv(&mut self) -> Result<OwnedEvent> {
        loop {
            let ended = self.run(Limits::forever(), |_, event| ControlFlow::Break(event.into_owned()))?;
            if let Some(event) = ended.broke() {
                return Ok(event);
            }
        }
    }

    /// As [`Group::recv_until`](crate::Group::recv_until).
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn recv_until(&mut self, deadline: Instant) -> Result<Option<OwnedEvent>> {
        let limits = Limits::one().until(deadline);
        Ok(self.run(limits, |_, event| ControlFlow::Break(event.into_owned()))?.broke())
    }

    /// As [`Group::events`](crate::Group::events).
    #[doc(alias = "cpg_dispatch")]
    pub fn events(&mut self) -> Events<'_> {
        Events::new(self)
    }

    /// As [`Group::leave`](crate::Group::leave), when what waits in the queue has been sent; the senders are refused from the
    /// moment that it begins.
    ///
    /// # Errors
    /// As [`leave_until`](Self::leave_until).
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub fn leave(self) -> Result<()> {
        let deadline = self.sender.shared().deadline();
        self.leave_until(deadline, |_, _| {})
    }

    /// As [`Group::leave_until`](crate::Group::leave_until), when what waits in the queue has been sent; the senders are refused
    /// from the moment that it begins. The handler gets back what was not delivered.
    ///
    /// # Panics
    /// As [`Group::leave_until`](crate::Group::leave_until).
    ///
    /// # Errors
    /// As [`Group::leave_until`](crate::Group::leave_until). A session that is on its way [back](crate::Reconnect), or has not
    /// found it, has no membership to end, which is none.
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub fn leave_until(
        mut self,
        deadline: Instant,
        mut handler: impl FnMut(&Sender, Event<'_>),
    ) -> Result<()> {
        let shared = Arc::clone(self.sender.shared());
        // Where there is no membership nothing else would look.
        shared.check_owner()?;
        // The membership ends also when the leave fails or its handler panics, though there are senders.
        let closes = Closes(Arc::clone(&shared));
        let left = match self.begin_leave() {
            Leaving::Here => self.leave_here(deadline, &mut handler).map(|()| Error::DroppedByDaemon),
            Leaving::Away(rejoin) => {
                // This ends the search, and waits for the daemon if it has found something.
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

    /// Refuses messages from now on; no other membership follows.
    pub(crate) fn begin_leave(&mut self) -> Leaving {
        self.sender.shared().outbox().close();
        self.incoming.begin_leave()
    }

    /// The leave has gone as `left` says, with why what has not come back by now does not come: it is handed back.
    pub(crate) fn end_leave(&mut self, left: &Result<Error>, handler: &mut impl FnMut(&Sender, Event<'_>)) {
        let outbox = self.sender.shared().outbox();
        outbox.end(match left {
            Ok(error) => error,
            // The membership had ended before it could be left.
            Err(error) if error.is_final() => error,
            Err(_) => &Error::Left,
        });
        while let Some(message) = outbox.take_returned() {
            handler(&self.sender, Event::Undelivered(message));
        }
    }

    /// Returns how far the own leave has come.
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
            // The end of a message in parts makes no event.
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

/// As that of a [`Group`](crate::Group); it stays the same when the session comes back with another connection.
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
