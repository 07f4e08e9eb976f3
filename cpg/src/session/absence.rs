//! The threads and tasks that wait until a session that has lost its membership is back.

#[cfg(feature = "tokio")]
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::session::outbox::Outbox;
use crate::session::state::State;

/// The text of a time-out of that wait.
pub(crate) const BACK: &str = "the session to be back in its group";

impl Outbox {
    /// Waits while a membership has been lost and the next one has not begun.
    pub(crate) fn wait_joined(&self, deadline: Option<Instant>) -> Result<()> {
        let mut state = self.lock()?;
        loop {
            if let Some(joined) = state.joined() {
                return joined;
            }
            state.may_wait(BACK)?;
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Error::TimedOut { waiting_for: BACK });
            }
            // Not counted as waiting for space, because every change that ends this wait wakes all waiters.
            state = state.wait_at(&self.space, deadline);
        }
    }

    /// Checks if the session is in its group, as [`wait_joined`](Self::wait_joined) does, and registers the task to be woken if
    /// it is not. `task` gets the number of the task, which is registered until [`forget_task`](Self::forget_task).
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_joined(&self, cx: &Context<'_>, task: &mut Option<u64>) -> Poll<Result<()>> {
        self.poll_space(cx, task, |state| state.joined())
    }
}

impl State {
    /// Returns `Ok` if there is a membership, the error if there will be none, and `None` while the next one is sought.
    fn joined(&self) -> Option<Result<()>> {
        match self.refusal() {
            Some(Error::NoMembership) => None,
            Some(error) => Some(Err(error)),
            // A queue that is kept accepts messages without a membership too.
            None => (!self.is_stopped()).then_some(Ok(())),
        }
    }
}
