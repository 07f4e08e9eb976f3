//! How a queue ends, or waits for another membership.
//!
//! A sender that meets an error leaves it to the receiver to end what it ends: libcpg may be handing a message over at that very
//! moment, which must not be handed back as well.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Outbox, Send, Stage, State};
use crate::cause::Cause;
use crate::session::queue::Returned;

/// What a receiver has to do before it takes an event of libcpg's.
#[derive(Debug)]
pub(crate) enum Look {
    /// A message is to be handed back.
    Returned(Returned),
    /// A sender has found out that the membership has ended.
    Lost(Cause),
    /// Nothing.
    On,
}

impl Outbox {
    /// A sender has met an error that does not pass.
    pub(super) fn fail(&self, state: &mut State, cause: Cause) {
        if state.stage == Stage::Unheard {
            self.end_locked(state, cause);
        } else {
            state.fault.get_or_insert(cause);
            self.changed(state);
        }
    }

    /// A request has met an error that ends the membership, and that the receiver is to hear of.
    #[cfg(feature = "tokio")]
    pub(crate) fn meet(&self, cause: Cause) {
        if let Ok(mut state) = self.lock() {
            self.fail(&mut state, cause);
        }
    }

    /// What the receiver has to do before it takes an event of libcpg's.
    #[inline]
    pub(crate) fn look(&self) -> Look {
        let Ok(mut state) = self.lock() else { return Look::On };
        state.last_look = Instant::now();
        if let Some(cause) = state.fault {
            if state.comes_back(cause) {
                return Look::Lost(cause);
            }
            self.end_locked(&mut state, cause);
        }
        state.queue.take_returned().map_or(Look::On, Look::Returned)
    }

    /// The receiver ends the queue.
    pub(crate) fn end(&self, cause: Cause) {
        if let Ok(mut state) = self.lock() {
            self.end_locked(&mut state, cause);
        }
    }

    fn end_locked(&self, state: &mut State, cause: Cause) {
        state.comeback = None;
        state.fault = None;
        state.queue.end(cause);
        self.changed(state);
    }

    /// The membership has ended, and the next one is sought.
    pub(crate) fn lose(&self, cause: Cause) {
        let Ok(mut state) = self.lock() else { return };
        match state.comeback {
            Some(keep) => {
                state.fault = None;
                state.away = true;
                state.queue.end_generation(cause, keep);
                self.changed(&mut state);
            }
            None => self.end_locked(&mut state, cause),
        }
    }

    /// Another membership has begun, with which the queue goes on.
    pub(crate) fn reopen(&self, generation: u64, send: Send<'_>) {
        let Ok(mut state) = self.lock() else { return };
        state.away = false;
        state.fault = None;
        state.generation = generation;
        state.last_arrival = Instant::now();
        self.flush(&mut state, send);
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
    pub(crate) fn unheard(&self, send: Send<'_>) {
        let Ok(mut state) = self.lock() else { return };
        // After leaving it is closed, and stays so.
        if state.stage == Stage::Open {
            state.stage = Stage::Unheard;
        }
        state.queue.abandon();
        if state.is_stopped() {
            let cause = state.fault.unwrap_or(Cause::Left);
            self.end_locked(&mut state, cause);
        }
        state.comeback = None;
        self.flush(&mut state, send);
        self.wake_all(&mut state);
    }

    /// There is something for the receiver to do, and for those who wait to look at.
    fn changed(&self, state: &mut State) {
        state.retry = None;
        self.set_timer_locked(state, false);
        self.wake_all(state);
    }

    fn wake_all(&self, state: &mut State) {
        self.room.notify_all();
        self.settled.notify_all();
        let tasks = [std::mem::take(&mut state.room_wakers), std::mem::take(&mut state.settled_wakers)];
        state.woken.extend(tasks.into_iter().flat_map(BTreeMap::into_values));
    }
}

impl State {
    /// Whether another membership follows one that ends so.
    fn comes_back(&self, cause: Cause) -> bool {
        self.comeback.is_some() && cause.is_connection_lost()
    }

    /// Whether nothing can be sent now, and messages wait for what the receiver makes of it.
    pub(super) fn is_stopped(&self) -> bool {
        self.fault.is_some() || self.away
    }

    /// Why no message is accepted while nothing can be sent, if none is.
    pub(super) fn refusal_by_fault(&self) -> Option<Cause> {
        match (self.fault, self.comeback) {
            (Some(cause), _) if !self.comes_back(cause) => Some(cause),
            (_, Some(true)) => None,
            (Some(_), _) => Some(Cause::Away),
            (None, _) => self.away.then_some(Cause::Away),
        }
    }
}
