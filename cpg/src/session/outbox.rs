//! The sending queue of a session: what its senders and its receiver share.
//!
//! One lock is on the queue, another on the connection's requests (A4). A message goes from the queue to libcpg under both, the
//! queue's taken first, and the requests' only if nobody has it: whoever has that one alone waits for the daemon (B16), and
//! sends afterwards what was put off meanwhile ([`Outbox::go_on`]).
//!
//! The files beside this one are parts of it: [`state`](super::state) for what is under the lock, [`push`](super::push) for
//! messages and those who wait for space, [`outcome`](super::outcome) for those who wait to know what became of a message,
//! [`end`](super::end) for the end of a membership or of the queue, [`absence`](super::absence) for those who wait for the next one, [`long`](super::long) for messages above the atomic size.

use std::ops::Range;
use std::sync::Condvar;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::event::undelivered::Undelivered;
use crate::handle::backoff::Pauses;
use crate::os::lock::Lock;
use crate::os::readiness::Readiness;
use crate::session::flow::Flow;
use crate::session::lag::Lag;
use crate::session::state::{Dispatcher, Locked, Stage, State};

/// The pauses while flow control refuses a message with none in flight, whose delivery would end it, grow from the first of
/// these to the second.
pub(super) const PAUSES: Pauses =
    Pauses { first: Duration::from_micros(200), longest: Duration::from_millis(20) };

/// Sends a message now; None if another has the lock on the requests, who then sees to [`Outbox::go_on`].
pub(crate) type SendNow<'s> = &'s dyn Fn(&[u8]) -> Option<Result<()>>;

#[derive(Debug)]
pub(crate) struct Outbox {
    state: Lock<State>,
    /// There is space in the queue, or a long message has its turn, or the session is away or back.
    pub(super) space: Condvar,
    /// Messages were settled.
    pub(super) settled: Condvar,
    /// Which membership this is, from 1. The receiver alone writes it, under the lock; a child of the process reads what it was
    /// at the fork.
    pub(super) generation: AtomicU64,
    readiness: Readiness,
}

impl Outbox {
    /// `comeback` is whether another membership follows when one is lost, and if so, whether that gets what waits.
    pub(crate) fn new(flow: Flow, comeback: Option<bool>, readiness: Readiness) -> Self {
        let state = State::new(flow, comeback);
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

    /// Returns why there is no connection, if there should be none.
    pub(crate) fn absence(&self) -> Option<Error> {
        match self.lock() {
            Ok(state) => state.absence(),
            Err(error) => Some(error),
        }
    }

    /// The next message that is to be handed back.
    pub(crate) fn take_returned(&self) -> Option<Undelivered> {
        self.lock().ok()?.queue.take_returned()
    }

    /// How far this member is behind.
    pub(crate) fn lag(&self) -> Result<Lag> {
        let state = self.lock()?;
        let (in_flight, waiting) = (state.queue.in_flight(), state.queue.waiting());
        Ok(Lag {
            in_flight: in_flight.messages,
            in_flight_bytes: in_flight.bytes,
            oldest: state.queue.oldest().map(|sent| sent.elapsed()),
            waiting: waiting.messages,
            waiting_bytes: waiting.bytes,
            since_dispatch: state.last_look.elapsed(),
        })
    }

    /// Which membership this is, or was the last.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
