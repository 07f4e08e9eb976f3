//! A session of a task.

use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::Stream;
use futures_core::stream::FusedStream;

use crate::error::Result;
use crate::event::event::{Event, OwnedEvent};
use crate::group_name::GroupName;
use crate::member::Member;
use crate::session;
use crate::session::lag::Lag;
use crate::session::sent::Sent;
use crate::session::ticket::Ticket;
use crate::tokio::receiver::Receiver;
use crate::tokio::sender::Sender;

/// A session of a task: what [`cpg::Session`](crate::Session) is to a thread.
///
/// ```no_run
/// use std::io::IoSlice;
/// use std::time::{Duration, Instant};
/// use cpg::tokio::Session;
/// use cpg::{Event, Reconnect};
///
/// # #[tokio::main]
/// # async fn main() -> cpg::Result<()> {
/// let mut session = Session::options().reconnect(Reconnect::new()).join("ledger").await?;
/// println!("{} in {}, generation {}", session.me(), session.name(), session.generation());
/// println!("{:?}, {} bytes at once", session.members().await?, session.max_atomic_message_size());
/// session.send(b"one")?;
/// session.send_vectored(&[IoSlice::new(b"t"), IoSlice::new(b"wo")])?;
/// let tickets = [b"three", b"after"].map(|message| session.send(message).map(|sent| session.ticket(sent)));
/// // Events where libcpg has them: as many as are there.
/// let mut heard = 0;
/// while heard < 4 {
///     session.dispatch(|_, event| heard += usize::from(matches!(event, Event::Deliver(_)))).await?;
/// }
/// for ticket in tickets {
///     ticket?.await?;
/// }
/// assert_eq!(session.lag()?.in_flight(), 0);
/// let deadline = Instant::now() + Duration::from_secs(10);
/// session.leave_until(deadline, |_, event| println!("{event:?}")).await?;
///
/// // A session of threads can become one of tasks.
/// let session = Session::new(cpg::Session::join("ledger")?)?;
/// let (sender, receiver) = session.split();
/// sender.send(b"five").await?;
/// receiver.leave().await
/// # }
/// ```
///
/// It is a [`Stream`] of [`OwnedEvent`]s, which ends after the first error.
///
/// # More than one task
///
/// [`split`](Self::split) gives a [`Sender`] for any number of tasks, whose sends wait while the queue is full, and a
/// [`Receiver`] for the one task that takes events. A session that is whole is for one task, and its [`send`](Self::send) does
/// not wait.
///
/// # Dropping it
///
/// That ends the membership, by a thread: a process that ends before that has been done takes messages with it that the daemon
/// had not yet read. To be sure of them, await [`leave`](Self::leave), or the own delivery.
#[derive(Debug)]
pub struct Session {
    sender: Sender,
    receiver: Receiver,
}

impl Session {
    /// Makes a session for tasks of a session for threads, as of one that was [joined on a
    /// handle](crate::SessionOptions::join_on).
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the reactor refuses the descriptor; the session is dropped.
    ///
    /// # Panics
    /// Without a runtime that has its I/O driver enabled.
    pub fn new(session: session::session::Session) -> Result<Self> {
        let (sender, receiver) = session.split();
        let sender = Sender::new(sender);
        Ok(Self { receiver: Receiver::new(receiver, sender.clone())?, sender })
    }

    /// Parts the session into a half for the tasks that send, and one for the task that receives.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// The sending half, which handlers get too. **A send of it that waits never ends here**, in the task that alone could take
    /// events: give a clone to another task, or use [`send`](Self::send).
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

    /// As [`cpg::Sender::generation`](crate::Sender::generation).
    pub fn generation(&self) -> u64 {
        self.sender.generation()
    }

    /// As [`cpg::Sender::lag`](crate::Sender::lag).
    ///
    /// # Errors
    /// As [`cpg::Sender::lag`](crate::Sender::lag).
    pub fn lag(&self) -> Result<Lag> {
        self.sender.lag()
    }

    /// As [`Sender::members`].
    ///
    /// # Errors
    /// As [`Sender::members`].
    #[doc(alias = "cpg_membership_get")]
    pub fn members(&self) -> impl Future<Output = Result<Vec<Member>>> + Send {
        self.sender.members()
    }

    /// As [`cpg::Sender::max_atomic_message_size`](crate::Sender::max_atomic_message_size).
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.sender.max_atomic_message_size()
    }

    /// Queues a message, without waiting: as [`Sender::try_send`]. When the queue is full, take events and send again: while a
    /// task waited here for room, it could not take the events that make it. Sends that wait are those of a [`Sender`], for
    /// other tasks: [`split`](Self::split) the session.
    ///
    /// # Errors
    /// As [`Sender::try_send`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send(&self, message: &[u8]) -> Result<Sent> {
        self.sender.try_send(message)
    }

    /// Queues one message made of many slices, without waiting: as [`Sender::try_send_vectored`].
    ///
    /// # Errors
    /// As [`Sender::try_send`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.sender.try_send_vectored(slices)
    }

    /// As [`Sender::ticket`]. Await the ticket in another task, or take events until it has an
    /// [`outcome`](Ticket::outcome): nobody else does here.
    pub fn ticket(&self, sent: Sent) -> Ticket {
        self.sender.ticket(sent)
    }

    /// As [`Receiver::dispatch`].
    ///
    /// # Panics
    /// As [`Receiver::dispatch`].
    ///
    /// # Errors
    /// As [`Receiver::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub async fn dispatch(&mut self, handler: impl FnMut(&Sender, Event<'_>)) -> Result<usize> {
        self.receiver.dispatch(handler).await
    }

    /// As [`Receiver::recv`].
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    #[doc(alias = "cpg_dispatch")]
    pub async fn recv(&mut self) -> Result<OwnedEvent> {
        self.receiver.recv().await
    }

    /// As [`Receiver::leave`].
    ///
    /// # Errors
    /// As [`Receiver::leave`].
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub async fn leave(self) -> Result<()> {
        self.receiver.leave().await
    }

    /// As [`Receiver::leave_until`].
    ///
    /// # Panics
    /// As [`Receiver::leave_until`].
    ///
    /// # Errors
    /// As [`Receiver::leave`].
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub async fn leave_until(self, deadline: Instant, handler: impl FnMut(&Sender, Event<'_>)) -> Result<()> {
        self.receiver.leave_until(deadline, handler).await
    }
}

impl Stream for Session {
    type Item = Result<OwnedEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.receiver).poll_next(cx)
    }
}

impl FusedStream for Session {
    fn is_terminated(&self) -> bool {
        self.receiver.is_terminated()
    }
}
