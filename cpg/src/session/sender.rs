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

/// The sending half of a session, for any number of threads, and for handlers. [`Session::split`](crate::Session::split) gives
/// it.
///
/// All clones share one queue; [`Flow`](crate::Flow) has its sizes. A message goes out at once while the window is open, and
/// waits in the queue otherwise. The self-deliveries that the [`Receiver`](crate::Receiver) dispatches let waiting messages out
/// ([B7](crate::facts#b7)). **So some thread must dispatch.** Otherwise messages stay in the queue, and a thread that waits for
/// room in the queue or for a [`Ticket`] waits for ever. A message that the daemon refuses is tried again at the next
/// self-delivery, or after growing pauses if nothing is in flight.
///
/// The membership ends when the receiver leaves, when the receiver and all senders have been dropped, or when an error ends it.
/// From then on every send returns an error with the reason; after a leave this is [`Error::Left`](crate::Error::Left). (A
/// session that [reconnects](crate::Reconnect) takes messages again with its next membership.) The receiver hands back each
/// message that was accepted and not delivered as [`Event::Undelivered`](crate::Event::Undelivered), in the order of sending.
///
/// If only the receiver has been dropped, the membership goes on: a send goes out at once or returns an error, and a ticket
/// fails with [`Error::ReceiverDropped`](crate::Error::ReceiverDropped).
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
/// // Does not wait.
/// let deadline = Instant::now() + Duration::from_secs(5);
/// sender.try_send(b"now")?;
/// sender.try_send_vectored(&[IoSlice::new(b"no"), IoSlice::new(b"w")])?;
/// let sent = sender.send_until(b"soon", deadline)?;
/// // When the last message has been delivered, the fate of all messages before it is known.
/// sender.ticket(sent).wait_until(deadline)?;
/// assert_eq!((sender.generation(), sender.lag()?.waiting()), (1, 0));
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// # Long messages
///
/// A message above [`max_atomic_message_size`](Self::max_atomic_message_size) goes out in parts, and each part waits for the
/// daemon ([B16](crate::facts#b16)). The queue takes such a message like any other, up to 2 GiB, also from a handler. When it is
/// the message's turn, a thread of this crate sends the parts. The thread begins and ends with the message, and no caller waits
/// for the thread. Meanwhile events are dispatched, but other messages wait, and so do questions such as
/// [`members`](Self::members).
///
/// With [`coalesce`](crate::SessionOptions::coalesce) such a message is [sealed](crate::packet#seals): a member that did not get
/// one of the parts is told ([B31](crate::facts#b31)).
///
/// If members join or leave before all parts have been sent, the thread begins again, as often as needed ([B8](crate::facts#b8)).
/// If the membership ends before that, the message may have been sent. It is handed back as an undelivered message for which
/// [`was_sent`](crate::Undelivered::was_sent) is true.
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

    /// Returns the name of the group.
    pub fn name(&self) -> &GroupName {
        self.0.name()
    }

    /// Returns this member: this node and this process.
    pub fn me(&self) -> Member {
        self.0.me()
    }

    /// Returns the number of the membership: 1 for the first, and one more after each [reconnect](crate::Reconnect). From a loss
    /// until the session is back, the number is that of the lost membership. In a forked child it is the number at the time of
    /// the fork.
    pub fn generation(&self) -> u64 {
        self.0.outbox().generation()
    }

    /// Returns how far this member lags behind the messages that it has sent.
    ///
    /// # Errors
    /// [`Error::Forked`](crate::Error::Forked) in a forked child, which cannot know the answer.
    pub fn lag(&self) -> Result<Lag> {
        self.0.outbox().lag()
    }

    /// Returns the size in bytes of the longest message that goes out in one piece. With packets this is 11 bytes less than
    /// [`Daemon::max_atomic_message_size`](crate::Daemon::max_atomic_message_size). [Longer](Self#long-messages) messages are
    /// queued like others.
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.0.max_atomic_message_size()
    }

    /// Returns the members of the group as the daemon knows them now. The costs are those of
    /// [`Link::members`](crate::Link::members).
    ///
    /// Waits for the daemon up to the [time limit](crate::ConnectOptions::request_timeout) ([B16](crate::facts#b16)). Meanwhile
    /// the queue takes messages, and sends them when the answer has come.
    ///
    /// # Errors
    /// Those of [`Link::members`](crate::Link::members).
    #[doc(alias = "cpg_membership_get")]
    pub fn members(&self) -> Result<Vec<Member>> {
        self.0.members()
    }

    /// Sends a message; see [`Link::send`](crate::Link::send) for the meaning of sending. Returns when the message is in the
    /// queue, also if the message is [long](Self#long-messages).
    ///
    /// Waits while the queue is full. **Another thread must dispatch the [`Receiver`](crate::Receiver) meanwhile**, or this call
    /// never returns. If no thread has dispatched yet, that is no error, because a thread may be about to. A program with one
    /// thread uses [`try_send`](Self::try_send), and dispatches when the queue is full. [`send_until`](Self::send_until) limits
    /// the waiting time.
    ///
    /// The result is a token of the message. The token can be ignored, and [`ticket`](Self::ticket) makes a [`Ticket`] from it.
    ///
    /// # Errors
    /// The message was not accepted:
    ///
    /// - [`Error::WouldWait`](crate::Error::WouldWait) in a handler while the queue is full, because only further dispatching
    ///   could make room.
    /// - The errors of [`Link::send`](crate::Link::send) that are not [retryable](crate::Error::is_retryable), such as those of a
    ///   membership that has ended.
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<Sent> {
        self.send_vectored(&[IoSlice::new(message)])
    }

    /// Sends one message made of many slices, as [`send`](Self::send) does. While the queue is full, it waits, and another thread
    /// must dispatch.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.0.queue_waiting(slices, None)
    }

    /// Sends a message as [`send`](Self::send) does, but waits until the deadline at most. If no thread dispatches and the queue
    /// stays full, it waits until the deadline, and then returns [`Error::QueueFull`](crate::Error::QueueFull).
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and a [retryable](crate::Error::is_retryable) error when the deadline has passed.
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_until(&self, message: &[u8], deadline: Instant) -> Result<Sent> {
        self.0.queue_waiting(&[IoSlice::new(message)], Some(deadline))
    }

    /// Sends a message as [`send`](Self::send) does, but does not wait. If the queue is full, dispatch and try again.
    ///
    /// # Errors
    /// [`Error::QueueFull`](crate::Error::QueueFull) while the queue is full, and the errors of [`send`](Self::send) except
    /// [`Error::WouldWait`](crate::Error::WouldWait).
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn try_send(&self, message: &[u8]) -> Result<Sent> {
        self.try_send_vectored(&[IoSlice::new(message)])
    }

    /// Sends one message made of many slices, as [`try_send`](Self::try_send) does.
    ///
    /// # Errors
    /// Those of [`try_send`](Self::try_send).
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn try_send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.0.queue(slices)
    }

    /// Waits until the session is back in its group, if it has lost its membership and [reconnects](crate::Reconnect). Returns at
    /// once while the session is in the group. **Another thread must dispatch the [`Receiver`](crate::Receiver) meanwhile**, or
    /// this call never returns: only a dispatch handles the loss and the return.
    ///
    /// It is made for threads that send and get [`Error::NoMembership`](crate::Error::NoMembership), or another error for which
    /// [`is_connection_lost`](crate::Error::is_connection_lost) is true. The call returns just before the handler gets
    /// [`Event::Rejoined`](crate::Event::Rejoined). The membership can be lost again right after that: send, and wait again if
    /// the send says that the connection is lost. A [`generation`](Self::generation) that has changed says that a membership was
    /// lost in between.
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
    /// If the session does not come back: the error that ended it, [`Error::Left`](crate::Error::Left), or
    /// [`Error::ReceiverDropped`](crate::Error::ReceiverDropped). [`Error::WouldWait`](crate::Error::WouldWait) in a handler,
    /// because only further dispatching can bring the session back.
    pub fn wait_joined(&self) -> Result<()> {
        self.0.outbox().wait_joined(None)
    }

    /// Waits until the session is back in its group, as [`wait_joined`](Self::wait_joined) does, but until the deadline at most.
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
    /// Those of [`wait_joined`](Self::wait_joined), and [`Error::TimedOut`](crate::Error::TimedOut).
    pub fn wait_joined_until(&self, deadline: Instant) -> Result<()> {
        self.0.outbox().wait_joined(Some(deadline))
    }

    /// Makes a ticket of a message that this session has accepted. The ticket says when the message has been delivered. A ticket
    /// can be made at any time, as often as needed, and costs a reference count.
    ///
    /// If the token is from another session, the ticket returns [`Error::ForeignToken`](crate::Error::ForeignToken).
    pub fn ticket(&self, sent: Sent) -> Ticket {
        Ticket::new(self.0.ticket_outbox(), sent)
    }
}
