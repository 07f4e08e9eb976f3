//! Who waits until a session that has lost its membership has the next one.

#[cfg(feature = "tokio")]
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::session::outbox::Outbox;
use crate::session::state::State;

/// What those who wait with a deadline are told that they have waited for.
pub(crate) const BACK: &str = "the session to be back in its group";

impl Outbox {
    /// Waits while a membership has been lost and the next one is sought.
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
            // Not counted among those who wait for space: all are woken by what ends this.
            state = state.wait_at(&self.space, deadline);
        }
    }

    /// As [`wait_joined`](Self::wait_joined), for a task: the one that `task` then numbers, until
    /// [`forget_task`](Self::forget_task).
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_joined(&self, cx: &Context<'_>, task: &mut Option<u64>) -> Poll<Result<()>> {
        self.poll_space(cx, task, |state| state.joined())
    }
}

impl State {
    /// `Ok` if there is a membership, the reason if there will be none; None while one is sought.
    fn joined(&self) -> Option<Result<()>> {
        match self.refusal() {
            Some(Error::NoMembership) => None,
            Some(error) => Some(Err(error)),
            // A queue that is kept takes messages all the while.
            None => (!self.is_stopped()).then_some(Ok(())),
        }
    }
}
