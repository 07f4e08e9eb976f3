//! One membership for several threads: many that send, one that dispatches.

use std::io::IoSlice;
use std::ops::{ControlFlow, Deref};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

use crate::dispatch::Dispatch;
use crate::error::Result;
use crate::event::Event;
use crate::group::Group;
use crate::link::{self, Link};
use crate::name::GroupName;
use crate::owned::OwnedEvent;
use crate::requests::{Closes, Shared};
use crate::run::{Ended, Events, Wait};
use crate::types::{Guarantee, Member};

/// The sending half of a group, from [`Group::split`]: for any number of threads.
///
/// libcpg takes requests from one thread at a time (A4), so clones take turns at one lock. A message up to the atomic size
/// holds it for the length of a copy; what waits for the daemon (a longer message, [`members`](Self::members)) holds it
/// until the daemon has answered (B16).
///
/// The membership ends when the [`Receiver`] and all senders are gone, or when the receiver leaves: then every call here is
/// refused with [`Error::Left`](crate::Error::Left).
#[derive(Debug, Clone)]
pub struct Sender(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Shared,
    name: GroupName,
    me: Member,
}

impl Sender {
    /// The group.
    pub fn name(&self) -> &GroupName {
        &self.0.name
    }

    /// This member: this node and this process.
    pub fn me(&self) -> Member {
        self.0.me
    }

    /// The members of the group as the daemon knows them now.
    ///
    /// # Errors
    /// As [`Link::members`].
    #[doc(alias = "cpg_membership_get")]
    pub fn members(&self) -> Result<Vec<Member>> {
        self.0.shared.wait(|connection| connection.own_members(&self.0.name))
    }

    /// Sends a message; see [`Link::send`].
    ///
    /// # Errors
    /// As [`Link::send`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_vectored(&[IoSlice::new(message)])
    }

    /// Sends one message made of many slices; see [`Link::send_vectored`].
    ///
    /// # Errors
    /// As [`Link::send`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<()> {
        self.0.shared.send(|connection| connection.mcast(Guarantee::Agreed, slices))
    }

    /// Sends a message, and waits out what passes; see [`Link::send_until`]. Between two tries other senders have their turn.
    ///
    /// # Errors
    /// As [`Link::send_until`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_until(&self, message: &[u8], deadline: Instant) -> Result<()> {
        link::retry(deadline, link::PAUSES, || self.send(message))
    }
}

/// The receiving half of a group, from [`Group::split`]: it can do what the [`Group`] could, and move to another thread.
#[derive(Debug)]
pub struct Receiver(Group);

impl Group {
    /// Parts the group into a half for the threads that send, and one for the thread that dispatches.
    ///
    /// ```no_run
    /// use cpg::Group;
    ///
    /// let (sender, mut receiver) = Group::join("ledger")?.split();
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
        let (group, shared) = self.share();
        let inner = Inner { shared, name: group.name().clone(), me: group.me() };
        (Sender(Arc::new(inner)), Receiver(group))
    }
}

impl Receiver {
    /// As [`Group::dispatch`].
    ///
    /// # Panics
    /// As [`Group::dispatch`].
    ///
    /// # Errors
    /// As [`Group::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub fn dispatch(&mut self, how: Dispatch, handler: impl FnMut(&Link, Event<'_>)) -> Result<usize> {
        self.0.dispatch(how, handler)
    }

    /// As [`Group::run`].
    ///
    /// # Panics
    /// As [`Group::dispatch`].
    ///
    /// # Errors
    /// As [`Group::dispatch`].
    pub fn run<T>(&mut self, handler: impl FnMut(&Link, Event<'_>) -> ControlFlow<T>) -> Result<T> {
        self.0.run(handler)
    }

    /// As [`Group::run_with`].
    ///
    /// # Panics
    /// As [`Group::dispatch`].
    ///
    /// # Errors
    /// As [`Group::dispatch`].
    pub fn run_with<T>(
        &mut self,
        wait: Wait<'_>,
        handler: impl FnMut(&Link, Event<'_>) -> ControlFlow<T>,
    ) -> Result<Ended<T>> {
        self.0.run_with(wait, handler)
    }

    /// As [`Group::recv`].
    ///
    /// # Errors
    /// As [`Group::dispatch`].
    pub fn recv(&mut self) -> Result<OwnedEvent> {
        self.0.recv()
    }

    /// As [`Group::recv_deadline`].
    ///
    /// # Errors
    /// As [`Group::dispatch`].
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<Option<OwnedEvent>> {
        self.0.recv_deadline(deadline)
    }

    /// As [`Group::events`].
    pub fn events(&mut self) -> Events<'_> {
        self.0.events()
    }

    /// As [`Group::leave`]; the senders are refused from the moment that it begins.
    ///
    /// # Errors
    /// As [`Group::leave_until`].
    #[doc(alias = "cpg_leave")]
    pub fn leave(self) -> Result<()> {
        let _closes = self.closes();
        self.0.leave()
    }

    /// As [`Group::leave_until`]; the senders are refused from the moment that it begins.
    ///
    /// # Panics
    /// As [`Group::leave_until`].
    ///
    /// # Errors
    /// As [`Group::leave_until`].
    #[doc(alias = "cpg_leave")]
    pub fn leave_until(self, deadline: Instant, handler: impl FnMut(&Link, Event<'_>)) -> Result<()> {
        let _closes = self.closes();
        self.0.leave_until(deadline, handler)
    }

    /// Ends the membership when a leave fails or its handler panics, though there are senders.
    fn closes(&self) -> Option<Closes> {
        self.0.requests().shared().map(Closes)
    }
}

impl Deref for Receiver {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.0
    }
}

/// As that of a [`Group`].
impl AsFd for Receiver {
    #[doc(alias = "cpg_fd_get")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
