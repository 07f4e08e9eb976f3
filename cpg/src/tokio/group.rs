//! A membership of a task.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::Stream;

use super::sender::{Inner, Sender};
use super::thread::DropOff;
use super::{Receiver, thread};
use crate::error::{Error, Result};
use crate::event::event::Event;
use crate::event::event::OwnedEvent;
use crate::group::join::PATIENCE;
use crate::group::link::Link;
use crate::group_name::GroupName;
use crate::handle::options::Connect;
use crate::member::Member;
use crate::session::lag::Lag;
use crate::session::ticket::Ticket;

/// A joined handle of a task: what [`cpg::Group`](crate::Group) is to a thread.
///
/// It is a [`Stream`] of [`OwnedEvent`]s, which ends after the first error. Dropping it ends the membership, by a
/// thread: a process that ends before that has been done takes messages with it that the daemon had not yet read. To be sure of
/// them, await [`leave`](Self::leave), or the own delivery.
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use cpg::tokio::Group;
/// use cpg::{Connect, Event, GroupName, Reconnect};
///
/// # #[tokio::main]
/// # async fn main() -> cpg::Result<()> {
/// let how = Connect::new().reconnect(Reconnect::new());
/// let deadline = Instant::now() + Duration::from_secs(10);
/// let mut group = Group::join_until(how, GroupName::new("ledger")?, deadline).await?;
/// println!("{} in {}, generation {}", group.me(), group.name(), group.generation());
/// println!("{:?}", group.members().await?);
/// group.send(b"one").await?;
/// group.try_send(b"two")?;
/// let tickets = [group.try_send_tracked(b"three")?, group.send_tracked(b"four").await?];
/// // Events where libcpg has them: as many as are there.
/// let mut heard = 0;
/// while heard < 4 {
///     group.dispatch(|_, event| heard += usize::from(matches!(event, Event::Deliver(_)))).await?;
/// }
/// for ticket in tickets {
///     ticket.await?;
/// }
/// assert_eq!(group.lag().in_flight(), 0);
/// let deadline = Instant::now() + Duration::from_secs(10);
/// group.leave_until(deadline, |_, event| println!("{event:?}")).await?;
///
/// // A group of threads can become one of tasks.
/// let group = Group::new(cpg::Group::join("ledger")?)?;
/// let (sender, receiver) = group.split();
/// sender.send(b"five").await?;
/// receiver.leave().await
/// # }
/// ```
#[derive(Debug)]
pub struct Group {
    sender: Sender,
    receiver: Receiver,
}

impl Group {
    /// Connects and joins, for up to 10 seconds.
    ///
    /// Cancelling it leaves the group again, when it has been joined; until it has left, this process cannot join it anew (B5).
    ///
    /// # Errors
    /// As [`cpg::Group::join`](crate::Group::join).
    ///
    /// # Panics
    /// Without a runtime that has its I/O driver enabled.
    #[doc(alias = "cpg_join")]
    pub async fn join<N>(name: N) -> Result<Self>
    where
        N: TryInto<GroupName>,
        Error: From<N::Error>,
    {
        Self::join_until(Connect::new(), name.try_into()?, Instant::now() + PATIENCE).await
    }

    /// As [`join`](Self::join), with options and another deadline.
    ///
    /// # Panics
    /// Without a runtime that has its I/O driver enabled.
    ///
    /// # Errors
    /// As [`cpg::Group::join_until`](crate::Group::join_until).
    #[doc(alias = "cpg_join")]
    pub async fn join_until(how: Connect, name: GroupName, deadline: Instant) -> Result<Self> {
        let join = move || crate::Group::join_until(how, &name, deadline).map(DropOff::new);
        Self::new(thread::run(join).await?.into_inner())
    }

    /// A group for tasks of a group for threads.
    ///
    /// # Errors
    /// [`Error::Poll`] if the reactor refuses the descriptor; the group is dropped.
    ///
    /// # Panics
    /// Without a runtime that has its I/O driver enabled.
    pub fn new(group: crate::Group) -> Result<Self> {
        let (inbox, shared) = group.into_inbox().share()?;
        let inbox = inbox.soon();
        let (name, max_atomic) = (inbox.link().name().clone(), inbox.link().max_atomic_message_size());
        let sender = Sender::new(Inner { shared: Some(shared), name, max_atomic });
        Ok(Self { sender, receiver: Receiver::new(inbox)? })
    }

    /// Parts the group into a half for the tasks that send, and one for the task that receives.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// The group.
    pub fn name(&self) -> &GroupName {
        self.sender.name()
    }

    /// This member: this node and this process.
    pub fn me(&self) -> Member {
        self.sender.me()
    }

    /// Which membership this is: 1 for the first, and one more for each that [follows](crate::Reconnect). While the group is away
    /// it is still the one that was lost. In a child of the process, 0.
    pub fn generation(&self) -> u64 {
        self.sender.generation()
    }

    /// How far this member is behind what it has sent.
    pub fn lag(&self) -> Lag {
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

    /// As [`Sender::try_send`].
    ///
    /// # Errors
    /// As [`Sender::try_send`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn try_send(&self, message: &[u8]) -> Result<()> {
        self.sender.try_send(message)
    }

    /// As [`Sender::try_send_tracked`].
    ///
    /// # Errors
    /// As [`Sender::try_send_tracked`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn try_send_tracked(&self, message: &[u8]) -> Result<Ticket> {
        self.sender.try_send_tracked(message)
    }

    /// As [`Sender::send`].
    ///
    /// # Errors
    /// As [`Sender::send`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send(&self, message: &[u8]) -> impl Future<Output = Result<()>> + Send {
        // The future has the sender alone: one with the group, which is not Sync, could not go to another thread.
        self.sender.send(message)
    }

    /// As [`Sender::send_tracked`].
    ///
    /// # Errors
    /// As [`Sender::send_tracked`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_tracked(&self, message: &[u8]) -> impl Future<Output = Result<Ticket>> + Send {
        self.sender.send_tracked(message)
    }

    /// As [`Receiver::dispatch`].
    ///
    /// # Panics
    /// As [`Receiver::dispatch`].
    ///
    /// # Errors
    /// As [`Receiver::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub async fn dispatch(&mut self, handler: impl FnMut(&Link, Event<'_>)) -> Result<usize> {
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
    pub async fn leave_until(self, deadline: Instant, handler: impl FnMut(&Link, Event<'_>)) -> Result<()> {
        self.receiver.leave_until(deadline, handler).await
    }
}

impl Stream for Group {
    type Item = Result<OwnedEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.receiver).poll_next(cx)
    }
}
