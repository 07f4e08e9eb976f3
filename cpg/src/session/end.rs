//! The end of a queue, and the time between two memberships.
//!
//! A sender that meets an error ends nothing by itself, but leaves the error to the receiver. At that moment libcpg may be
//! delivering a message, which must not be handed back as undelivered too.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::event::undelivered::Undelivered;
use crate::session::outbox::{Outbox, SendNow};
use crate::session::state::{Stage, State};

/// A task of the receiver before it takes an event from libcpg.
#[derive(Debug)]
pub(crate) enum Look {
    /// A message has to be handed back.
    Returned(Undelivered),
    /// A sender has found out that the membership has ended.
    Lost(Error),
    /// Nothing.
    On,
}

impl Outbox {
    /// Records an error that does not pass, which a sender has met.
    pub(super) fn fail(&self, state: &mut State, error: Error) {
        if state.stage == Stage::Unheard {
            self.end_locked(state, &error);
        } else {
            state.fault.get_or_insert(error);
            self.changed(state);
        }
    }

    /// Returns the task of the receiver before it takes an event from libcpg. Messages below `settled` have been handled.
    #[inline]
    pub(crate) fn look(&self, settled: u64, send: SendNow<'_>) -> Look {
        let Ok(mut state) = self.lock() else { return Look::On };
        self.settle(&mut state, settled);
        state.last_look = Instant::now();
        if state.alarm.has_rung(state.last_look) {
            self.rung(&mut state, send);
        }
        if let Some(error) = &state.fault {
            let error = error.clone();
            if state.comes_back(&error) {
                return Look::Lost(error);
            }
            self.end_locked(&mut state, &error);
        }
        state.queue.take_returned().map_or(Look::On, Look::Returned)
    }

    /// Ends the queue for the receiver.
    pub(crate) fn end(&self, error: &Error) {
        if let Ok(mut state) = self.lock() {
            self.end_locked(&mut state, error);
        }
    }

    fn end_locked(&self, state: &mut State, error: &Error) {
        state.comeback = None;
        state.fault = None;
        state.under_way = None;
        state.queue.end(error);
        self.changed(state);
    }

    /// Ends the membership in the queue. The next one is sought, if there will be one.
    pub(crate) fn lose(&self, error: &Error) {
        let Ok(mut state) = self.lock() else { return };
        match state.comeback {
            Some(keep) => {
                state.fault = None;
                state.away = true;
                state.under_way = None;
                state.queue.end_generation(error, keep);
                self.changed(&mut state);
            }
            None => self.end_locked(&mut state, error),
        }
    }

    /// Makes the receiver look again after this time.
    pub(crate) fn look_again(&self, after: Duration) {
        if let Ok(mut state) = self.lock() {
            state.again = Some(Instant::now() + after);
            self.set_timer(&mut state, false);
        }
    }

    /// Goes on with the next membership, which has begun.
    pub(crate) fn reopen(&self, send: SendNow<'_>) {
        let Ok(mut state) = self.lock() else { return };
        state.away = false;
        state.fault = None;
        self.generation.fetch_add(1, Ordering::Relaxed);
        state.progress = Instant::now();
        self.flush(&mut state, send);
        self.wake_all(&mut state);
    }

    /// Refuses messages from now on. No other membership follows.
    pub(crate) fn close(&self) {
        if let Ok(mut state) = self.lock() {
            state.stage = Stage::Closing;
            state.comeback = None;
            self.wake_all(&mut state);
        }
    }

    /// Records that the receiver has been dropped.
    pub(crate) fn unheard(&self, send: SendNow<'_>) {
        let Ok(mut state) = self.lock() else { return };
        // After a leave the queue is closed, and stays closed.
        if state.stage == Stage::Open {
            state.stage = Stage::Unheard;
        }
        state.queue.abandon();
        if state.is_stopped() {
            let error = state.fault.clone().unwrap_or(Error::ReceiverDropped);
            self.end_locked(&mut state, &error);
        }
        state.comeback = None;
        self.flush(&mut state, send);
        if state.stage == Stage::Closing {
            // A leave that was not finished: without this, a wait for the fate of a message would never end.
            self.end_locked(&mut state, &Error::Left);
        }
        self.wake_all(&mut state);
    }

    /// Wakes the receiver and all waiters, because something has changed for them.
    fn changed(&self, state: &mut State) {
        state.refused = None;
        state.again = None;
        self.set_timer(state, false);
        self.wake_all(state);
    }

    fn wake_all(&self, state: &mut State) {
        self.space.notify_all();
        self.settled.notify_all();
        let space = std::mem::take(&mut state.space_wakers);
        let settled = std::mem::take(&mut state.settled_wakers);
        state.woken.extend(space.into_values().chain(settled.into_values()));
    }
}

impl State {
    /// Records that the message at the front is not refused, or not any more.
    #[inline]
    pub(super) fn not_refused(&mut self) {
        if self.refused.take().is_some() {
            self.again = None;
        }
    }

    /// True if another membership follows after this error.
    pub(super) fn comes_back(&self, error: &Error) -> bool {
        self.comeback.is_some() && error.is_connection_lost()
    }

    /// True if nothing can be sent now. Messages wait until the receiver decides what happens to them.
    #[inline]
    pub(super) fn is_stopped(&self) -> bool {
        self.fault.is_some() || self.away
    }

    /// Returns the error with which messages are refused while nothing can be sent. `None` if they are accepted.
    pub(super) fn refusal_by_fault(&self) -> Option<Error> {
        match (&self.fault, self.comeback) {
            (Some(error), _) if !self.comes_back(error) => Some(error.clone()),
            (_, Some(true)) => None,
            (Some(_), _) => Some(Error::NoMembership),
            (None, _) => self.away.then_some(Error::NoMembership),
        }
    }
}
