//! One membership for several threads: many that send, one that dispatches.

use std::io::IoSlice;
use std::ops::{ControlFlow, Deref};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

use crate::dispatch::limits::Dispatch;
use crate::error::Result;
use crate::event::event::Event;
use crate::event::event::OwnedEvent;
use crate::group::group::Group;
use crate::group::join::PATIENCE;
use crate::group::link::Link;
use crate::group::run::{Ended, Events, Wait};
use crate::group_name::GroupName;
use crate::member::Member;
use crate::session::lag::Lag;
use crate::session::requests::{Closes, Shared};
use crate::session::ticket::Ticket;

/// The sending half of a group, from [`Group::split`]: for any number of threads.
///
/// Messages go through a queue that all clones share; [`Flow`](crate::Flow) has its sizes. A message goes out at once when
/// nothing is in flight, and while the window is open; the rest waits, and own deliveries that the [`Receiver`] dispatches let
/// it out (B7): **somebody must dispatch**, or what is sent stays in the queue. What the daemon refuses for now is tried
/// again, with growing pauses.
///
/// When the membership ends, every message that was accepted and not delivered is handed back by the receiver, in order, as
/// [`Event::Undelivered`](crate::Event::Undelivered), and every call here gives the reason. Without a receiver a message goes out
/// at once or is refused, and nobody hears what became of it.
///
/// The membership ends when the [`Receiver`] and all senders are gone, or when the receiver leaves: then every call here is
/// refused with [`Error::Left`](crate::Error::Left).
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use cpg::Group;
///
/// let (sender, mut receiver) = Group::join("ledger")?.split()?;
/// std::thread::spawn(move || receiver.run(|_, event| {
///     println!("{event:?}");
///     std::ops::ControlFlow::<()>::Continue(())
/// }));
/// for entry in 0..1000 {
///     sender.send(format!("entry {entry}").as_bytes())?;
/// }
/// // Without waiting, or not for long.
/// let deadline = Instant::now() + Duration::from_secs(5);
/// sender.try_send(b"now")?;
/// sender.send_until(b"soon", deadline)?;
/// // All of them have been delivered when the last one has.
/// sender.try_send_tracked(b"nearly")?.wait()?;
/// sender.send_tracked_until(b"the end", deadline)?.wait()?;
/// assert_eq!((sender.generation(), sender.lag().waiting()), (1, 0));
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sender(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Shared,
    name: GroupName,
}

impl Sender {
    /// The group.
    pub fn name(&self) -> &GroupName {
        &self.0.name
    }

    /// This member: this node and this process.
    pub fn me(&self) -> Member {
        self.0.shared.me()
    }

    /// Which membership this is: 1 for the first, and one more for each that [follows](crate::Reconnect). While the group is away
    /// it is still the one that was lost. In a child of the process, 0.
    pub fn generation(&self) -> u64 {
        self.0.shared.generation()
    }

    /// How far this member is behind what it has sent.
    pub fn lag(&self) -> Lag {
        self.0.shared.outbox().lag()
    }

    /// The members of the group as the daemon knows them now.
    ///
    /// # Errors
    /// As [`Link::members`].
    #[doc(alias = "cpg_membership_get")]
    pub fn members(&self) -> Result<Vec<Member>> {
        self.0.shared.wait(|connection| connection.own_members(&self.0.name))
    }

    /// Sends a message; see [`Link::send`] for what that means. Waits while the queue is full.
    ///
    /// A message above [`Link::max_atomic_message_size`] is sent by this thread when its turn has come, and waits for the daemon
    /// to take it (B16); it is sent again from its beginning when members come or go meanwhile (B8), up to 100 times.
    ///
    /// # Errors
    /// The message was not accepted. [`Error::Waits`](crate::Error::Waits) if it would have to wait in a handler, where only
    /// further dispatching could end that. Those of [`Link::send`] that do not pass: the membership has ended.
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_vectored(&[IoSlice::new(message)])
    }

    /// As [`send`](Self::send), of one message made of many slices.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<()> {
        self.0.shared.queue_waiting(slices, None).map(drop)
    }

    /// As [`send`](Self::send), but waits no longer than until the deadline.
    ///
    /// # Errors
    /// As [`send`](Self::send); a [retryable](crate::Error::is_retryable) one when the deadline passes.
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_until(&self, message: &[u8], deadline: Instant) -> Result<()> {
        self.0.shared.queue_waiting(&[IoSlice::new(message)], Some(deadline)).map(drop)
    }

    /// As [`send`](Self::send), but does not wait.
    ///
    /// # Errors
    /// As [`send`](Self::send). [`Error::QueueFull`](crate::Error::QueueFull) while it is, and
    /// [`Error::Waits`](crate::Error::Waits) for a message above [`Link::max_atomic_message_size`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn try_send(&self, message: &[u8]) -> Result<()> {
        self.0.shared.queue(&[IoSlice::new(message)]).map(drop)
    }

    /// As [`send`](Self::send), with a ticket that says when the message has been delivered.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_tracked(&self, message: &[u8]) -> Result<Ticket> {
        self.ticket(self.0.shared.queue_waiting(&[IoSlice::new(message)], None))
    }

    /// As [`send_until`](Self::send_until), with a ticket.
    ///
    /// # Errors
    /// As [`send_until`](Self::send_until).
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_tracked_until(&self, message: &[u8], deadline: Instant) -> Result<Ticket> {
        self.ticket(self.0.shared.queue_waiting(&[IoSlice::new(message)], Some(deadline)))
    }

    /// As [`try_send`](Self::try_send), with a ticket.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    #[doc(alias = "cpg_mcast_joined")]
    pub fn try_send_tracked(&self, message: &[u8]) -> Result<Ticket> {
        self.ticket(self.0.shared.queue(&[IoSlice::new(message)]))
    }

    fn ticket(&self, number: Result<u64>) -> Result<Ticket> {
        number.map(|number| self.0.shared.ticket(number))
    }
}

/// The receiving half of a group, from [`Group::split`]: it can do what the [`Group`] could, and move to another thread.
///
/// Its dispatch clocks the queue of the [`Sender`]s, and hands back what was not delivered.
///
/// Dropping it sends what waits in the queue if that can be done at once, and loses the rest; [`leave`](Self::leave) sees it sent.
///
/// ```no_run
/// use std::ops::ControlFlow;
/// use std::time::{Duration, Instant};
/// use cpg::{Dispatch, Ended, Event, Group, Wait};
///
/// let (sender, mut receiver) = Group::join("ledger")?.split()?;
/// sender.send(b"+5 alice")?;
/// let soon = || Instant::now() + Duration::from_millis(100);
/// receiver.dispatch(Dispatch::OneUntil(soon()), |_, event| println!("{event:?}"))?;
/// while let Some(event) = receiver.recv_deadline(soon())? {
///     println!("{event:?}");
/// }
/// let ended = receiver.run_with(Wait::until(soon()), |_, _| ControlFlow::<()>::Continue(()))?;
/// assert_eq!((ended, receiver.lag().in_flight()), (Ended::TimedOut, 0));
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
pub struct Receiver(Option<Group>);

const NOT_TAKEN: &str = "taken by leaving and dropping alone";

impl Group {
    /// Parts the group into a half for the threads that send, with a queue, and one for the thread that dispatches.
    ///
    /// ```no_run
    /// use cpg::Group;
    ///
    /// let (sender, mut receiver) = Group::join("ledger")?.split()?;
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
    ///
    /// # Errors
    /// [`Error::Poll`](crate::Error::Poll) if there are no descriptors left: two are needed.
    pub fn split(self) -> Result<(Sender, Receiver)> {
        let (group, shared) = self.share()?;
        let inner = Inner { shared, name: group.name().clone() };
        Ok((Sender(Arc::new(inner)), Receiver(Some(group))))
    }
}

impl Receiver {
    fn group(&self) -> &Group {
        self.0.as_ref().expect(NOT_TAKEN)
    }

    fn group_mut(&mut self) -> &mut Group {
        self.0.as_mut().expect(NOT_TAKEN)
    }

    /// As [`Group::dispatch`].
    ///
    /// # Panics
    /// As [`Group::dispatch`].
    ///
    /// # Errors
    /// As [`Group::dispatch`].
    #[doc(alias = "cpg_dispatch")]
    pub fn dispatch(&mut self, how: Dispatch, handler: impl FnMut(&Link, Event<'_>)) -> Result<usize> {
        self.group_mut().dispatch(how, handler)
    }

    /// As [`Group::run`].
    ///
    /// # Panics
    /// As [`Group::dispatch`].
    ///
    /// # Errors
    /// As [`Group::dispatch`].
    pub fn run<T>(&mut self, handler: impl FnMut(&Link, Event<'_>) -> ControlFlow<T>) -> Result<T> {
        self.group_mut().run(handler)
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
        self.group_mut().run_with(wait, handler)
    }

    /// As [`Group::recv`].
    ///
    /// # Errors
    /// As [`Group::dispatch`].
    pub fn recv(&mut self) -> Result<OwnedEvent> {
        self.group_mut().recv()
    }

    /// As [`Group::recv_deadline`].
    ///
    /// # Errors
    /// As [`Group::dispatch`].
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<Option<OwnedEvent>> {
        self.group_mut().recv_deadline(deadline)
    }

    /// As [`Group::events`].
    pub fn events(&mut self) -> Events<'_> {
        self.group_mut().events()
    }

    /// How far this member is behind what it has sent.
    #[expect(clippy::missing_panics_doc, reason = "a receiver shares its requests")]
    pub fn lag(&self) -> Lag {
        self.requests().shared().expect("a receiver shares its requests").outbox().lag()
    }

    /// As [`Group::leave`], when what waits in the queue has been sent; the senders are refused from the moment that it begins.
    ///
    /// # Errors
    /// As [`Group::leave_until`].
    #[doc(alias = "cpg_leave")]
    pub fn leave(self) -> Result<()> {
        self.leave_until(Instant::now() + PATIENCE, |_, _| {})
    }

    /// As [`Group::leave_until`], when what waits in the queue has been sent; the senders are refused from the moment that it
    /// begins. The handler gets back what was not delivered.
    ///
    /// # Panics
    /// As [`Group::leave_until`].
    ///
    /// # Errors
    /// As [`Group::leave_until`].
    #[doc(alias = "cpg_leave")]
    pub fn leave_until(mut self, deadline: Instant, handler: impl FnMut(&Link, Event<'_>)) -> Result<()> {
        let group = self.0.take().expect(NOT_TAKEN);
        // The membership ends also when the leave fails or its handler panics, though there are senders.
        let _closes = group.requests().shared().cloned().map(Closes);
        group.leave_until(deadline, handler)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(shared) = self.0.as_ref().and_then(|group| group.requests().shared()) {
            shared.unheard();
        }
    }
}

impl Deref for Receiver {
    type Target = Link;

    fn deref(&self) -> &Link {
        self.group()
    }
}

/// As that of a [`Group`].
impl AsFd for Receiver {
    #[doc(alias = "cpg_fd_get")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.group().as_fd()
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> RawFd {
        self.group().as_raw_fd()
    }
}
