//! The state of a sending queue, and the guard of its lock.

#[cfg(cpg_model)]
use shuttle::sync::MutexGuard;
#[cfg(cpg_model)]
use shuttle::thread::{ThreadId, current};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
#[cfg(not(cpg_model))]
use std::sync::{Condvar, MutexGuard};
use std::task::Waker;
#[cfg(not(cpg_model))]
use std::thread::{ThreadId, current};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
#[cfg(cpg_model)]
use crate::os::model::Condvar;
use crate::os::readiness::Alarm;
use crate::session::flow::Sizes;
use crate::session::queue::Queue;

/// The time without self-deliveries after which a message that waits goes out past the window, if libcpg has no event. If the
/// daemon has dropped all messages in flight ([B17](crate::facts#b17)), the delivery of this message shows it.
pub(crate) const STALL: Duration = Duration::from_secs(5);

/// The stages of a sending queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Open,
    /// The session is being left, or has been: no more messages are accepted.
    Closing,
    /// The receiver has been dropped: nobody dispatches any more.
    Unheard,
}

/// The thread that dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dispatcher {
    /// No thread has dispatched yet.
    Never,
    /// This thread is dispatching. It cannot wait for anything that only its own dispatch brings.
    By(ThreadId),
    /// A thread has dispatched before, but none does now.
    Before,
}

/// The state of a sending queue, all of it under one lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) stage: Stage,
    pub(super) dispatching: Dispatcher,
    /// `Some` if another membership follows when this one is lost. True if that membership gets the messages that wait.
    pub(super) comeback: Option<bool>,
    /// A fatal error met by a sender. The receiver ends the membership or the queue with it at its next turn.
    pub(super) fault: Option<Error>,
    /// True if there is no membership and the next one is sought. The receiver sets it for all other threads.
    pub(super) away: bool,
    /// The number of the message in flight whose parts are being sent.
    pub(super) under_way: Option<u64>,
    /// The pause before the next attempt, if flow control has refused the message at the front.
    pub(super) refused: Option<Duration>,
    /// The time at which the receiver looks again, also without an event.
    pub(super) again: Option<Instant>,
    /// How the timer of the descriptor is set.
    pub(super) alarm: Alarm,
    /// The last time at which a message came back, or was sent while none was in flight.
    pub(super) progress: Instant,
    /// The time at which the receiver last looked for an event, or at which the session was made.
    pub(super) last_look: Instant,
    pub(super) space_waiters: usize,
    pub(super) settled_waiters: usize,
    /// Tasks that wait for space or for a membership, by the number of the task.
    pub(super) space_wakers: BTreeMap<u64, Waker>,
    /// Tasks that wait for the fate of a message, by the number of the message and of the task. One message can have many
    /// tickets.
    pub(super) settled_wakers: BTreeMap<(u64, u64), Waker>,
    /// The number of the next task.
    next_task: u64,
    /// The tasks to wake when the lock is given back.
    pub(super) woken: Vec<Waker>,
}

/// The state under its lock.
///
/// Tasks are woken after the lock has been given back, because a waker may drop or poll something that takes the lock.
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
    /// Gives the lock back until the condition is notified or the time has come, and takes it again.
    ///
    /// No task may be in `woken`, because it would not be woken.
    pub(super) fn wait_at(mut self, condition: &Condvar, until: Option<Instant>) -> Self {
        let guard = self.0.take().expect(LOCKED);
        let guard = match until {
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                condition.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0
            }
            None => condition.wait(guard).unwrap_or_else(PoisonError::into_inner),
        };
        Self(Some(guard))
    }

    /// Gives the lock back, and wakes the tasks in `woken`.
    ///
    /// A waker is code of an executor, and has nothing to do with this thread. If one panics, the panic hook has reported it. It
    /// must cost neither the other tasks their wake-ups nor this thread the event that it is about to hand out.
    #[cold]
    fn wake(&mut self) {
        let Some(mut state) = self.0.take() else { return };
        let woken = std::mem::take(&mut state.woken);
        drop(state);
        for waker in woken {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                // Dropping it could panic again.
                std::mem::forget(panic);
            }
        }
    }
}

impl State {
    /// Makes the state of a new session. `comeback` is that of [`Outbox::new`](super::outbox::Outbox::new).
    pub(super) fn new(sizes: Sizes, comeback: Option<bool>) -> Self {
        Self {
            queue: Queue::new(sizes),
            stage: Stage::Open,
            dispatching: Dispatcher::Never,
            comeback,
            fault: None,
            away: false,
            under_way: None,
            refused: None,
            again: None,
            alarm: Alarm::Off,
            progress: Instant::now(),
            last_look: Instant::now(),
            space_waiters: 0,
            settled_waiters: 0,
            space_wakers: BTreeMap::new(),
            settled_wakers: BTreeMap::new(),
            next_task: 0,
            woken: Vec::new(),
        }
    }

    /// Returns the number of a task. The task gets the number with its first wait.
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

    /// Returns the error with which messages are refused. `None` if they are accepted.
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

    /// Returns the reason why there is no connection. `None` if there should be one.
    pub(super) fn absence(&self) -> Option<Error> {
        if self.stage == Stage::Closing {
            return Some(Error::Left);
        }
        self.queue.ended().cloned().or_else(|| self.away.then_some(Error::NoMembership))
    }

    /// True if the receiver has something to handle that does not come from libcpg.
    pub(super) fn has_news(&self) -> bool {
        self.queue.has_returned() || self.fault.is_some()
    }

    /// Returns the time from which on a message that waits may go out past the window, if no self-delivery comes before. `None` if no
    /// message waits for a self-delivery.
    #[inline]
    pub(super) fn stalls_at(&self) -> Option<Instant> {
        let waits = self.queue.is_waiting()
            && self.queue.is_flying()
            && self.under_way.is_none()
            && !self.is_stopped();
        waits.then(|| self.progress + STALL)
    }

    /// Returns an error if sending this message ended the queue or the membership. The message is then not handed back as well.
    #[inline]
    pub(super) fn accepted(&mut self, number: u64, len: usize) -> Result<()> {
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

    /// Refuses to wait on the dispatching thread, where nothing could end the wait.
    pub(super) fn may_wait(&self, waiting_for: &'static str) -> Result<()> {
        if self.dispatching == Dispatcher::By(current().id()) {
            Err(Error::WouldWait { waiting_for })
        } else {
            Ok(())
        }
    }
}
