//! The sending half.

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
use crate::session::state::STALL;
use crate::session::ticket::Ticket;
use crate::tokio::thread::{self, DropOff};

/// The pauses while flow control refuses a message that nobody will hear of.
const PAUSES: Pauses = Pauses { first: Duration::from_millis(1), longest: Duration::from_millis(20) };

/// The sending half of a session, from [`Session::split`](super::Session::split): for any number of tasks.
///
/// The membership ends when the [`Receiver`](super::Receiver) and all senders are gone, or when the receiver leaves: then
/// every call here is refused with [`Error::Left`].
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
/// // Not for long, and not at all.
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
#[derive(Debug, Clone)]
pub struct Sender(Arc<DropOff<session::sender::Sender>>);

impl Sender {
    pub(super) fn new(sender: session::sender::Sender) -> Self {
        Self(Arc::new(DropOff::new(sender)))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        self.0.shared()
    }

    /// The group.
    pub fn name(&self) -> &GroupName {
        self.0.name()
    }

    /// This member: this node and this process.
    pub fn me(&self) -> Member {
        self.0.me()
    }

    /// As [`cpg::Sender::generation`](crate::Sender::generation).
    pub fn generation(&self) -> u64 {
        self.0.generation()
    }

    /// As [`cpg::Sender::lag`](crate::Sender::lag).
    ///
    /// # Errors
    /// As [`cpg::Sender::lag`](crate::Sender::lag).
    pub fn lag(&self) -> Result<Lag> {
        self.0.lag()
    }

    /// As [`cpg::Sender::max_atomic_message_size`](crate::Sender::max_atomic_message_size).
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.0.max_atomic_message_size()
    }

    /// The members of the group as the daemon knows them now.
    ///
    /// Cancelling it loses the answer.
    ///
    /// # Errors
    /// As [`Link::members`](crate::Link::members).
    #[doc(alias = "cpg_membership_get")]
    pub async fn members(&self) -> Result<Vec<Member>> {
        let shared = Arc::clone(self.shared());
        thread::run(move |_| shared.members()).await
    }

    /// Sends a message if the queue has room for it.
    ///
    /// # Errors
    /// As [`cpg::Sender::try_send`](crate::Sender::try_send).
    #[doc(alias = "cpg_mcast_joined")]
    pub fn try_send(&self, message: &[u8]) -> Result<Sent> {
        self.0.try_send(message)
    }

    /// Sends one message made of many slices, as [`try_send`](Self::try_send) does.
    ///
    /// # Errors
    /// As [`cpg::Sender::try_send`](crate::Sender::try_send).
    #[doc(alias = "cpg_mcast_joined")]
    pub fn try_send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.0.try_send_vectored(slices)
    }

    /// Sends a message; see [`cpg::Sender`](crate::Sender) for the queue. While that is full it waits, and **another task must
    /// dispatch**, or this never ends. A task that has both halves uses [`try_send`](Self::try_send), and takes events when the
    /// queue is full.
    ///
    /// It ends when the message is in the queue, also if that is [long](crate::Sender#long-messages).
    ///
    /// Cancelling it: the message has not been accepted.
    ///
    /// # Errors
    /// As [`cpg::Sender::send`](crate::Sender::send).
    #[doc(alias = "cpg_mcast_joined")]
    pub async fn send(&self, message: &[u8]) -> Result<Sent> {
        self.send_vectored(&[IoSlice::new(message)]).await
    }

    /// Sends one message made of many slices, as [`send`](Self::send) does: while the queue is full it waits, and another task
    /// must dispatch.
    ///
    /// Cancelling it: as [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[doc(alias = "cpg_mcast_joined")]
    pub async fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.queue_waiting(slices, None).await
    }

    /// Sends a message as [`send`](Self::send) does, but waits no longer for room than until the deadline.
    ///
    /// Cancelling it: as [`send`](Self::send).
    ///
    /// # Errors
    /// As [`cpg::Sender::send_until`](crate::Sender::send_until).
    #[doc(alias = "cpg_mcast_joined")]
    pub async fn send_until(&self, message: &[u8], deadline: Instant) -> Result<Sent> {
        self.queue_waiting(&[IoSlice::new(message)], Some(deadline)).await
    }

    /// Queues a message, and waits for room until the deadline.
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
                // Only without a receiver.
                sleep(at_most(pause)).await;
                pause = PAUSES.after(pause);
                continue;
            }
            // When nothing has come back for so long, trying again helps the queue on.
            let push = poll_fn(|cx| space.outbox.poll_push(cx, &mut space.task, slices, len, &send));
            match timeout(at_most(STALL), push).await {
                Err(_) => {}
                Ok(Err(error)) if error.is_retryable() => {}
                Ok(result) => return result,
            }
        }
    }

    /// Waits until the session is back in its group, if it has lost its membership and [comes back](crate::Reconnect), as
    /// [`cpg::Sender::wait_joined`](crate::Sender::wait_joined) does. **Another task must dispatch**, or this never ends.
    ///
    /// Cancelling it loses nothing.
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
    /// As [`cpg::Sender::wait_joined`](crate::Sender::wait_joined).
    pub async fn wait_joined(&self) -> Result<()> {
        let mut waiting = Waiting { outbox: self.shared().outbox(), task: None };
        poll_fn(|cx| waiting.outbox.poll_joined(cx, &mut waiting.task)).await
    }

    /// Waits until the session is back in its group, as [`wait_joined`](Self::wait_joined) does, or the deadline has passed.
    ///
    /// Cancelling it loses nothing.
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
    /// As [`cpg::Sender::wait_joined_until`](crate::Sender::wait_joined_until).
    pub async fn wait_joined_until(&self, deadline: Instant) -> Result<()> {
        let joined = timeout_at(deadline.into(), self.wait_joined()).await;
        joined.unwrap_or(Err(Error::TimedOut { waiting_for: BACK }))
    }

    /// As [`cpg::Sender::ticket`](crate::Sender::ticket); await the ticket in a task that does not dispatch, or drop it.
    pub fn ticket(&self, sent: Sent) -> Ticket {
        self.0.ticket(sent)
    }
}

/// A task that may be waiting for space or for a membership, until this goes.
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
