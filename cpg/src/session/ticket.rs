//! The fate of one message.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::Result;
use crate::session::outbox::Outbox;

/// Says when a message has been delivered: from [`Sender::send_tracked`](crate::Sender::send_tracked).
///
/// It is resolved when the own delivery has been dispatched, which means that all who stay in this member's view deliver the
/// message too, in its place in the order; the handler of that event has then run. It fails when the membership ends first, and
/// when the daemon has dropped the message (B17): then the message comes back as
/// [`Event::Undelivered`](crate::Event::Undelivered) too.
///
/// A ticket has no part in the message: messages are told apart by their order, and by their bytes should one be missing.
///
/// It is a [`Future`] for any executor, and what [`wait`](Self::wait) is for threads. Dropping it cancels nothing.
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use cpg::{Error, Limits, Session, Ticket};
///
/// let (sender, mut receiver) = Session::join("ledger")?.split();
/// let ticket: Ticket = sender.send_tracked(b"+5 alice")?;
/// // Nobody has dispatched yet.
/// assert!(ticket.outcome().is_none());
/// let soon = Instant::now() + Duration::from_millis(10);
/// assert!(matches!(ticket.wait_until(soon), Err(Error::TimedOut { .. })));
/// std::thread::spawn(move || receiver.run(Limits::forever(), |_, _| std::ops::ControlFlow::<()>::Continue(())));
/// ticket.wait()?;
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a message needs no ticket: Sender::send gives none"]
pub struct Ticket {
    /// Not the handle: tickets do not keep the membership.
    outbox: Arc<Outbox>,
    number: u64,
    polled: bool,
}

impl Ticket {
    pub(crate) fn new(outbox: Arc<Outbox>, number: u64) -> Self {
        Self { outbox, number, polled: false }
    }

    /// What has become of the message, if that is known.
    pub fn outcome(&self) -> Option<Result<()>> {
        self.outbox.outcome(self.number)
    }

    /// Waits until the message has been delivered; another thread must be dispatching meanwhile.
    ///
    /// # Errors
    /// Why it was not delivered. [`Error::WouldWait`](crate::Error::WouldWait) in a handler: only further dispatching can end the
    /// wait.
    pub fn wait(self) -> Result<()> {
        self.outbox.wait_outcome(self.number, None)
    }

    /// As [`wait`](Self::wait), until the deadline. The ticket is still good after that.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and [`Error::TimedOut`](crate::Error::TimedOut).
    pub fn wait_until(&self, deadline: Instant) -> Result<()> {
        self.outbox.wait_outcome(self.number, Some(deadline))
    }
}

impl Future for Ticket {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.polled = true;
        self.outbox.poll_outcome(self.number, cx)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.polled {
            self.outbox.forget(self.number);
        }
    }
}
