//! A session that is not split: a membership with a sending queue, for one thread.

use std::io::IoSlice;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

use crate::dispatch::events::Events;
use crate::dispatch::limits::{Ended, Limits};
use crate::error::Result;
use crate::event::event::{Event, OwnedEvent};
use crate::group_name::GroupName;
use crate::member::Member;
use crate::session::lag::Lag;
use crate::session::receiver::Receiver;
use crate::session::sender::Sender;
use crate::session::sent::Sent;
use crate::session::ticket::Ticket;

/// A membership in a group, with a sending queue. One thread uses the whole session, or [`split`](Self::split) divides it between
/// threads.
///
/// ```no_run
/// use cpg::{Error, Event, Limits, Session};
///
/// let mut session = Session::join("ledger")?;
/// let mut heard = 0;
/// for entry in 0..1000 {
///     while let Err(error) = session.send(format!("entry {entry}").as_bytes()) {
///         if error != Error::QueueFull {
///             return Err(error);
///         }
///         session.dispatch(Limits::one(), |_, event| heard += usize::from(matches!(event, Event::Deliver(_))))?;
///     }
/// }
/// while heard < 1000 {
///     session.dispatch(Limits::one(), |_, event| heard += usize::from(matches!(event, Event::Deliver(_))))?;
/// }
/// session.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// A session sends, dispatches and leaves as a [`Group`](crate::Group) does, but its messages go through the queue of a
/// [`Sender`]. Handlers get this `Sender`. [`send`](Self::send) of a whole session never waits, because no other thread could
/// dispatch meanwhile: it queues the message, or says that the queue is full.
///
/// # More than one thread
///
/// [`split`](Self::split) gives a [`Sender`] for any number of threads, and a [`Receiver`] for the one thread that dispatches.
/// [`Sender::send`] waits while the queue is full. A session that is not split can move to another thread, but two threads
/// cannot use it at once ([A4](crate::facts#a4)).
///
/// # Questions to the daemon
///
/// A session knows only the members of its own group. Other questions would hold up its senders: ask them with a
/// [`Handle`](crate::Handle) beside the session.
#[derive(Debug)]
pub struct Session {
    receiver: Receiver,
}

impl Session {
    pub(super) fn new(receiver: Receiver) -> Self {
        Self { receiver }
    }

    /// Splits the session into a half for the threads that send, and a half for the thread that dispatches.
    ///
    /// ```no_run
    /// use cpg::Session;
    ///
    /// let (sender, mut receiver) = Session::join("ledger")?.split();
    /// let threads: Vec<_> = (0..8)
    ///     .map(|i| {
    ///         let sender = sender.clone();
    ///         std::thread::spawn(move || sender.send(format!("from thread {i}").as_bytes()))
    ///     })
    ///     .collect();
    /// for event in receiver.events().take(9) {
    ///     println!("{:?}", event?);
    /// }
    /// for thread in threads {
    ///     thread.join().unwrap()?;
    /// }
    /// receiver.leave()?;
    /// assert!(matches!(sender.send(b"too late"), Err(cpg::Error::Left)));
    /// # Ok::<(), cpg::Error>(())
    /// ```
    pub fn split(self) -> (Sender, Receiver) {
        (self.receiver.sender().clone(), self.receiver)
    }

    /// Returns the sending half, which handlers get too. **On this thread, a [`Sender::send`] that has to wait never returns**,
    /// because only this thread could dispatch. Give a clone to another thread, or use [`send`](Self::send) or
    /// [`Sender::try_send`].
    #[inline]
    pub fn sender(&self) -> &Sender {
        self.receiver.sender()
    }

    /// Returns the name of the group.
    pub fn name(&self) -> &GroupName {
        self.receiver.name()
    }

    /// Returns this member: this node and this process.
    pub fn me(&self) -> Member {
        self.receiver.me()
    }

    /// Returns the number of the membership; see [`Sender::generation`].
    pub fn generation(&self) -> u64 {
        self.receiver.generation()
    }

    /// Returns how far this member lags behind the messages that it has sent; see [`Sender::lag`].
    ///
    /// # Errors
    /// Those of [`Sender::lag`].
    pub fn lag(&self) -> Result<Lag> {
        self.receiver.lag()
    }

    /// Returns the members of the group; see [`Sender::members`].
    ///
    /// # Errors
    /// Those of [`Sender::members`].
    #[doc(alias = "cpg_membership_get")]
    pub fn members(&self) -> Result<Vec<Member>> {
        self.sender().members()
    }

    /// Returns the size of the longest message that goes out in one piece; see [`Sender::max_atomic_message_size`].
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.sender().max_atomic_message_size()
    }

    /// Queues a message without waiting, as [`Sender::try_send`] does. If the queue is full, [`dispatch`](Self::dispatch) and
    /// send again.
    ///
    /// # Errors
    /// Those of [`Sender::try_send`].
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<Sent> {
        self.sender().try_send(message)
    }

    /// Queues one message made of many slices without waiting, as [`Sender::try_send_vectored`] does.
    ///
    /// # Errors
    /// Those of [`Sender::try_send`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.sender().try_send_vectored(slices)
    }

    /// Makes a ticket of a message, as [`Sender::ticket`] does. No other thread dispatches here, so look at the ticket's
    /// [`outcome`](Ticket::outcome) between dispatches.
    pub fn ticket(&self, sent: Sent) -> Ticket {
        self.sender().ticket(sent)
    }

    /// Hands events to `handler` within the limits, and returns the number of events; see [`Receiver::dispatch`].
    ///
    /// # Panics
    /// Panics as [`Receiver::dispatch`] does.
    ///
    /// # Errors
    /// Those of [`Receiver::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub fn dispatch(&mut self, limits: Limits<'_>, handler: impl FnMut(&Sender, Event<'_>)) -> Result<usize> {
        self.receiver.dispatch(limits, handler)
    }

    /// Hands events to `handler` until it breaks with a value, or the limits end the run; see [`Receiver::run`].
    ///
    /// # Panics
    /// Panics as [`Receiver::dispatch`] does.
    ///
    /// # Errors
    /// Those of [`Receiver::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub fn run<T>(
        &mut self,
        limits: Limits<'_>,
        handler: impl FnMut(&Sender, Event<'_>) -> ControlFlow<T>,
    ) -> Result<Ended<T>> {
        self.receiver.run(limits, handler)
    }

    /// Waits for the next event, and returns a copy of it; see [`Receiver::recv`].
    ///
    /// # Errors
    /// Those of [`Receiver::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub fn recv(&mut self) -> Result<OwnedEvent> {
        self.receiver.recv()
    }

    /// Waits for the next event until the deadline; see [`Receiver::recv_until`].
    ///
    /// # Errors
    /// Those of [`Receiver::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub fn recv_until(&mut self, deadline: Instant) -> Result<Option<OwnedEvent>> {
        self.receiver.recv_until(deadline)
    }

    /// Returns the events as an iterator; see [`Receiver::events`].
    #[doc(alias = "cpg_dispatch")]
    pub fn events(&mut self) -> Events<'_> {
        self.receiver.events()
    }

    /// Sends the messages in the queue, leaves the group and closes the handle; see [`Receiver::leave`].
    ///
    /// # Errors
    /// Those of [`Receiver::leave_until`].
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub fn leave(self) -> Result<()> {
        self.receiver.leave()
    }

    /// Leaves as [`leave`](Self::leave) does, with a deadline, and hands events to `handler` until the end; see
    /// [`Receiver::leave_until`].
    ///
    /// # Panics
    /// Panics as [`Receiver::leave_until`] does.
    ///
    /// # Errors
    /// Those of [`Receiver::leave_until`].
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub fn leave_until(self, deadline: Instant, handler: impl FnMut(&Sender, Event<'_>)) -> Result<()> {
        self.receiver.leave_until(deadline, handler)
    }
}

/// The descriptor to wait on in an event loop: the same as that of a [`Receiver`](Receiver#impl-AsFd-for-Receiver).
impl AsFd for Session {
    #[doc(alias = "cpg_fd_get")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

impl AsRawFd for Session {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
