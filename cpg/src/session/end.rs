//! How a queue ends, or waits for another membership.
//!
//! A sender that meets an error leaves it to the receiver to end what it ends: libcpg may be handing a message over at that very
//! moment, which must not be handed back as well.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::event::undelivered::Undelivered;
use crate::session::outbox::{Outbox, SendNow};
use crate::session::state::{Stage, State};

/// What a receiver has to do before it takes an event of libcpg's.
#[derive(Debug)]
pub(crate) enum Look {
    /// A message is to be handed back.
    Returned(Undelivered),
    /// A sender has found out that the membership has ended.
    Lost(Error),
    /// Nothing.
    On,
}

impl Outbox {
    /// A sender has met an error that does not pass.
    pub(super) fn fail(&self, state: &mut State, error: Error) {
        if state.stage == Stage::Unheard {
            self.end_locked(state, &error);
        } else {
            state.fault.get_or_insert(error);
            self.changed(state);
        }
    }

    /// What the receiver has to do before it takes an event of libcpg's. Messages below `settled` have been handled.
    #[inline]
    pub(crate) fn look(&self, settled: u64) -> Look {
        let Ok(mut state) = self.lock() else { return Look::On };
        self.settle(&mut state, settled);
        state.last_look = Instant::now();
        if let Some(error) = &state.fault {
            let error = error.clone();
            if state.comes_back(&error) {
                return Look::Lost(error);
            }
            self.end_locked(&mut state, &error);
        }
        state.queue.take_returned().map_or(Look::On, Look::Returned)
    }

    /// The receiver ends the queue.
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

    /// The membership has ended, and the next one is sought.
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

    /// Has the receiver look again after this time. Nothing is tried again by then: it is away.
    pub(crate) fn look_again(&self, after: Duration) {
        if let Ok(mut state) = self.lock() {
            state.retry = Some((Instant::now() + after, after));
            self.set_timer_locked(&state, false);
        }
    }

    /// Another membership has begun, with which the queue goes on.
    pub(crate) fn reopen(&self, send: SendNow<'_>) {
        let Ok(mut state) = self.lock() else { return };
        state.away = false;
        state.fault = None;
        self.generation.fetch_add(1, Ordering::Relaxed);
        state.last_arrival = Instant::now();
        self.flush(&mut state, send);
        self.wake_all(&mut state);
    }

    /// Refuses messages from now on, and does not go on with another membership.
    pub(crate) fn close(&self) {
        if let Ok(mut state) = self.lock() {
            state.stage = Stage::Closing;
            state.comeback = None;
            self.wake_all(&mut state);
        }
    }

    /// The receiver has gone.
    pub(crate) fn unheard(&self, send: SendNow<'_>) {
        let Ok(mut state) = self.lock() else { return };
        // After leaving it is closed, and stays so.
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
            // A leave that did not come to its end: whoever waits to know what became of a message would wait for ever.
            self.end_locked(&mut state, &Error::Left);
        }
        self.wake_all(&mut state);
    }

    /// There is something for the receiver to do, and for those who wait to look at.
    fn changed(&self, state: &mut State) {
        state.retry = None;
        self.set_timer_locked(state, false);
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
    /// Whether another membership follows one that ends so.
    pub(super) fn comes_back(&self, error: &Error) -> bool {
        self.comeback.is_some() && error.is_connection_lost()
    }

    /// Whether nothing can be sent now, and messages wait for what the receiver makes of it.
    #[inline]
    pub(super) fn is_stopped(&self) -> bool {
        self.fault.is_some() || self.away
    }

    /// Returns why no message is accepted while nothing can be sent, if none is.
    pub(super) fn refusal_by_fault(&self) -> Option<Error> {
        match (&self.fault, self.comeback) {
            (Some(error), _) if !self.comes_back(error) => Some(error.clone()),
            (_, Some(true)) => None,
            (Some(_), _) => Some(Error::NoMembership),
            (None, _) => self.away.then_some(Error::NoMembership),
        }
    }
}
