//! The sending queue of a session: what its senders and its receiver share.
//!
//! One lock is on the queue, another on the connection ([A4](crate::facts#a4), [`access`](super::access)). A message goes from
//! the queue to libcpg under both, the queue's taken first. A thread that makes a request, which waits for the daemon
//! ([B16](crate::facts#b16)), has neither: messages wait meanwhile, and it sends them afterwards ([`Outbox::go_on`],
//! [`Outbox::parted`]).
//!
//! The files beside this one are parts of it: [`state`](super::state) for what is under the lock, [`push`](super::push) for
//! messages and those who wait for space, [`outcome`](super::outcome) for those who wait to know what became of a message,
//! [`end`](super::end) for the end of a membership or of the queue, [`absence`](super::absence) for those who wait for the next
//! one.

#[cfg(cpg_model)]
use shuttle::thread::current;
use std::ops::Range;
#[cfg(not(cpg_model))]
use std::sync::Condvar;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(cpg_model))]
use std::thread::current;
use std::time::{Duration, Instant};

use crate::cs_error::CsError;
use crate::error::{Error, Result};
use crate::event::undelivered::Undelivered;
use crate::handle::backoff::Pauses;
use crate::os::lock::Lock;
#[cfg(cpg_model)]
use crate::os::model::Condvar;
use crate::os::readiness::Readiness;
use crate::session::flow::Flow;
use crate::session::lag::Lag;
use crate::session::pipeline::Bytes;
use crate::session::state::{Dispatcher, Locked, Stage, State};

/// The pauses while flow control refuses a message with none in flight, whose delivery would end it, grow from the first of
/// these to the second.
pub(super) const PAUSES: Pauses =
    Pauses { first: Duration::from_micros(200), longest: Duration::from_millis(20) };

/// What has become of a message that the queue has handed to the connection.
#[derive(Debug)]
pub(crate) enum Handed {
    /// The daemon has it.
    Sent,
    /// A thread sends its parts, and [says](Outbox::parted) how that went.
    UnderWay,
    /// The thread of a request has the half that sends, and [goes on](Outbox::go_on) with the queue afterwards.
    Busy,
    Refused(Error),
}

/// Sends the packet that begins with the message of this number.
pub(crate) type SendNow<'s> = &'s dyn Fn(u64, &mut Bytes) -> Handed;

#[derive(Debug)]
pub(crate) struct Outbox {
    state: Lock<State>,
    /// There is space in the queue, or the session is away or back.
    pub(super) space: Condvar,
    /// Messages were settled, or the one that was under way is no longer.
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
            && !state.is_stopped()
            && (unheard || state.queue.is_open())
            && self.send_front(state, send)
        {}
        // What is under way may have to be sent again.
        if unheard && state.under_way.is_none() {
            state.queue.forget_flying();
        }
        self.announce_space(state);
    }

    /// Sends the front of the queue; false if it could not be sent, or there is none.
    #[inline]
    pub(super) fn send_front(&self, state: &mut State, send: SendNow<'_>) -> bool {
        // It may have to go out again, in front of all others. Its thread goes on when it knows.
        if state.under_way.is_some() {
            return false;
        }
        let Some((number, bytes)) = state.queue.front() else { return false };
        match send(number, bytes) {
            // Whoever has the half goes on. A time that has come would keep the receiver awake until then.
            Handed::Busy => state.retry = None,
            handed @ (Handed::Sent | Handed::UnderWay) => {
                state.retry = None;
                state.queue.sent();
                if matches!(handed, Handed::UnderWay) {
                    state.under_way = Some(number);
                }
                return true;
            }
            Handed::Refused(error) if error.is_final() => self.fail(state, error),
            Handed::Refused(_) => self.retry_later(state),
        }
        false
    }

    /// Has what was refused for now tried again.
    fn retry_later(&self, state: &mut State) {
        // What is in flight will come back, and lets this be tried again.
        if !state.queue.is_flying() {
            let pause = state.retry.map_or(PAUSES.first, |(_, pause)| PAUSES.after(pause));
            state.retry = Some((Instant::now() + pause, pause));
            self.readiness.set(Some(pause));
        }
    }

    fn announce_space(&self, state: &mut State) {
        if state.space_waiters + state.space_wakers.len() > 0 && state.queue.is_half_empty() {
            self.space.notify_all();
            let tasks = std::mem::take(&mut state.space_wakers);
            state.woken.extend(tasks.into_values());
        }
    }

    /// Sends what could not be sent during a request.
    pub(crate) fn go_on(&self, send: SendNow<'_>) {
        if let Ok(mut state) = self.lock() {
            self.flush(&mut state, send);
        }
    }

    /// The thread that sends a message in parts has done so, or has not: `result` is what libcpg says. Where nobody dispatches, it is
    /// to [go on](Self::go_on) after the pause that is returned.
    pub(super) fn parted(&self, number: u64, result: Result<()>, send: SendNow<'_>) -> Option<Duration> {
        let mut state = self.lock().ok()?;
        let mut refused = false;
        // Not of one that went with its membership, nor of one that has come back whatever libcpg says.
        let told = state.under_way.take_if(|under_way| *under_way == number).is_some();
        if told {
            self.settled.notify_all();
        }
        if told && !state.queue.has_arrived(number) {
            match result {
                Ok(()) => {}
                Err(error) if error.is_retryable() => {
                    state.queue.recall(number);
                    // A membership change (B8) is over.
                    refused = error.code() != Some(CsError::Interrupt);
                    if refused {
                        self.retry_later(&mut state);
                    }
                }
                // It stays in flight: some of its parts have been sent, and they may be all.
                Err(error) => self.fail(&mut state, error),
            }
        }
        if !refused {
            self.flush(&mut state, send);
        }
        let again = state.stage == Stage::Unheard && state.queue.is_waiting();
        again.then_some(PAUSES.longest)
    }

    /// Waits until then for the thread that sends a message in parts; true if there was one, and it has [said](Self::parted) how
    /// that went.
    pub(super) fn has_parted(&self, until: Instant) -> bool {
        let Ok(mut state) = self.lock() else { return false };
        let before = state.under_way;
        while before.is_some() && state.under_way == before {
            if Instant::now() >= until {
                return false;
            }
            state = state.wait_at(&self.settled, Some(until));
        }
        before.is_some()
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
        self.lock().is_ok_and(|state| state.queue.is_waiting() || state.under_way.is_some())
    }

    /// This thread begins to dispatch.
    pub(crate) fn begin_dispatch(&self) {
        if let Ok(mut state) = self.lock() {
            state.dispatching = Dispatcher::By(current().id());
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
