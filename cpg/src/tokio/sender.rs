//! The sending half of a session for tasks.

use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::tokio::time::{sleep, timeout, timeout_at};

use crate::error::{Error, Result};
use crate::group_name::GroupName;
use crate::handle::backoff::Pauses;
use crate::member::Member;
use crate::session;
use crate::session::absence::BACK;
use crate::session::lag::Lag;
use crate::session::outbox::Outbox;
use crate::session::sent::Sent;
use crate::session::shared::Shared;
use crate::session::ticket::Ticket;
use crate::tokio::thread::{self, DropOff};

/// The pauses while flow control refuses a message of a session that has no receiver.
const PAUSES: Pauses = Pauses { first: Duration::from_millis(1), longest: Duration::from_millis(20) };

/// The sending half of a session, for any number of tasks. [`Session::split`](super::Session::split) makes it.
///
/// ```no_run
/// use std::io::IoSlice;
/// use std::time::{Duration, Instant};
/// use cpg::tokio::{Sender, Session};
///
/// # #[tokio::main]
/// # async fn main() -> cpg::Result<()> {
/// let (sender, mut receiver): (Sender, _) = Session::join("ledger").await?.split();
/// let receiving = tokio::spawn(async move {
///     while receiver.recv().await.is_ok() {}
/// });
/// println!("{} in {}: {:?}", sender.me(), sender.name(), sender.members().await?);
/// sender.send(&vec![0; sender.max_atomic_message_size()]).await?;
/// sender.send_vectored(&[IoSlice::new(b"in "), IoSlice::new(b"pieces")]).await?;
/// // Waits until the deadline at most. The next two do not wait.
/// sender.send_until(b"soon", Instant::now() + Duration::from_secs(5)).await?;
/// sender.try_send_vectored(&[IoSlice::new(b"no"), IoSlice::new(b"w")])?;
/// let sent = sender.try_send(b"at once, or an error")?;
/// // Two at once; both have been delivered when both are done.
/// let other = async { sender.ticket(sender.send(b"and this").await?).await };
/// let (first, second) = tokio::join!(sender.ticket(sent), other);
/// first.and(second)?;
/// assert_eq!((sender.generation(), sender.lag()?.waiting()), (1, 0));
/// # receiving.abort();
/// # Ok(())
/// # }
/// ```
///
/// The membership ends when the [`Receiver`](super::Receiver) and all senders are dropped, when the receiver leaves, or when an
/// error ends it. From then on every send returns the error that ended it; after a leave this is [`Error::Left`].
#[derive(Debug, Clone)]
pub struct Sender(Arc<DropOff<session::sender::Sender>>);

impl Sender {
    pub(super) fn new(sender: session::sender::Sender) -> Self {
        Self(Arc::new(DropOff::new(sender)))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        self.0.shared()
    }

    /// Returns the name of the group.
    pub fn name(&self) -> &GroupName {
        self.0.name()
    }

    /// Returns this member: this node and this process.
    pub fn me(&self) -> Member {
        self.0.me()
    }

    /// Returns the number of the membership: see [`cpg::Sender::generation`](crate::Sender::generation).
    pub fn generation(&self) -> u64 {
        self.0.generation()
    }

    /// Returns how far this member lags behind the messages that it has sent: see [`cpg::Sender::lag`](crate::Sender::lag).
    ///
    /// # Errors
    /// Those of [`cpg::Sender::lag`](crate::Sender::lag).
    pub fn lag(&self) -> Result<Lag> {
        self.0.lag()
    }

    /// Returns the length in bytes of the longest message that is sent in one piece: see
    /// [`cpg::Sender::max_atomic_message_size`](crate::Sender::max_atomic_message_size).
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.0.max_atomic_message_size()
    }

    /// Returns the members of the group that the daemon knows now, at the cost of [`Link::members`](crate::Link::members).
    ///
    /// Cancelling: the answer is lost.
    ///
    /// # Errors
    /// Those of [`Link::members`](crate::Link::members).
    #[doc(alias = "cpg_membership_get")]
    pub async fn members(&self) -> Result<Vec<Member>> {
        let shared = Arc::clone(self.shared());
        thread::run(move |_| shared.members()).await
    }

    /// Sends a message if the queue has room for it.
    ///
    /// # Errors
    /// Those of [`cpg::Sender::try_send`](crate::Sender::try_send).
    #[doc(alias = "cpg_mcast_joined")]
    pub fn try_send(&self, message: &[u8]) -> Result<Sent> {
        self.0.try_send(message)
    }

    /// Sends one message that is made of many slices, if the queue has room for it.
    ///
    /// # Errors
    /// Those of [`cpg::Sender::try_send`](crate::Sender::try_send).
    #[doc(alias = "cpg_mcast_joined")]
    pub fn try_send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.0.try_send_vectored(slices)
    }

    /// Sends a message. [`cpg::Sender`](crate::Sender) describes the queue.
    ///
    /// While the queue is full, this method waits, and **another task must dispatch**, or the wait never ends. A task that has
    /// both halves uses [`try_send`](Self::try_send), and takes events when the queue is full.
    ///
    /// The future is ready when the message is in the queue, also for a [long](crate::Sender#long-messages) message.
    ///
    /// Cancelling: the message has not been accepted.
    ///
    /// # Errors
    /// Those of [`cpg::Sender::send`](crate::Sender::send).
    #[doc(alias = "cpg_mcast_joined")]
    pub async fn send(&self, message: &[u8]) -> Result<Sent> {
        self.send_vectored(&[IoSlice::new(message)]).await
    }

    /// Sends one message that is made of many slices, as [`send`](Self::send) does. While the queue is full, this method waits,
    /// and another task must dispatch.
    ///
    /// Cancelling: the message has not been accepted.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    #[doc(alias = "cpg_mcast_joined")]
    pub async fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.queue_waiting(slices, None).await
    }

    /// Sends a message as [`send`](Self::send) does, but waits for room only until the deadline.
    ///
    /// Cancelling: the message has not been accepted.
    ///
    /// # Errors
    /// Those of [`cpg::Sender::send_until`](crate::Sender::send_until).
    #[doc(alias = "cpg_mcast_joined")]
    pub async fn send_until(&self, message: &[u8], deadline: Instant) -> Result<Sent> {
        self.queue_waiting(&[IoSlice::new(message)], Some(deadline)).await
    }

    /// Puts a message into the queue, and waits for room until the deadline.
    async fn queue_waiting(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> Result<Sent> {
        let shared = self.shared();
        let len = shared.len(slices)?;
        let mut pause = PAUSES.first;
        let mut space = Waiting { outbox: shared.outbox(), task: None };
        loop {
            let send = shared.wire();
            let error = match shared.outbox().push(slices, len, &send) {
                Err(error) if error.is_retryable() => error,
                result => return result,
            };
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(error);
            }
            let at_most = |wait: Duration| left.map_or(wait, |left| left.min(wait));
            if !matches!(error, Error::QueueFull) {
                // This is flow control, which comes here only in a session without a receiver.
                sleep(at_most(pause)).await;
                pause = PAUSES.after(pause);
                continue;
            }
            let push = poll_fn(|cx| space.outbox.poll_push(cx, &mut space.task, slices, len, &send));
            let pushed = match left {
                Some(left) => timeout(left, push).await.unwrap_or(Err(error)),
                None => push.await,
            };
            match pushed {
                Err(error) if error.is_retryable() => {}
                result => return result,
            }
        }
    }

    /// Waits until the session is back in its group, if it has lost its membership and [reconnects](crate::Reconnect): see
    /// [`cpg::Sender::wait_joined`](crate::Sender::wait_joined). **Another task must dispatch**, or the wait never ends.
    ///
    /// Cancelling: nothing is lost.
    ///
    /// ```no_run
    /// # async fn send(sender: cpg::tokio::Sender) -> cpg::Result<()> {
    /// while let Err(error) = sender.send(b"+5 alice").await {
    ///     if !error.is_connection_lost() {
    ///         return Err(error);
    ///     }
    ///     sender.wait_joined().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`cpg::Sender::wait_joined`](crate::Sender::wait_joined).
    pub async fn wait_joined(&self) -> Result<()> {
        let mut waiting = Waiting { outbox: self.shared().outbox(), task: None };
        poll_fn(|cx| waiting.outbox.poll_joined(cx, &mut waiting.task)).await
    }

    /// Waits until the session is back in its group, as [`wait_joined`](Self::wait_joined) does, or until the deadline.
    ///
    /// Cancelling: nothing is lost.
    ///
    /// ```no_run
    /// # use std::time::{Duration, Instant};
    /// # async fn wait(sender: cpg::tokio::Sender) {
    /// if sender.wait_joined_until(Instant::now() + Duration::from_secs(30)).await.is_err() {
    ///     eprintln!("the session has not come back for 30 seconds");
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`cpg::Sender::wait_joined_until`](crate::Sender::wait_joined_until).
    pub async fn wait_joined_until(&self, deadline: Instant) -> Result<()> {
        let joined = timeout_at(deadline.into(), self.wait_joined()).await;
        joined.unwrap_or(Err(Error::TimedOut { waiting_for: BACK }))
    }

    /// Makes the ticket of a message: see [`cpg::Sender::ticket`](crate::Sender::ticket). Await the ticket in a task that does
    /// not dispatch, or drop it.
    pub fn ticket(&self, sent: Sent) -> Ticket {
        self.0.ticket(sent)
    }
}

/// The registration of a task that waits for room in the queue or for a membership. Dropping it removes the registration.
struct Waiting<'o> {
    outbox: &'o Outbox,
    task: Option<u64>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            self.outbox.forget_task(task);
        }
    }
}
