//! The fate of one message.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::Result;
use crate::session::outbox::Outbox;
use crate::session::sent::Sent;

/// A ticket of one message, which says when the message has been delivered. [`Sender::ticket`](crate::Sender::ticket) makes it.
///
/// **Some thread or task must dispatch**, or the ticket is never settled. This can be the thread that has the ticket, if it
/// dispatches between two looks at [`outcome`](Self::outcome).
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use cpg::{Error, Limits, Session, Ticket};
///
/// let (sender, mut receiver) = Session::join("ledger")?.split();
/// let ticket: Ticket = sender.ticket(sender.send(b"+5 alice")?);
/// // No thread has dispatched yet.
/// assert!(ticket.outcome().is_none());
/// let soon = Instant::now() + Duration::from_millis(10);
/// assert!(matches!(ticket.wait_until(soon), Err(Error::TimedOut { .. })));
/// std::thread::spawn(move || receiver.run(Limits::forever(), |_, _| std::ops::ControlFlow::<()>::Continue(())));
/// ticket.wait()?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// A ticket is settled in one of these ways:
///
/// - with `Ok` when the self-delivery of the message has been dispatched. The handler of that event has then returned.
/// - with an error when the membership ends before that, or when the daemon has dropped the message ([B17](crate::facts#b17)).
///   The message then also comes back as [`Event::Undelivered`](crate::Event::Undelivered).
///
/// **Delivered means that the message has its place in the order, not that other members have it** ([B28](crate::facts#b28)).
/// Members that stay together with this one deliver the message in that place. There are two exceptions, in which the message
/// came back in a view that lists other members, and reaches none of them: this node was paused or cut off, and has not
/// noticed; or, just after a merge, the daemons of the others do not count this node yet. A program that must not lose an
/// acknowledged change waits for the answers of a majority: [what delivered
/// means](crate::guide::promises#what-delivered-means).
///
/// A ticket adds nothing to the message. A self-delivery is matched with its ticket by the order of sending; if the daemon has
/// dropped a message, also by the bytes. Any number of tickets can be made from the token of a message, at any time, and they
/// all give the same answer.
///
/// A ticket is a [`Future`] for any executor; threads use [`wait`](Self::wait). Dropping a ticket cancels nothing.
#[derive(Debug)]
#[must_use = "a message needs no ticket"]
pub struct Ticket {
    /// Not the session: a ticket does not keep the membership.
    outbox: Arc<Outbox>,
    sent: Sent,
    /// The number of the waiting task, once the ticket has been polled.
    task: Option<u64>,
}

impl Ticket {
    pub(super) fn new(outbox: Arc<Outbox>, sent: Sent) -> Self {
        Self { outbox, sent, task: None }
    }

    /// Returns the fate of the message: `Ok` if it has been delivered, or the reason why it will not be. `None` if the fate is
    /// not known yet. [`Error::ForeignToken`](crate::Error::ForeignToken) if another session accepted the message.
    pub fn outcome(&self) -> Option<Result<()>> {
        self.outbox.outcome(self.sent)
    }

    /// Waits until the message has been delivered. **Another thread must dispatch meanwhile**, or this call never returns. A
    /// program with one thread dispatches until there is an [`outcome`](Self::outcome).
    ///
    /// # Errors
    /// Those of [`outcome`](Self::outcome). [`Error::WouldWait`](crate::Error::WouldWait) in a handler, because only further
    /// dispatching can end the wait.
    pub fn wait(&self) -> Result<()> {
        self.outbox.wait_outcome(self.sent, None)
    }

    /// Waits until the message has been delivered, as [`wait`](Self::wait) does, but until the deadline at most. Another thread
    /// must dispatch meanwhile.
    ///
    /// # Errors
    /// Those of [`wait`](Self::wait), and [`Error::TimedOut`](crate::Error::TimedOut).
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
