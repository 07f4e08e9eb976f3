//! The fate of messages, and the threads and tasks that wait for it.

use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::session::outbox::Outbox;
use crate::session::sent::Sent;
use crate::session::state::{Dispatcher, Stage, State};

impl Outbox {
    /// Records that all messages below `number` have been handled, and wakes who waits for them.
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
            let rest = state.settled_wakers.split_off(&(number, 0));
            let settled = std::mem::replace(&mut state.settled_wakers, rest);
            state.woken.extend(settled.into_values());
        }
    }

    /// Returns the fate of a message. `None` while the fate is open.
    pub(crate) fn outcome(&self, sent: Sent) -> Option<Result<()>> {
        match self.lock().and_then(|state| Ok(state.outcome(state.queue.number(sent)?))) {
            Ok(outcome) => outcome,
            Err(error) => Some(Err(error)),
        }
    }

    /// Waits until the fate of a message is known.
    pub(crate) fn wait_outcome(&self, sent: Sent, deadline: Option<Instant>) -> Result<()> {
        let mut state = self.lock()?;
        let number = state.queue.number(sent)?;
        loop {
            if let Some(outcome) = state.outcome(number) {
                return outcome;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                // Earlier this was no error: another thread could be about to dispatch.
                let waiting_for = if state.dispatching == Dispatcher::Never {
                    "the self-delivery to be dispatched, and nobody has dispatched in this session"
                } else {
                    "the self-delivery to be dispatched"
                };
                return Err(Error::TimedOut { waiting_for });
            }
            state.may_wait("the self-delivery of a message")?;
            state.settled_waiters += 1;
            state = state.wait_at(&self.settled, deadline);
            state.settled_waiters -= 1;
        }
    }

    /// Returns the fate of a message, as [`outcome`](Self::outcome) does. While the fate is open, registers the task to be woken.
    /// `task` gets the number of the task, which is registered until [`forget`](Self::forget).
    pub(crate) fn poll_outcome(
        &self,
        sent: Sent,
        task: &mut Option<u64>,
        cx: &Context<'_>,
    ) -> Poll<Result<()>> {
        // Wakers run code that is not ours, so not under the lock: this one is cloned before it, and the replaced one is dropped
        // after it.
        let waker = cx.waker().clone();
        let mut state = self.lock()?;
        let number = state.queue.number(sent)?;
        if let Some(outcome) = state.outcome(number) {
            return Poll::Ready(outcome);
        }
        let task = state.task(task);
        let before = state.settled_wakers.insert((number, task), waker);
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// Stops a task from waiting for a message.
    pub(crate) fn forget(&self, sent: Sent, task: u64) {
        let Ok(mut state) = self.lock() else { return };
        let Ok(number) = state.queue.number(sent) else { return };
        let waker = state.settled_wakers.remove(&(number, task));
        // The waker is dropped after the lock, because dropping it may run code that is not ours.
        drop(state);
        drop(waker);
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
