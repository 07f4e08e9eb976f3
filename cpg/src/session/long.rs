//! Messages above the atomic size: each is sent by its own sender, who may wait for the daemon meanwhile, in its turn among what
//! is queued.

use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::session::outbox::{Outbox, PAUSES, SendNow};
use crate::session::sent::Sent;
use crate::session::state::{STALL, Stage, State};

impl Outbox {
    /// Sends a message by `call`, which may wait for the daemon, in its turn, for which this waits. `call` gets the generation of
    /// the membership that it is to be sent in.
    pub(crate) fn send_long(
        &self,
        bytes: &Arc<[u8]>,
        deadline: Option<Instant>,
        send: SendNow<'_>,
        call: impl FnOnce(&[u8], u64) -> Result<()>,
    ) -> Result<Sent> {
        let sending = self.take_turn(bytes, deadline, send)?;
        let result = call(bytes, sending.generation);
        sending.end(result)
    }

    /// Queues a long message, and waits for its turn.
    fn take_turn<'s>(
        &'s self,
        bytes: &Arc<[u8]>,
        deadline: Option<Instant>,
        send: SendNow<'s>,
    ) -> Result<Sending<'s>> {
        let mut state = self.lock()?;
        if let Some(error) = state.refusal() {
            return Err(error);
        }
        let number = state.queue.push_long(Arc::clone(bytes));
        self.flush(&mut state, send);
        loop {
            if let Some(Err(error)) = state.queue.outcome(number) {
                return Err(error);
            }
            if let Some(error) = state.refusal_by_fault() {
                state.queue.withdraw(number);
                return Err(error);
            }
            let open = !state.busy
                && !state.is_stopped()
                && (state.queue.is_open() || state.stage == Stage::Unheard);
            if open && state.queue.take_turn(number) {
                break;
            }
            if state.is_stalled() {
                state.last_arrival = Instant::now();
                if state.queue.take_turn(number) {
                    break;
                }
                self.send_front(&mut state, send);
            }
            let now = Instant::now();
            let late = deadline.is_some_and(|deadline| now >= deadline);
            let wait = if late { Err(Error::QueueFull) } else { state.may_wait("cpg_mcast_joined") };
            if let Err(error) = wait {
                state.queue.withdraw(number);
                self.flush(&mut state, send);
                return Err(error);
            }
            // Without a receiver nobody else tries again what flow control has refused.
            let most = if state.stage == Stage::Unheard { PAUSES.longest } else { STALL };
            let until = deadline.map_or(now + most, |deadline| deadline.min(now + most));
            state = self.wait_space(state, until)?;
            if state.stage == Stage::Unheard {
                self.flush(&mut state, send);
            }
        }
        state.busy = true;
        Ok(Sending { outbox: self, number, generation: self.generation(), send, ended: false })
    }
}

/// A long message that is being sent: nothing else is, until this goes.
struct Sending<'s> {
    outbox: &'s Outbox,
    number: u64,
    generation: u64,
    send: SendNow<'s>,
    ended: bool,
}

impl Sending<'_> {
    /// The call has returned.
    fn end(mut self, result: Result<()>) -> Result<Sent> {
        self.ended = true;
        let Self { outbox, number, generation, send, .. } = self;
        let mut state = outbox.lock()?;
        state.busy = false;
        let result = state.sent_long(number, result);
        let lasts = generation == outbox.generation() && !state.away;
        if let (true, Some(error)) = (lasts, result.as_ref().err().filter(|error| error.is_final())) {
            outbox.fail(&mut state, error.clone());
        }
        outbox.flush(&mut state, send);
        result
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // The call has panicked. Its sender has no token, and others are not to wait for it.
        let Ok(mut state) = self.outbox.lock() else { return };
        state.busy = false;
        state.queue.recall(self.number);
        self.outbox.flush(&mut state, self.send);
    }
}

impl State {
    /// What `result` means for a long message that was in flight meanwhile.
    fn sent_long(&mut self, number: u64, result: Result<()>) -> Result<Sent> {
        if let Some(Err(error)) = self.queue.outcome(number) {
            return result.and(Err(error));
        }
        let sent = self.queue.token(number);
        if self.queue.has_arrived(number) {
            return Ok(sent);
        }
        match result {
            Ok(()) => self.queue.release(number),
            Err(error) => {
                self.queue.recall(number);
                return Err(error);
            }
        }
        Ok(sent)
    }
}
