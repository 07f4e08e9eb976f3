//! The state of a sending queue, and the guard of its lock.

#[cfg(cpg_model)]
use shuttle::sync::MutexGuard;
#[cfg(cpg_model)]
use shuttle::thread::{ThreadId, current};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
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
use crate::session::flow::Flow;
use crate::session::queue::Queue;

/// When nothing in flight has come back for so long, a message goes out past the window: should the daemon have dropped all
/// that was in flight ([B17](crate::facts#b17)), its delivery says so.
pub(crate) const STALL: Duration = Duration::from_secs(5);

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
    /// There is no membership, and the next one is sought: what the receiver has told all others.
    pub(super) away: bool,
    /// The message in flight whose parts are being sent, by its number.
    pub(super) under_way: Option<u64>,
    /// When to try again what flow control has refused, and the pause before that.
    pub(super) retry: Option<(Instant, Duration)>,
    pub(super) last_arrival: Instant,
    /// When the receiver last looked for an event, or the session was made.
    pub(super) last_look: Instant,
    pub(super) space_waiters: usize,
    pub(super) settled_waiters: usize,
    /// Tasks that wait for space or for a membership, by numbers of their own.
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
    /// Gives the lock back until there is news at a condition, or a time if there is one, and takes it again.
    ///
    /// Nobody must be to be woken: it would not be.
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

    /// Gives the lock back, and wakes those who are to be woken.
    #[cold]
    fn wake(&mut self) {
        let Some(mut state) = self.0.take() else { return };
        let woken = std::mem::take(&mut state.woken);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// `comeback` as in [`Outbox::new`](super::outbox::Outbox::new).
    pub(super) fn new(flow: Flow, comeback: Option<bool>) -> Self {
        Self {
            queue: Queue::new(flow),
            stage: Stage::Open,
            dispatching: Dispatcher::Never,
            comeback,
            fault: None,
            away: false,
            under_way: None,
            retry: None,
            last_arrival: Instant::now(),
            last_look: Instant::now(),
            space_waiters: 0,
            settled_waiters: 0,
            space_wakers: BTreeMap::new(),
            settled_wakers: BTreeMap::new(),
            next_task: 0,
            woken: Vec::new(),
        }
    }

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

    /// Returns why there is no connection, if there should be none.
    pub(super) fn absence(&self) -> Option<Error> {
        if self.stage == Stage::Closing {
            return Some(Error::Left);
        }
        self.queue.ended().cloned().or_else(|| self.away.then_some(Error::NoMembership))
    }

    /// True if the receiver has something to handle that is not libcpg's.
    pub(super) fn has_news(&self) -> bool {
        self.queue.has_returned() || self.fault.is_some()
    }

    /// True if nothing in flight has come back for so long that one message goes out past the window.
    pub(super) fn is_stalled(&self) -> bool {
        self.last_arrival.elapsed() >= STALL && !self.queue.is_open() && !self.is_stopped()
    }

    /// An error if sending the message ended the queue or the membership; it is then not handed back.
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

    /// Refuses to wait where nothing could end that.
    pub(super) fn may_wait(&self, waiting_for: &'static str) -> Result<()> {
        if self.dispatching == Dispatcher::By(current().id()) {
            Err(Error::WouldWait { waiting_for })
        } else {
            Ok(())
        }
    }
}
