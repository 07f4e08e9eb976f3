//! A session: a membership with a queue, whole.

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

/// A membership with a queue, for programs with traffic: whole, for one thread.
///
/// ```no_run
/// use cpg::{Error, Event, Limits, Session};
///
/// let mut session = Session::join("ledger")?;
/// let mut heard = 0;
/// for entry in 0..1000 {
///     while let Err(Error::QueueFull) = session.send(format!("entry {entry}").as_bytes()) {
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
/// It sends, dispatches and leaves as a [`Group`](crate::Group) does, and its messages go through the queue of a [`Sender`],
/// which handlers get. A send never waits here, since nobody else could dispatch meanwhile: it queues the message, or says that
/// the queue is full.
///
/// # More than one thread
///
/// [`split`](Self::split) gives a [`Sender`] for any number of threads, whose sends wait while the queue is full, and a
/// [`Receiver`] for the one thread that dispatches. A session that is whole can move to another thread, and cannot be used by
/// two at once ([A4](crate::facts#a4)).
///
/// # What it cannot be asked
///
/// A session has only its own members. Other questions would hold up its senders: use a [`Handle`](crate::Handle) beside it.
#[derive(Debug)]
pub struct Session {
    receiver: Receiver,
}

impl Session {
    pub(super) fn new(receiver: Receiver) -> Self {
        Self { receiver }
    }

    /// Parts the session into a half for the threads that send, and one for the thread that dispatches.
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

    /// The sending half, which handlers get too. **A send of it that waits never returns here**, on the thread that alone could
    /// dispatch: give a clone to another thread, or use [`send`](Self::send) and [`Sender::try_send`].
    #[inline]
    pub fn sender(&self) -> &Sender {
        self.receiver.sender()
    }

    /// The group.
    pub fn name(&self) -> &GroupName {
        self.receiver.name()
    }

    /// This member: this node and this process.
    pub fn me(&self) -> Member {
        self.receiver.me()
    }

    /// As [`Sender::generation`].
    pub fn generation(&self) -> u64 {
        self.receiver.generation()
    }

    /// As [`Sender::lag`].
    ///
    /// # Errors
    /// As [`Sender::lag`].
    pub fn lag(&self) -> Result<Lag> {
        self.receiver.lag()
    }

    /// As [`Sender::members`].
    ///
    /// # Errors
    /// As [`Sender::members`].
    #[doc(alias = "cpg_membership_get")]
    pub fn members(&self) -> Result<Vec<Member>> {
        self.sender().members()
    }

    /// As [`Sender::max_atomic_message_size`].
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.sender().max_atomic_message_size()
    }

    /// Queues a message, without waiting: as [`Sender::try_send`]. When the queue is full,
    /// [`dispatch`](Self::dispatch) and send again.
    ///
    /// # Errors
    /// As [`Sender::try_send`].
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<Sent> {
        self.sender().try_send(message)
    }

    /// Queues one message made of many slices, without waiting: as [`Sender::try_send_vectored`].
    ///
    /// # Errors
    /// As [`Sender::try_send`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.sender().try_send_vectored(slices)
    }

    /// As [`Sender::ticket`]. Nobody else dispatches here: between dispatches, look at its
    /// [`outcome`](Ticket::outcome).
    pub fn ticket(&self, sent: Sent) -> Ticket {
        self.sender().ticket(sent)
    }

    /// As [`Receiver::dispatch`].
    ///
    /// # Panics
    /// As [`Receiver::dispatch`].
    ///
    /// # Errors
    /// As [`Receiver::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub fn dispatch(&mut self, limits: Limits<'_>, handler: impl FnMut(&Sender, Event<'_>)) -> Result<usize> {
        self.receiver.dispatch(limits, handler)
    }

    /// As [`Receiver::run`].
    ///
    /// # Panics
    /// As [`Receiver::dispatch`].
    ///
    /// # Errors
    /// As [`Receiver::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub fn run<T>(
        &mut self,
        limits: Limits<'_>,
        handler: impl FnMut(&Sender, Event<'_>) -> ControlFlow<T>,
    ) -> Result<Ended<T>> {
        self.receiver.run(limits, handler)
    }

    /// As [`Receiver::recv`].
    ///
    /// # Errors
    /// As [`Receiver::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub fn recv(&mut self) -> Result<OwnedEvent> {
        self.receiver.recv()
    }

    /// As [`Receiver::recv_until`].
    ///
    /// # Errors
    /// As [`Receiver::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub fn recv_until(&mut self, deadline: Instant) -> Result<Option<OwnedEvent>> {
        self.receiver.recv_until(deadline)
    }

    /// As [`Receiver::events`].
    #[doc(alias = "cpg_dispatch")]
    pub fn events(&mut self) -> Events<'_> {
        self.receiver.events()
    }

    /// As [`Receiver::leave`].
    ///
    /// # Errors
    /// As [`Receiver::leave_until`].
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub fn leave(self) -> Result<()> {
        self.receiver.leave()
    }

    /// As [`Receiver::leave_until`].
    ///
    /// # Panics
    /// As [`Receiver::leave_until`].
    ///
    /// # Errors
    /// As [`Receiver::leave_until`].
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub fn leave_until(self, deadline: Instant, handler: impl FnMut(&Sender, Event<'_>)) -> Result<()> {
        self.receiver.leave_until(deadline, handler)
    }
}

/// As that of a [`Receiver`].
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
