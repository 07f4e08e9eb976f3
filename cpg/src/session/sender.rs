//! The sending half of a session.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::group_name::GroupName;
use crate::member::Member;
use crate::session::lag::Lag;
use crate::session::sent::Sent;
use crate::session::shared::Shared;
use crate::session::ticket::Ticket;

/// The sending half of a session, from [`Session::split`](crate::Session::split): for any number of threads, and for handlers.
///
/// Messages go through a queue that all clones share; [`Flow`](crate::Flow) has its sizes. A message goes out at once when
/// nothing is in flight, and while the window is open; the rest waits, and own deliveries that the [`Receiver`](crate::Receiver)
/// dispatches let it out ([B7](crate::facts#b7)): **somebody must dispatch**, or what is sent stays in the queue, and whoever
/// waits for room in it or for a [`Ticket`] waits for ever. What the daemon refuses for now is tried again, with growing
/// pauses.
///
/// When the membership ends, every message that was accepted and not delivered is handed back by the receiver, in order, as
/// [`Event::Undelivered`](crate::Event::Undelivered), and every call here gives the reason. Without a receiver a message goes out
/// at once or is refused, and nobody hears what became of it.
///
/// The membership ends when the [`Receiver`](crate::Receiver) and all senders are gone, or when the receiver leaves: then every
/// call here is refused with [`Error::Left`](crate::Error::Left).
///
/// ```no_run
/// use std::io::IoSlice;
/// use std::time::{Duration, Instant};
/// use cpg::{Limits, Session};
///
/// let (sender, mut receiver) = Session::join("ledger")?.split();
/// std::thread::spawn(move || receiver.run(Limits::forever(), |_, event| {
///     println!("{event:?}");
///     std::ops::ControlFlow::<()>::Continue(())
/// }));
/// for entry in 0..1000 {
///     sender.send(format!("entry {entry}").as_bytes())?;
/// }
/// sender.send_vectored(&[IoSlice::new(b"entry "), IoSlice::new(b"1000")])?;
/// // Without waiting, or not for long.
/// let deadline = Instant::now() + Duration::from_secs(5);
/// sender.try_send(b"now")?;
/// sender.try_send_vectored(&[IoSlice::new(b"no"), IoSlice::new(b"w")])?;
/// let sent = sender.send_until(b"soon", deadline)?;
/// // All of them have been delivered when the last one has.
/// sender.ticket(sent).wait_until(deadline)?;
/// assert_eq!((sender.generation(), sender.lag()?.waiting()), (1, 0));
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// # Long messages
///
/// A message above [`max_atomic_message_size`](Self::max_atomic_message_size) goes out in parts, each of which waits for the daemon
/// ([B16](crate::facts#b16)). The queue takes such a message like any other, up to 2 GiB, also from a handler. In its turn a
/// thread of this crate sends it; the thread begins and ends with the message, and no caller waits for it. Meanwhile events are
/// dispatched, and other messages and
/// questions such as [`members`](Self::members) wait. When members come or go before all parts have been sent, the thread begins again
/// ([B8](crate::facts#b8)), as often as that happens. When the membership ends before that, the message is handed back as one
/// that was [sent](crate::Undelivered::was_sent), because it may have been.
#[derive(Debug, Clone)]
pub struct Sender(Arc<Shared>);

impl Sender {
    pub(super) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// The group.
    pub fn name(&self) -> &GroupName {
        self.0.name()
    }

    /// This member: this node and this process.
    pub fn me(&self) -> Member {
        self.0.me()
    }

    /// Returns the number of the membership: 1 for the first, and one more for each that [follows](crate::Reconnect). While the
    /// session is away it is still the one that was lost. A child of the process gets that of the time at which it was forked.
    pub fn generation(&self) -> u64 {
        self.0.outbox().generation()
    }

    /// Returns how far this member is behind what it has sent.
    ///
    /// # Errors
    /// [`Error::Forked`](crate::Error::Forked): a child of the process cannot know it.
    pub fn lag(&self) -> Result<Lag> {
        self.0.outbox().lag()
    }

    /// The longest message, in bytes, that goes out in one piece; with packets 11 bytes less than
    /// [`Daemon::max_atomic_message_size`](crate::Daemon::max_atomic_message_size). A [longer](Self#long-messages) one is queued
    /// like others.
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.0.max_atomic_message_size()
    }

    /// The members of the group as the daemon knows them now, at the cost of [`Link::members`](crate::Link::members).
    ///
    /// It waits for the daemon up to the [time limit](crate::ConnectOptions::request_timeout) ([B16](crate::facts#b16)); the
    /// queue takes messages meanwhile, and sends them when the answer has come.
    ///
    /// # Errors
    /// As [`Link::members`](crate::Link::members).
    #[doc(alias = "cpg_membership_get")]
    pub fn members(&self) -> Result<Vec<Member>> {
        self.0.members()
    }

    /// Sends a message; see [`Link::send`](crate::Link::send) for what that means. While the queue is full it waits, and
    /// **somebody else must dispatch**, or this never returns: another thread, with the [`Receiver`](crate::Receiver). A program
    /// of one thread uses [`try_send`](Self::try_send), and dispatches when the queue is full; [`send_until`](Self::send_until)
    /// waits for a limited time. A session in which nobody has ever dispatched is no error: a thread may be about to.
    ///
    /// It returns when the message is in the queue, also if that is [long](Self#long-messages).
    ///
    /// The token can be ignored; [`ticket`](Self::ticket) makes a [`Ticket`] from it.
    ///
    /// # Errors
    /// The message was not accepted. [`Error::WouldWait`](crate::Error::WouldWait) in a handler while the queue is full, where only
    /// further dispatching could end the wait. Those of [`Link::send`](crate::Link::send) that do not pass: the membership has ended.
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<Sent> {
        self.send_vectored(&[IoSlice::new(message)])
    }

    /// Sends one message made of many slices, as [`send`](Self::send) does: while the queue is full it waits, and somebody else
    /// must dispatch.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.0.queue_waiting(slices, None)
    }

    /// Sends a message as [`send`](Self::send) does, but waits no longer than until the deadline. A program in which nobody
    /// dispatches waits until then, and gets [`Error::QueueFull`](crate::Error::QueueFull).
    ///
    /// # Errors
    /// As [`send`](Self::send); a [retryable](crate::Error::is_retryable) one when the deadline passes.
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_until(&self, message: &[u8], deadline: Instant) -> Result<Sent> {
        self.0.queue_waiting(&[IoSlice::new(message)], Some(deadline))
    }

    /// Sends a message as [`send`](Self::send) does, but does not wait: when the queue is full, dispatch and try again.
    ///
    /// # Errors
    /// As [`send`](Self::send), but for [`Error::WouldWait`](crate::Error::WouldWait): [`Error::QueueFull`](crate::Error::QueueFull)
    /// while it is.
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn try_send(&self, message: &[u8]) -> Result<Sent> {
        self.try_send_vectored(&[IoSlice::new(message)])
    }

    /// Sends one message made of many slices, as [`try_send`](Self::try_send) does.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn try_send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.0.queue(slices)
    }

    /// Waits until the session is back in its group, if it has lost its membership and [comes back](crate::Reconnect); returns at
    /// once while it is in the group. **Somebody else must dispatch**, or this never returns: the
    /// [`Receiver`](crate::Receiver) takes the loss and the return.
    ///
    /// It is for threads that send, and get [`Error::NoMembership`](crate::Error::NoMembership) or another error with
    /// [`is_connection_lost`](crate::Error::is_connection_lost). It returns just before the handler gets
    /// [`Event::Rejoined`](crate::Event::Rejoined), and the session can be lost again right after: send, and wait again if that says
    /// so. That something was lost tells the [`generation`](Self::generation).
    ///
    /// ```no_run
    /// # use cpg::{Limits, Reconnect, Session};
    /// # let (sender, mut receiver) = Session::options().reconnect(Reconnect::new()).join("ledger")?.split();
    /// # std::thread::spawn(move || receiver.run(Limits::forever(), |_, _| std::ops::ControlFlow::<()>::Continue(())));
    /// while let Err(error) = sender.send(b"+5 alice") {
    ///     if !error.is_connection_lost() {
    ///         return Err(error);
    ///     }
    ///     sender.wait_joined()?;
    /// }
    /// # Ok::<(), cpg::Error>(())
    /// ```
    ///
    /// # Errors
    /// The session does not come back: the error that has ended it, [`Error::Left`](crate::Error::Left), or
    /// [`Error::ReceiverDropped`](crate::Error::ReceiverDropped). [`Error::WouldWait`](crate::Error::WouldWait) in a handler: only
    /// further dispatching can end the wait.
    pub fn wait_joined(&self) -> Result<()> {
        self.0.outbox().wait_joined(None)
    }

    /// Waits until the session is back in its group, as [`wait_joined`](Self::wait_joined) does, or the deadline has passed.
    ///
    /// ```no_run
    /// use std::time::{Duration, Instant};
    /// # use cpg::{Reconnect, Session};
    /// # let (sender, _receiver) = Session::options().reconnect(Reconnect::new()).join("ledger")?.split();
    ///
    /// if sender.wait_joined_until(Instant::now() + Duration::from_secs(30)).is_err() {
    ///     eprintln!("the session has not come back for 30 seconds");
    /// }
    /// # Ok::<(), cpg::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`wait_joined`](Self::wait_joined), and [`Error::TimedOut`](crate::Error::TimedOut).
    pub fn wait_joined_until(&self, deadline: Instant) -> Result<()> {
        self.0.outbox().wait_joined(Some(deadline))
    }

    /// Makes a ticket of a message that this session has accepted, which says when it has been delivered: at any time, as often
    /// as one likes. It costs a reference count.
    ///
    /// A token of another session gives a ticket that says so, with [`Error::ForeignToken`](crate::Error::ForeignToken).
    pub fn ticket(&self, sent: Sent) -> Ticket {
        Ticket::new(self.0.ticket_outbox(), sent)
    }
}
