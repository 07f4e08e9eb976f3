//! What has become of messages, and who waits to know.

use std::sync::PoisonError;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::session::outbox::{LOCKED, Locked, Outbox, Stage, State};

impl Outbox {
    /// All messages below `number` have been handled.
    #[inline]
    pub(super) fn settle(&self, state: &mut State, number: u64) {
        if state.queue.settle(number) && (state.settled_waiters > 0 || !state.settled_wakers.is_empty()) {
            self.tell_settled(state, number);
        }
    }

    #[cold]
    fn tell_settled(&self, state: &mut State, number: u64) {
        if state.settled_waiters > 0 {
            self.settled.notify_all();
        }
        if !state.settled_wakers.is_empty() {
            let rest = state.settled_wakers.split_off(&number);
            let settled = std::mem::replace(&mut state.settled_wakers, rest);
            state.woken.extend(settled.into_values());
        }
    }

    /// What has become of a message; None while that is open.
    pub(crate) fn outcome(&self, number: u64) -> Option<Result<()>> {
        match self.lock() {
            Ok(state) => state.outcome(number),
            Err(error) => Some(Err(error)),
        }
    }

    /// Waits until it is known what has become of a message.
    pub(crate) fn wait_outcome(&self, number: u64, deadline: Option<Instant>) -> Result<()> {
        let mut state = self.lock()?;
        loop {
            if let Some(outcome) = state.outcome(number) {
                return outcome;
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Err(Error::TimedOut { waiting_for: "the own delivery to be dispatched" });
            }
            state.may_wait("cpg_dispatch")?;
            state.settled_waiters += 1;
            let guard = state.0.take().expect(LOCKED);
            let guard = match deadline {
                Some(deadline) => {
                    self.settled.wait_timeout(guard, deadline - now).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.settled.wait(guard).unwrap_or_else(PoisonError::into_inner),
            };
            state = Locked(Some(guard));
            state.settled_waiters -= 1;
        }
    }

    pub(crate) fn poll_outcome(&self, number: u64, cx: &Context<'_>) -> Poll<Result<()>> {
        let mut state = self.lock()?;
        if let Some(outcome) = state.outcome(number) {
            return Poll::Ready(outcome);
        }
        let before = state.settled_wakers.insert(number, cx.waker().clone());
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// Nobody waits for that message any more.
    pub(crate) fn forget(&self, number: u64) {
        // The waker is dropped without the lock.
        drop(self.lock().ok().and_then(|mut state| state.settled_wakers.remove(&number)));
    }
}

impl State {
    fn outcome(&self, number: u64) -> Option<Result<()>> {
        let unheard = || {
            (self.stage == Stage::Unheard && !self.queue.is_settled(number))
                .then_some(Err(Error::ReceiverDropped))
        };
        self.queue.outcome(number).or_else(unheard)
    }
}
