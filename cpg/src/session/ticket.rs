//! The fate of one message.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::Result;
use crate::session::outbox::Outbox;
use crate::session::sent::Sent;

/// Says when a message has been delivered: from [`Sender::ticket`](crate::Sender::ticket).
///
/// **Somebody must dispatch**, or it is never resolved: another thread, another task, or this one between two looks at
/// [`outcome`](Self::outcome).
///
/// It is resolved when the own delivery has been dispatched; the handler of that event has then run. It fails when the membership ends
/// first, and when the daemon has dropped the message ([B17](crate::facts#b17)): then the message comes back as
/// [`Event::Undelivered`](crate::Event::Undelivered) too.
///
/// **Delivered means that the message has its place in the order, and not that others have it** ([B28](crate::facts#b28)).
/// Members who stay with this one deliver it in that place. But this node may have been paused or cut off without knowing it
/// yet, or the daemons of the others may
/// not know this node yet after a merge: then the message has come back in a view with others, and reaches none of them. A program that
/// must not lose an acknowledged change waits for the answers of a majority:
/// [what delivered means](crate::guide::promises#what-delivered-means).
///
/// A ticket has no part in the message: messages are told apart by their order, and by their bytes should one be missing. It can
/// be made at any time from the token of the message, as often as one likes, and each says the same.
///
/// It is a [`Future`] for any executor, and what [`wait`](Self::wait) is for threads. Dropping it cancels nothing.
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use cpg::{Error, Limits, Session, Ticket};
///
/// let (sender, mut receiver) = Session::join("ledger")?.split();
/// let ticket: Ticket = sender.ticket(sender.send(b"+5 alice")?);
/// // Nobody has dispatched yet.
/// assert!(ticket.outcome().is_none());
/// let soon = Instant::now() + Duration::from_millis(10);
/// assert!(matches!(ticket.wait_until(soon), Err(Error::TimedOut { .. })));
/// std::thread::spawn(move || receiver.run(Limits::forever(), |_, _| std::ops::ControlFlow::<()>::Continue(())));
/// ticket.wait()?;
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a message needs no ticket"]
pub struct Ticket {
    /// Not the handle: tickets do not keep the membership.
    outbox: Arc<Outbox>,
    sent: Sent,
    /// The number of the task that waits, once it has been polled.
    task: Option<u64>,
}

impl Ticket {
    pub(super) fn new(outbox: Arc<Outbox>, sent: Sent) -> Self {
        Self { outbox, sent, task: None }
    }

    /// Returns the fate of the message, if it is known: `Ok` when it was delivered, else the reason why it was not.
    /// [`Error::ForeignToken`](crate::Error::ForeignToken) if another session has accepted it.
    pub fn outcome(&self) -> Option<Result<()>> {
        self.outbox.outcome(self.sent)
    }

    /// Waits until the message has been delivered. **Another thread must dispatch meanwhile**, or this never returns: a program
    /// of one thread dispatches until there is an [`outcome`](Self::outcome).
    ///
    /// # Errors
    /// As [`outcome`](Self::outcome). [`Error::WouldWait`](crate::Error::WouldWait) in a handler: only further dispatching can
    /// end the wait.
    pub fn wait(&self) -> Result<()> {
        self.outbox.wait_outcome(self.sent, None)
    }

    /// Waits until the message has been delivered, or the deadline has passed. Another thread must dispatch meanwhile, as for
    /// [`wait`](Self::wait).
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and [`Error::TimedOut`](crate::Error::TimedOut).
    pub fn wait_until(&self, deadline: Instant) -> Result<()> {
        self.outbox.wait_outcome(self.sent, Some(deadline))
    }
}

impl Future for Ticket {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Self { outbox, sent, task } = self.get_mut();
        outbox.poll_outcome(*sent, task, cx)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            self.outbox.forget(self.sent, task);
        }
    }
}
