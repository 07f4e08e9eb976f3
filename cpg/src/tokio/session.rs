//! Sessions for tasks.

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

/// A session for a task, as [`cpg::Session`](crate::Session) is for a thread.
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
/// // Events are borrowed from libcpg. A dispatch takes those that are there, up to 256.
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
/// // A session for threads can become a session for tasks.
/// let session = Session::new(cpg::Session::join("ledger")?)?;
/// let (sender, receiver) = session.split();
/// sender.send(b"five").await?;
/// receiver.leave().await
/// # }
/// ```
///
/// A session is a `futures_core::Stream` of [`OwnedEvent`]s, which ends after the first error.
///
/// # More than one task
///
/// [`split`](Self::split) returns a [`Sender`] for any number of tasks, whose sends wait while the queue is full, and a
/// [`Receiver`] for the task that takes events. A whole session is for one task, and its [`send`](Self::send) does not wait.
///
/// # Dropping a session
///
/// Dropping a session ends the membership, on a separate thread. If the process ends before that thread is done, messages that
/// the daemon has not yet read are lost. To be sure of your messages, await [`leave`](Self::leave), or wait for their
/// self-delivery.
#[derive(Debug)]
pub struct Session {
    sender: Sender,
    receiver: Receiver,
}

impl Session {
    /// Converts a session for threads into a session for tasks, for example one that was [joined on a
    /// handle](crate::SessionOptions::join_on).
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the reactor refuses the descriptor. The session is dropped then.
    ///
    /// # Panics
    /// Panics without a runtime that has its I/O driver enabled.
    pub fn new(session: session::session::Session) -> Result<Self> {
        let (sender, receiver) = session.split();
        let sender = Sender::new(sender);
        Ok(Self { receiver: Receiver::new(receiver, sender.clone())?, sender })
    }

    /// Splits the session into a half for the tasks that send, and a half for the task that receives.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Returns the sending half, which handlers get too.
    ///
    /// **Do not await a send of it in this task**: the send may wait for room in the queue, and only this task can take the
    /// events that make room. Give a clone to another task, or use [`send`](Self::send).
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

    /// Returns the number of the membership: see [`cpg::Sender::generation`](crate::Sender::generation).
    pub fn generation(&self) -> u64 {
        self.sender.generation()
    }

    /// Returns how far this member lags behind the messages that it has sent: see [`cpg::Sender::lag`](crate::Sender::lag).
    ///
    /// # Errors
    /// Those of [`cpg::Sender::lag`](crate::Sender::lag).
    pub fn lag(&self) -> Result<Lag> {
        self.sender.lag()
    }

    /// Returns the members of the group that the daemon knows now: see [`Sender::members`].
    ///
    /// # Errors
    /// Those of [`Sender::members`].
    #[doc(alias = "cpg_membership_get")]
    pub fn members(&self) -> impl Future<Output = Result<Vec<Member>>> + Send {
        self.sender.members()
    }

    /// Returns the length in bytes of the longest message that is sent in one piece: see
    /// [`cpg::Sender::max_atomic_message_size`](crate::Sender::max_atomic_message_size).
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.sender.max_atomic_message_size()
    }

    /// Puts a message into the queue without waiting, as [`Sender::try_send`] does.
    ///
    /// If the queue is full, take events and send again. A task that waited for room here could not take the events that make
    /// room. Sends that wait belong to a [`Sender`] in another task: [`split`](Self::split) the session.
    ///
    /// # Errors
    /// Those of [`Sender::try_send`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send(&self, message: &[u8]) -> Result<Sent> {
        self.sender.try_send(message)
    }

    /// Puts one message that is made of many slices into the queue without waiting, as [`Sender::try_send_vectored`] does.
    ///
    /// # Errors
    /// Those of [`Sender::try_send`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.sender.try_send_vectored(slices)
    }

    /// Makes the ticket of a message: see [`Sender::ticket`].
    ///
    /// Await the ticket in another task, or take events here until the ticket has an [`outcome`](Ticket::outcome). No other
    /// task takes the events of a whole session.
    pub fn ticket(&self, sent: Sent) -> Ticket {
        self.sender.ticket(sent)
    }

    /// Waits for events, and hands those that are there to `handler`, up to 256: see [`Receiver::dispatch`].
    ///
    /// # Panics
    /// Those of [`Receiver::dispatch`].
    ///
    /// # Errors
    /// Those of [`Receiver::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub async fn dispatch(&mut self, handler: impl FnMut(&Sender, Event<'_>)) -> Result<usize> {
        self.receiver.dispatch(handler).await
    }

    /// Waits for the next event, and returns a copy of it: see [`Receiver::recv`].
    ///
    /// # Errors
    /// Those of [`Receiver::recv`].
    #[doc(alias = "cpg_dispatch")]
    pub async fn recv(&mut self) -> Result<OwnedEvent> {
        self.receiver.recv().await
    }

    /// Leaves the group and closes the handle: see [`Receiver::leave`].
    ///
    /// # Errors
    /// Those of [`Receiver::leave`].
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub async fn leave(self) -> Result<()> {
        self.receiver.leave().await
    }

    /// Leaves the group, waiting until the deadline at most, and hands events to `handler` meanwhile: see
    /// [`Receiver::leave_until`].
    ///
    /// # Panics
    /// Those of [`Receiver::leave_until`].
    ///
    /// # Errors
    /// Those of [`Receiver::leave_until`].
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
