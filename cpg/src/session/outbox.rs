//! The sending queue of a session, which senders and receiver share.
//!
//! The queue has one lock, and the connection has another ([A4](crate::facts#a4), [`access`](super::access)). A message goes from
//! the queue to libcpg under both locks; the queue's lock is taken first. A thread that makes a request waits for the daemon
//! ([B16](crate::facts#b16)), and holds neither lock. Meanwhile messages wait in the queue, and that thread sends them afterwards
//! ([`Outbox::go_on`], [`Outbox::parted`]).
//!
//! The neighbouring files are parts of the queue: [`state`](super::state) has the state under the lock, [`push`](super::push) the
//! entry of messages and the wait for space, [`outcome`](super::outcome) the wait for the fate of a message, [`end`](super::end)
//! the end of a membership or of the queue, and [`absence`](super::absence) the wait for the next membership.

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
use crate::os::readiness::{Alarm, Readiness};
use crate::session::flow::Sizes;
use crate::session::lag::Lag;
use crate::session::pipeline::Bytes;
use crate::session::state::{Dispatcher, Locked, Stage, State};

/// The pauses between attempts while flow control refuses a message and no message is in flight. (Otherwise the delivery of a
/// message in flight leads to the next attempt.)
pub(super) const PAUSES: Pauses =
    Pauses { first: Duration::from_micros(200), longest: Duration::from_millis(20) };

/// The result of handing a message to the connection.
#[derive(Debug)]
pub(crate) enum Handed {
    /// The daemon has it.
    Sent,
    /// A thread is sending the parts. It [reports](Outbox::parted) the result.
    UnderWay,
    /// A request has the half that sends. Its thread [goes on](Outbox::go_on) with the queue afterwards.
    Busy,
    Refused(Error),
}

/// The function that sends a packet. The number is that of the packet's first message.
pub(crate) type SendNow<'s> = &'s dyn Fn(u64, &mut Bytes) -> Handed;

/// The sending queue of a session, with those who wait for it.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Lock<State>,
    /// Notified when there is space in the queue, when a membership is lost, and when the next one has begun.
    pub(super) space: Condvar,
    /// Notified when messages are settled, and when the parts of a long message have been sent.
    pub(super) settled: Condvar,
    /// The number of the membership, from 1. Only the receiver writes it, under the lock. A forked child reads the number at the
    /// time of the fork.
    pub(super) generation: AtomicU64,
    readiness: Readiness,
}

impl Outbox {
    /// Makes an empty queue. `comeback` is `Some` if another membership follows a lost one; true if that membership gets the
    /// messages that wait.
    pub(crate) fn new(sizes: Sizes, comeback: Option<bool>, readiness: Readiness) -> Self {
        let state = State::new(sizes, comeback);
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

    /// Sends messages that wait, while the window is open.
    pub(super) fn flush(&self, state: &mut State, send: SendNow<'_>) {
        let unheard = state.stage == Stage::Unheard;
        while state.queue.is_waiting()
            && !state.is_stopped()
            && (unheard || state.queue.is_open())
            && self.send_front(state, send)
        {}
        // A message whose parts are being sent may have to be sent again.
        if unheard && state.under_way.is_none() {
            state.queue.forget_flying();
        }
        self.announce_space(state);
        self.watch(state);
    }

    /// Sends the packet at the front of the queue. False if it could not be sent, or if no packet waits.
    #[inline]
    pub(super) fn send_front(&self, state: &mut State, send: SendNow<'_>) -> bool {
        // The message whose parts are being sent may have to be sent again, before all others. Its thread then goes on.
        if state.under_way.is_some() {
            return false;
        }
        let Some((number, bytes)) = state.queue.front() else { return false };
        match send(number, bytes) {
            // The thread of the request goes on.
            Handed::Busy => state.not_refused(),
            handed @ (Handed::Sent | Handed::UnderWay) => {
                state.not_refused();
                let is_first = !state.queue.is_flying();
                state.queue.sent();
                if is_first {
                    state.progress = state.queue.oldest().unwrap_or(state.progress);
                }
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

    /// Plans another attempt for a message that was refused for the moment.
    fn retry_later(&self, state: &mut State) {
        // If messages are in flight, the next self-delivery leads to another attempt.
        if !state.queue.is_flying() {
            let pause = state.refused.map_or(PAUSES.first, |pause| PAUSES.after(pause));
            state.refused = Some(pause);
            self.wake_at(state, Instant::now() + pause);
        }
    }

    /// Makes the receiver look again if messages wait for a self-delivery that does not come.
    #[inline]
    pub(super) fn watch(&self, state: &mut State) {
        // A time that is set already stays, because setting the timer is a system call. The look at that time sets the next one.
        if state.again.is_none() {
            if let Some(at) = state.stalls_at() {
                self.wake_at(state, at);
            }
        }
    }

    /// Makes the receiver look again at this time.
    fn wake_at(&self, state: &mut State, at: Instant) {
        state.again = Some(at);
        // The receiver may have more to do than this thread knows.
        if state.alarm != Alarm::Now {
            self.set_alarm(state, Alarm::At(at));
        }
    }

    fn set_alarm(&self, state: &mut State, alarm: Alarm) {
        if state.alarm != alarm {
            state.alarm = alarm;
            self.readiness.set(alarm);
        }
    }

    fn announce_space(&self, state: &mut State) {
        if state.space_waiters + state.space_wakers.len() > 0 && state.queue.is_half_empty() {
            self.space.notify_all();
            let tasks = std::mem::take(&mut state.space_wakers);
            state.woken.extend(tasks.into_values());
        }
    }

    /// Sends the messages that could not be sent during a request.
    pub(crate) fn go_on(&self, send: SendNow<'_>) {
        if let Ok(mut state) = self.lock() {
            self.flush(&mut state, send);
        }
    }

    /// Records the result of sending a message in parts, as libcpg reported it. If nobody dispatches, this may return a pause:
    /// the thread then has to [go on](Self::go_on) after the pause.
    pub(super) fn parted(&self, number: u64, result: Result<()>, send: SendNow<'_>) -> Option<Duration> {
        let mut state = self.lock().ok()?;
        let mut refused = false;
        // Not for a message that was lost with its membership, and not for one that has come back in spite of an error.
        let told = state.under_way.take_if(|under_way| *under_way == number).is_some();
        if told {
            self.settled.notify_all();
        }
        if told && !state.queue.has_arrived(number) {
            match result {
                Ok(()) => {}
                Err(error) if error.is_retryable() => {
                    state.queue.recall(number);
                    // A membership change (B8) is over at once.
                    refused = error.code() != Some(CsError::Interrupt);
                    if refused {
                        self.retry_later(&mut state);
                    }
                }
                // The message stays in flight, because some of its parts have been sent, and perhaps all.
                Err(error) => self.fail(&mut state, error),
            }
        }
        if refused {
            self.watch(&mut state);
        } else {
            self.flush(&mut state, send);
        }
        let again = state.stage == Stage::Unheard && state.queue.is_waiting();
        again.then_some(PAUSES.longest)
    }

    /// Waits for the thread that sends a message in parts, until this time. True if there was such a thread, and it has
    /// [reported](Self::parted) the result.
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

    /// Records a self-delivery, which makes room in the window. Returns the numbers of its messages.
    pub(crate) fn arrived(&self, bytes: &[u8], send: SendNow<'_>) -> Option<Range<u64>> {
        let mut state = self.lock().ok()?;
        let arrived = state.queue.arrived(bytes);
        // The receiver looked just before this, so the clock need not be read again.
        state.progress = state.last_look;
        if state.queue.is_waiting() && state.queue.is_wide_open() {
            self.flush(&mut state, send);
        }
        arrived
    }

    /// True if a message has still to be sent.
    pub(crate) fn is_waiting(&self) -> bool {
        self.lock().is_ok_and(|state| state.queue.is_waiting() || state.under_way.is_some())
    }

    /// Records that this thread begins to dispatch.
    pub(crate) fn begin_dispatch(&self) {
        if let Ok(mut state) = self.lock() {
            state.dispatching = Dispatcher::By(current().id());
        }
    }

    /// Records that this thread has ended its dispatch, and that messages below `settled` have been handled. Sets the timer for
    /// the receiver's next task that does not come from libcpg. `more` is true if there is such a task now.
    pub(crate) fn end_dispatch(&self, settled: u64, more: bool) {
        if let Ok(mut state) = self.lock() {
            self.settle(&mut state, settled);
            self.set_timer(&mut state, more);
            state.dispatching = Dispatcher::Before;
        }
    }

    /// Does what the timer was set for.
    #[cold]
    pub(super) fn rung(&self, state: &mut State, send: SendNow<'_>) {
        let now = state.last_look;
        if state.again.take_if(|at| now >= *at).is_some() {
            self.flush(state, send);
        }
        // Setting the timer is a system call: not for each of many messages that are handed back.
        if !state.has_news() {
            self.set_timer(state, false);
        }
    }

    /// Records that libcpg has no event. If no self-delivery has come for long, the next message goes out past the window.
    ///
    /// Not before libcpg was asked: a receiver that was away for long has its self-deliveries there.
    pub(crate) fn found_nothing(&self, send: SendNow<'_>) {
        let Ok(mut state) = self.lock() else { return };
        let now = state.last_look;
        if state.stalls_at().is_some_and(|at| now >= at) {
            state.progress = now;
            state.again = None;
            self.send_front(&mut state, send);
            self.flush(&mut state, send);
            self.set_timer(&mut state, false);
        }
    }

    /// Sets the timer for the receiver's next task that does not come from libcpg. `more` is true if it has such a task now.
    pub(super) fn set_timer(&self, state: &mut State, more: bool) {
        let alarm =
            if more || state.has_news() { Alarm::Now } else { state.again.map_or(Alarm::Off, Alarm::At) };
        self.set_alarm(state, alarm);
    }

    /// Returns the reason why there is no connection. `None` if there should be one.
    pub(crate) fn absence(&self) -> Option<Error> {
        match self.lock() {
            Ok(state) => state.absence(),
            Err(error) => Some(error),
        }
    }

    /// Returns the next message to be handed back.
    pub(crate) fn take_returned(&self) -> Option<Undelivered> {
        self.lock().ok()?.queue.take_returned()
    }

    /// Returns how far this member lags behind the messages that it has sent.
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

    /// Returns the number of the membership, or of the last one.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
