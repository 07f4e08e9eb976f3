//! The token of a message that a queue has accepted.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of queues that this process has made. The number of a queue is never used again, so a token never fits a later
/// queue.
static QUEUES: AtomicU64 = AtomicU64::new(0);

/// The id of a sending queue of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct QueueId(u64);

impl QueueId {
    /// Returns the id of a new queue.
    pub(super) fn next() -> Self {
        Self(QUEUES.fetch_add(1, Ordering::Relaxed))
    }
}

/// A token of one message that a session has accepted. [`Sender::send`](crate::Sender::send) and all other sends of a session
/// return it.
///
/// A token is two numbers. It can be copied, kept or ignored. [`Sender::ticket`](crate::Sender::ticket) makes a
/// [`Ticket`](crate::Ticket) from it at any time, also when the message has been delivered or lost, or the group has been left.
/// In another session or another process a token means nothing.
///
/// ```no_run
/// use cpg::{Limits, Sent, Session};
///
/// let mut session = Session::join("ledger")?;
/// session.send(b"+5 alice")?;
/// let sent: Sent = session.send(b"-5 alice")?;
/// let ticket = session.ticket(sent);
/// while ticket.outcome().is_none() {
///     session.dispatch(Limits::one(), |_, event| println!("{event:?}"))?;
/// }
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sent {
    queue: QueueId,
    number: u64,
}

impl Sent {
    #[inline]
    pub(super) fn new(queue: QueueId, number: u64) -> Self {
        Self { queue, number }
    }

    /// Returns the number of the message in this queue. `None` if another queue accepted the message.
    pub(super) fn number_in(self, queue: QueueId) -> Option<u64> {
        (self.queue == queue).then_some(self.number)
    }
}
