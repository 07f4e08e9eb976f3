//! The sending queue of a session: what its senders and its receiver share.
//!
//! One lock is on the queue, another on the connection's requests (A4). A message goes from the queue to libcpg under both, the
//! queue's taken first, and the requests' only if nobody has it: whoever has that one alone waits for the daemon (B16), and
//! sends afterwards what was put off meanwhile ([`Outbox::go_on`]).
//!
//! The files beside this one are parts of it: [`outcome`](super::outcome) for those who wait to know what became of a message,
//! [`end`](super::end) for the end of a membership or of the queue, [`long`](super::long) for messages above the atomic size.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::ops::{Deref, DerefMut, Range};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::task::Waker;
#[cfg(feature = "tokio")]
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::event::undelivered::Undelivered;
use crate::group::backoff::Pauses;
use crate::os::lock::Lock;
use crate::os::readiness::Readiness;
use crate::session::flow::Flow;
use crate::session::lag::Lag;
use crate::session::queue::{Full, Queue};
use crate::session::sent::Sent;

/// The pauses while flow control refuses a message with none in flight, whose delivery would end it, grow from the first of
/// these to the second.
pub(super) const PAUSES: Pauses =
    Pauses { first: Duration::from_micros(200), longest: Duration::from_millis(20) };

/// When nothing in flight has come back for so long, a message goes out past the window: should the daemon have dropped all
/// that was in flight (B17), its delivery says so.
pub(crate) const STALL: Duration = Duration::from_secs(5);

/// Sends a message now; None if another has the lock on the requests, who then sees to [`Outbox::go_on`].
pub(crate) type SendNow<'s> = &'s dyn Fn(&[u8]) -> Option<Result<()>>;

#[derive(Debug)]
pub(crate) struct Outbox {
    state: Lock<State>,
    /// There is space in the queue, or a long message has its turn.
    pub(super) space: Condvar,
    /// Messages were settled.
    pub(super) settled: Condvar,
    /// Which membership this is, from 1. The receiver alone writes it, under the lock; a child of the process reads what it was
    /// at the fork.
    pub(super) generation: AtomicU64,
    readiness: Readiness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Open,
    /// No more messages are accepted.
    Closing,
    /// Nobody dispatches any more.
    Unheard,
}

/// Who dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dispatcher {
    /// Nobody has, so far.
    Never,
    /// This thread does: it cannot wait for what only its dispatch brings.
    By(ThreadId),
    /// Nobody does now.
    Before,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) stage: Stage,
    pub(super) dispatching: Dispatcher,
    /// Whether another membership follows when this one is lost, and if so, whether that gets what waits.
    pub(super) comeback: Option<bool>,
    /// A fatal error met by a sender. The receiver ends the membership or the queue with it at its next turn.
    pub(super) fault: Option<Error>,
    /// There is no membership, and the next one is sought: a copy of what the receiver knows.
    pub(super) away: bool,
    /// A long message is being sent.
    pub(super) busy: bool,
    /// The lock on the requests was held by another when the queue wanted to send.
    pub(super) put_off: bool,
    /// When to try again what flow control has refused, and the pause before that.
    pub(super) retry: Option<(Instant, Duration)>,
    pub(super) last_arrival: Instant,
    /// When the receiver last looked for an event, or the session was made.
    pub(super) last_look: Instant,
    pub(super) space_waiters: usize,
    pub(super) settled_waiters: usize,
    /// Tasks that wait for space, by numbers of their own.
    pub(super) space_wakers: BTreeMap<u64, Waker>,
    /// Tasks that wait for the fate of a message, by its number and then by their own: one message can have many tickets.
    pub(super) settled_wakers: BTreeMap<(u64, u64), Waker>,
    /// The number of the next task that waits.
    next_task: u64,
    /// Who is woken when the lock is given back.
    pub(super) woken: Vec<Waker>,
}

/// The state, under its lock.
///
/// Tasks are woken when the lock has been given back: a waker may drop what takes the lock, or poll it.
#[derive(Debug)]
pub(super) struct Locked<'s>(pub(super) Option<MutexGuard<'s, State>>);

pub(super) const LOCKED: &str = "taken by waiting and dropping alone";

impl Deref for Locked<'_> {
    type Target = State;

    #[inline]
    fn deref(&self) -> &State {
        self.0.as_ref().expect(LOCKED)
    }
}

impl DerefMut for Locked<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State {
        self.0.as_mut().expect(LOCKED)
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.as_ref().is_some_and(|state| !state.woken.is_empty()) {
            self.wake();
        }
    }
}

impl Locked<'_> {
    /// Gives the lock back, and wakes those who are to be woken.
    #[cold]
    fn wake(&mut self) {
        let Some(mut state) = self.0.take() else { return };
        let woken = std::mem::take(&mut state.woken);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Outbox {
    /// `comeback` is whether another membership follows when one is lost, and if so, whether that gets what waits.
    pub(crate) fn new(flow: Flow, comeback: Option<bool>, readiness: Readiness) -> Self {
        let state = State {
            queue: Queue::new(flow),
            stage: Stage::Open,
            dispatching: Dispatcher::Never,
            comeback,
            fault: None,
            away: false,
            busy: false,
            put_off: false,
            retry: None,
            last_arrival: Instant::now(),
            last_look: Instant::now(),
            space_waiters: 0,
            settled_waiters: 0,
            space_wakers: BTreeMap::new(),
            settled_wakers: BTreeMap::new(),
            next_task: 0,
            woken: Vec::new(),
        };
        Self {
            state: Lock::new(state),
            space: Condvar::new(),
            settled: Condvar::new(),
            generation: AtomicU64::new(1),
            readiness,
        }
    }

    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    #[inline]
    pub(super) fn lock(&self) -> Result<Locked<'_>> {
        self.state.lock().map(|state| Locked(Some(state)))
    }

    /// Queues a message that is not long, and sends what may be sent.
    #[inline]
    pub(crate) fn push(&self, slices: &[IoSlice<'_>], len: usize, send: SendNow<'_>) -> Result<Sent> {
        self.push_to(&mut *self.lock()?, slices, len, send)
    }

    #[inline]
    fn push_to(
        &self,
        state: &mut State,
        slices: &[IoSlice<'_>],
        len: usize,
        send: SendNow<'_>,
    ) -> Result<Sent> {
        if let Some(error) = state.refusal() {
            return Err(error);
        }
        if state.stage == Stage::Unheard {
            return self.push_unheard(state, slices, len, send);
        }
        let Ok(number) = state.queue.push(slices, len) else {
            if state.is_stalled() {
                state.last_arrival = Instant::now();
                self.send_front(state, send);
            }
            return Err(Error::QueueFull);
        };
        // What flow control has refused is tried again when its time has come.
        if state.queue.is_open() && state.retry.is_none() {
            self.flush(state, send);
            state.accepted(number, len)?;
        }
        Ok(state.queue.token(number))
    }

    /// Without a receiver nothing clocks the queue, so that a message goes out at once or not at all.
    fn push_unheard(
        &self,
        state: &mut State,
        slices: &[IoSlice<'_>],
        len: usize,
        send: SendNow<'_>,
    ) -> Result<Sent> {
        self.flush(state, send);
        if !state.queue.is_waiting() {
            let number = state.queue.push(slices, len).map_err(|Full| Error::QueueFull)?;
            self.flush(state, send);
            state.accepted(number, len)?;
            if !state.queue.withdraw(number) {
                return Ok(state.queue.token(number));
            }
        }
        Err(Error::cs("cpg_mcast_joined", cpg_sys::CS_ERR_TRY_AGAIN))
    }

    /// As [`push`](Self::push), and waits for space.
    #[inline]
    pub(crate) fn push_waiting(
        &self,
        slices: &[IoSlice<'_>],
        len: usize,
        deadline: Option<Instant>,
        send: SendNow<'_>,
    ) -> Result<Sent> {
        match self.push(slices, len, send) {
            Err(error) if error.is_retryable() => self.push_later(slices, len, deadline, send),
            result => result,
        }
    }

    /// As [`push`](Self::push), when there is space.
    #[cold]
    fn push_later(
        &self,
        slices: &[IoSlice<'_>],
        len: usize,
        deadline: Option<Instant>,
        send: SendNow<'_>,
    ) -> Result<Sent> {
        let mut state = self.lock()?;
        let mut pause = PAUSES.first;
        loop {
            let error = match self.push_to(&mut state, slices, len, send) {
                Err(error) if error.is_retryable() => error,
                result => return result,
            };
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Err(error);
            }
            let most = if state.stage == Stage::Open { STALL } else { pause };
            pause = PAUSES.after(pause);
            let until = deadline.map_or(now + most, |deadline| deadline.min(now + most));
            state.may_wait("cpg_mcast_joined")?;
            state = self.wait_space(state, until)?;
        }
    }

    /// Waits until there may be space.
    pub(super) fn wait_space<'s>(&'s self, mut state: Locked<'s>, until: Instant) -> Result<Locked<'s>> {
        if !state.woken.is_empty() {
            // They come first.
            drop(state);
            return self.lock();
        }
        state.space_waiters += 1;
        let left = until.saturating_duration_since(Instant::now());
        let guard = state.0.take().expect(LOCKED);
        let (mut guard, _) = self.space.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner);
        guard.space_waiters -= 1;
        Ok(Locked(Some(guard)))
    }

    /// As [`push`](Self::push), and has the task woken when there is space: the one that `task` then numbers, until
    /// [`forget_task`](Self::forget_task).
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_push(
        &self,
        cx: &Context<'_>,
        task: &mut Option<u64>,
        slices: &[IoSlice<'_>],
        len: usize,
        send: SendNow<'_>,
    ) -> Poll<Result<Sent>> {
        // The code of a waker is not run under the lock: this one is cloned before, and goes after it.
        let waker = cx.waker().clone();
        let mut state = self.lock()?;
        match self.push_to(&mut state, slices, len, send) {
            Err(Error::QueueFull) => {
                let task = state.task(task);
                let before = state.space_wakers.insert(task, waker);
                drop(state);
                drop(before);
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }

    /// That task waits for space no more.
    #[cfg(feature = "tokio")]
    pub(crate) fn forget_task(&self, task: u64) {
        // The waker is dropped without the lock.
        drop(self.lock().ok().and_then(|mut state| state.space_wakers.remove(&task)));
    }

    /// Sends what waits while the window is open.
    pub(super) fn flush(&self, state: &mut State, send: SendNow<'_>) {
        let unheard = state.stage == Stage::Unheard;
        while state.queue.is_waiting()
            && !state.busy
            && !state.is_stopped()
            && (unheard || state.queue.is_open())
            && self.send_front(state, send)
        {}
        if unheard {
            state.queue.forget_flying();
        }
        self.announce_space(state);
    }

    /// Sends the front of the queue; false if it could not be sent, or there is none.
    #[inline]
    pub(super) fn send_front(&self, state: &mut State, send: SendNow<'_>) -> bool {
        let Some(bytes) = state.queue.front() else { return false };
        match send(bytes) {
            None => {
                state.put_off = true;
                // Whoever has the lock goes on. A time that has come would keep the receiver awake until then.
                state.retry = None;
            }
            Some(Ok(())) => {
                state.retry = None;
                state.queue.sent();
                return true;
            }
            Some(Err(error)) if error.is_final() => self.fail(state, error),
            // What is in flight will come back, and lets this be tried again.
            Some(Err(_)) if state.queue.is_flying() => {}
            Some(Err(_)) => {
                let pause = state.retry.map_or(PAUSES.first, |(_, pause)| PAUSES.after(pause));
                state.retry = Some((Instant::now() + pause, pause));
                self.readiness.set(Some(pause));
            }
        }
        false
    }

    fn announce_space(&self, state: &mut State) {
        if state.space_waiters + state.space_wakers.len() > 0
            && (state.queue.is_half_empty() || state.queue.is_long_next())
        {
            self.space.notify_all();
            let tasks = std::mem::take(&mut state.space_wakers);
            state.woken.extend(tasks.into_values());
        }
    }

    /// Sends what could not be sent while another waited for the daemon.
    pub(crate) fn go_on(&self, send: SendNow<'_>) {
        let Ok(mut state) = self.lock() else { return };
        if std::mem::take(&mut state.put_off) {
            self.flush(&mut state, send);
        }
    }

    /// A message of this member has come back: the window opens. Gives the numbers of what is in it.
    pub(crate) fn arrived(&self, bytes: &[u8], send: SendNow<'_>) -> Option<Range<u64>> {
        let mut state = self.lock().ok()?;
        let arrived = state.queue.arrived(bytes);
        // A look came just before: the clock is read once for both.
        state.last_arrival = state.last_look;
        if state.queue.is_waiting() && state.queue.is_wide_open() {
            self.flush(&mut state, send);
        }
        arrived
    }

    /// Whether anything has still to be sent.
    pub(crate) fn is_waiting(&self) -> bool {
        self.lock().is_ok_and(|state| state.queue.is_waiting() || state.busy)
    }

    /// This thread begins to dispatch.
    pub(crate) fn begin_dispatch(&self) {
        if let Ok(mut state) = self.lock() {
            state.dispatching = Dispatcher::By(thread::current().id());
        }
    }

    /// This thread has dispatched. Messages below `settled` have been handled. Sets the timer for what the receiver has to do
    /// next, apart from libcpg's events; `more` if there is something now.
    pub(crate) fn end_dispatch(&self, settled: u64, more: bool) {
        if let Ok(mut state) = self.lock() {
            self.settle(&mut state, settled);
            self.set_timer_locked(&state, more);
            state.dispatching = Dispatcher::Before;
        }
    }

    /// Tries again what flow control has refused, if its time has come.
    #[inline]
    pub(crate) fn retry(&self, send: SendNow<'_>) {
        if self.readiness.is_set() {
            self.retry_now(send);
        }
    }

    #[cold]
    fn retry_now(&self, send: SendNow<'_>) {
        let Ok(mut state) = self.lock() else { return };
        let due = state.retry.is_some_and(|(at, _)| Instant::now() >= at);
        if due {
            self.flush(&mut state, send);
        }
        // To set it is a system call and an interrupt: not for each of many messages that are handed back.
        if due || !state.has_news() {
            self.set_timer_locked(&state, false);
        }
    }

    pub(super) fn set_timer_locked(&self, state: &State, more: bool) {
        let more = more || state.has_news();
        let retry = state.retry.map(|(at, _)| at.saturating_duration_since(Instant::now()));
        self.readiness.set(if more { Some(Duration::ZERO) } else { retry });
    }

    /// The next message that is to be handed back.
    pub(crate) fn take_returned(&self) -> Option<Undelivered> {
        self.lock().ok()?.queue.take_returned()
    }

    /// How far this member is behind.
    pub(crate) fn lag(&self) -> Lag {
        // A child of the process is behind nothing.
        let Ok(state) = self.lock() else { return Lag::default() };
        let (in_flight, waiting) = (state.queue.in_flight(), state.queue.waiting());
        Lag {
            in_flight: in_flight.messages,
            in_flight_bytes: in_flight.bytes,
            oldest: state.queue.oldest().map(|sent| sent.elapsed()),
            waiting: waiting.messages,
            waiting_bytes: waiting.bytes,
            since_dispatch: state.last_look.elapsed(),
        }
    }

    /// Which membership this is, or was the last.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }
}

impl State {
    /// Returns the number of a task that waits, which it gets with its first wait.
    pub(super) fn task(&mut self, task: &mut Option<u64>) -> u64 {
        *task.get_or_insert_with(|| {
            self.next_task += 1;
            self.next_task
        })
    }

    /// True if messages are accepted, and sent when it is their turn.
    #[inline]
    fn goes_on(&self) -> bool {
        self.stage != Stage::Closing && self.queue.ended().is_none() && !self.is_stopped()
    }

    /// Returns why no message is accepted, if none is.
    #[inline]
    pub(super) fn refusal(&self) -> Option<Error> {
        if self.goes_on() {
            return None;
        }
        if self.stage == Stage::Closing {
            return Some(Error::Left);
        }
        self.queue.ended().cloned().or_else(|| self.refusal_by_fault())
    }

    /// True if the receiver has something to handle that is not libcpg's.
    pub(super) fn has_news(&self) -> bool {
        self.queue.has_returned() || self.fault.is_some()
    }

    /// True if nothing in flight has come back for so long that one message goes out past the window.
    pub(super) fn is_stalled(&self) -> bool {
        let stopped = self.busy || self.is_stopped();
        self.last_arrival.elapsed() >= STALL && !self.queue.is_open() && !stopped
    }

    /// An error if sending the message ended the queue or the membership; it is then not handed back.
    #[inline]
    fn accepted(&mut self, number: u64, len: usize) -> Result<()> {
        if self.goes_on() {
            return Ok(());
        }
        match self.queue.ended().cloned().or_else(|| self.refusal_by_fault()) {
            Some(error) if self.queue.keep(number) || self.queue.retract(number, len) => {
                Err(self.fault.clone().unwrap_or(error))
            }
            _ => Ok(()),
        }
    }

    /// Refuses to wait where nothing could end that.
    pub(super) fn may_wait(&self, call: &'static str) -> Result<()> {
        if self.dispatching == Dispatcher::By(thread::current().id()) {
            Err(Error::WouldWait { call })
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
