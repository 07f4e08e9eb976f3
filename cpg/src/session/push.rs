//! Messages that enter the queue, and the threads and tasks that wait for space in it.

use std::io::IoSlice;
#[cfg(feature = "tokio")]
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::session::outbox::{Outbox, PAUSES, SendNow};
use crate::session::queue::Full;
use crate::session::sent::Sent;
use crate::session::state::{Locked, Stage, State};

/// A message that is not long: its slices, and their length together.
#[derive(Debug, Clone, Copy)]
struct Message<'m> {
    slices: &'m [IoSlice<'m>],
    len: usize,
}

impl Outbox {
    /// Queues a message, and sends what the window allows.
    #[inline]
    pub(crate) fn push(&self, slices: &[IoSlice<'_>], len: usize, send: SendNow<'_>) -> Result<Sent> {
        self.push_to(&mut *self.lock()?, Message { slices, len }, send)
    }

    #[inline]
    fn push_to(&self, state: &mut State, message: Message<'_>, send: SendNow<'_>) -> Result<Sent> {
        if let Some(error) = state.refusal() {
            return Err(error);
        }
        if state.stage == Stage::Unheard {
            return self.push_unheard(state, message, send);
        }
        let number = state.queue.push(message.slices, message.len).map_err(|Full| Error::QueueFull)?;
        // A message that flow control refused waits for its time, and later messages wait behind it.
        if state.queue.is_open() && state.refused.is_none() {
            self.flush(state, send);
            state.accepted(number, message.len)?;
        } else {
            self.watch(state);
        }
        Ok(state.queue.token(number))
    }

    /// Sends a message at once or refuses it: without a receiver, no self-deliveries let a queued message out.
    fn push_unheard(&self, state: &mut State, message: Message<'_>, send: SendNow<'_>) -> Result<Sent> {
        self.flush(state, send);
        if !state.queue.is_waiting() {
            let number = state.queue.push(message.slices, message.len).map_err(|Full| Error::QueueFull)?;
            self.flush(state, send);
            state.accepted(number, message.len)?;
            if !state.queue.withdraw(number) {
                return Ok(state.queue.token(number));
            }
        }
        Err(Error::cs("cpg_mcast_joined", cpg_sys::CS_ERR_TRY_AGAIN))
    }

    /// Queues a message as [`push`](Self::push) does, and waits for space.
    #[inline]
    pub(crate) fn push_waiting(
        &self,
        slices: &[IoSlice<'_>],
        len: usize,
        deadline: Option<Instant>,
        send: SendNow<'_>,
    ) -> Result<Sent> {
        match self.push(slices, len, send) {
            Err(error) if error.is_retryable() => self.push_later(Message { slices, len }, deadline, send),
            result => result,
        }
    }

    /// Queues a message as [`push`](Self::push) does, once there is space.
    #[cold]
    fn push_later(&self, message: Message<'_>, deadline: Option<Instant>, send: SendNow<'_>) -> Result<Sent> {
        let mut state = self.lock()?;
        let mut pause = PAUSES.first;
        loop {
            let error = match self.push_to(&mut state, message, send) {
                Err(error) if error.is_retryable() => error,
                result => return result,
            };
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Err(error);
            }
            // Without a receiver nothing tells when flow control ends.
            let again = (state.stage != Stage::Open).then(|| now + pause);
            pause = PAUSES.after(pause);
            state.may_wait("room in the sending queue")?;
            state = self.wait_space(state, deadline.into_iter().chain(again).min())?;
        }
    }

    /// Waits until there may be space.
    fn wait_space<'s>(&'s self, mut state: Locked<'s>, until: Option<Instant>) -> Result<Locked<'s>> {
        if !state.woken.is_empty() {
            // Their wakers are run first, which needs the lock to be given back.
            drop(state);
            return self.lock();
        }
        state.space_waiters += 1;
        let mut state = state.wait_at(&self.space, until);
        state.space_waiters -= 1;
        Ok(state)
    }

    /// Queues a message as [`push`](Self::push) does. While there is no space, registers the task to be woken. `task` gets the
    /// number of the task, which is registered until [`forget_task`](Self::forget_task).
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_push(
        &self,
        cx: &Context<'_>,
        task: &mut Option<u64>,
        slices: &[IoSlice<'_>],
        len: usize,
        send: SendNow<'_>,
    ) -> Poll<Result<Sent>> {
        self.poll_space(cx, task, |state| match self.push_to(state, Message { slices, len }, send) {
            Err(Error::QueueFull) => None,
            result => Some(result),
        })
    }

    /// Calls `look`. If it returns nothing, registers the task to be woken when another look may succeed: when there is space,
    /// when the queue has ended, or when the session has been lost or has come back.
    #[cfg(feature = "tokio")]
    pub(super) fn poll_space<T>(
        &self,
        cx: &Context<'_>,
        task: &mut Option<u64>,
        look: impl FnOnce(&mut State) -> Option<Result<T>>,
    ) -> Poll<Result<T>> {
        // Wakers run code that is not ours, so not under the lock: this one is cloned before it, and the replaced one is dropped
        // after it.
        let waker = cx.waker().clone();
        let mut state = self.lock()?;
        if let Some(result) = look(&mut state) {
            return Poll::Ready(result);
        }
        let task = state.task(task);
        let before = state.space_wakers.insert(task, waker);
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// Stops a task from waiting for space or for a membership.
    #[cfg(feature = "tokio")]
    pub(crate) fn forget_task(&self, task: u64) {
        // The waker is dropped after the lock, because dropping it may run code that is not ours.
        drop(self.lock().ok().and_then(|mut state| state.space_wakers.remove(&task)));
    }
}
