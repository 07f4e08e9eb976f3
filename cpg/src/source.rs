//! Where a dispatch takes its events from.

use std::cell::{Cell, RefCell};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::cause::Cause;
use crate::delivery::Delivery;
use crate::error::{Error, Result};
use crate::outbox::Look;
use crate::raw;
use crate::readiness::Readiness;
use crate::recovery::{Recovery, Step};
use crate::requests::Shared;
use crate::search::Found;
use crate::trampoline::Pump;

/// What a dispatch asks for events, one by one.
pub(crate) struct Source<'s, 'd> {
    /// libcpg; none without a membership.
    pump: Option<&'s Pump<'s>>,
    /// Where there can be other events than libcpg's.
    turn: Option<&'s Turn<'s, 'd>>,
    /// Events handled so far.
    count: &'s Cell<usize>,
}

impl<'s, 'd> Source<'s, 'd> {
    /// libcpg's events alone, which the handler counts.
    #[inline]
    pub(crate) fn plain(pump: &'s Pump<'s>, count: &'s Cell<usize>) -> Self {
        Self { pump: Some(pump), turn: None, count }
    }

    /// All that a group can have.
    pub(crate) fn of(pump: Option<&'s Pump<'s>>, turn: &'s Turn<'s, 'd>, count: &'s Cell<usize>) -> Self {
        Self { pump, turn: Some(turn), count }
    }

    /// Has the next event handled, or takes a part of one; false when there is none.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a return over a system call is mispredicted, and costs more than the rest"
    )]
    pub(crate) fn one(&self) -> Result<bool> {
        match (self.turn, self.pump) {
            (None, Some(pump)) => pump.one(),
            (Some(turn), pump) => turn.one(pump),
            (None, None) => Ok(false),
        }
    }

    /// Events handled so far.
    #[inline]
    pub(crate) fn handled(&self) -> usize {
        self.count.get()
    }

    /// Whether the next event could be a view that libcpg has no room for (A8).
    #[cfg(feature = "tokio")]
    pub(crate) fn is_full(&self) -> Result<bool> {
        self.pump.map_or(Ok(false), |pump| pump.from().is_full())
    }

    /// Waits until there may be one, or the waker is readable; false when the deadline passed.
    pub(crate) fn wait(&self, deadline: Option<Instant>, waker: Option<BorrowedFd<'_>>) -> Result<bool> {
        let [timer, found] = self.turn.map_or([None; 2], |turn| turn.others(self.pump));
        match self.pump {
            Some(pump) => pump.from().wait_readable(deadline, [waker, timer]),
            None => raw::wait_readable(deadline, [waker, timer, found]),
        }
    }
}

/// What ends a turn of dispatching before the caller is done.
#[derive(Debug)]
pub(crate) enum Change {
    Lost(Cause),
    Found(Box<Result<Found>>),
}

/// While it lasts, this thread is the one that dispatches. When it goes, the descriptor says whether there is more.
pub(crate) struct Scope<'s> {
    shared: Option<&'s Shared>,
    readiness: Option<&'s Readiness>,
    /// Whether something is left that libcpg does not tell of. If the handler panics it can be.
    more: Cell<bool>,
}

impl<'s> Scope<'s> {
    pub(crate) fn enter(shared: Option<&'s Shared>, readiness: Option<&'s Readiness>) -> Self {
        if let Some(shared) = shared {
            shared.outbox().dispatching(true);
        }
        Self { shared, readiness, more: Cell::new(true) }
    }

    pub(crate) fn say(&self, more: bool) {
        self.more.set(more);
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        let more = self.more.get();
        match (self.shared, self.readiness) {
            (Some(shared), _) => {
                shared.outbox().set_timer(more);
                shared.outbox().dispatching(false);
            }
            (None, Some(readiness)) => readiness.set(more.then_some(Duration::ZERO)),
            (None, None) => {}
        }
    }
}

/// One turn of dispatching in a group that can have other events than libcpg's.
pub(crate) struct Turn<'t, 'd> {
    pub(crate) shared: Option<&'t Shared>,
    pub(crate) readiness: Option<&'t Readiness>,
    pub(crate) recovery: Option<&'t Recovery>,
    pub(crate) delivery: &'t RefCell<Delivery<'d>>,
    pub(crate) change: &'t Cell<Option<Change>>,
    pub(crate) put_off: &'t Cell<Option<Cause>>,
}

impl Turn<'_, '_> {
    /// Ends the turn; its error is not the caller's.
    fn change(&self, change: Change) -> Result<bool> {
        self.change.set(Some(change));
        Err(Error::Away)
    }

    /// The next event of the group.
    fn one(&self, pump: Option<&Pump<'_>>) -> Result<bool> {
        let mut delivery = self.delivery.borrow_mut();
        if delivery.has_rest() {
            delivery.rest();
            return Ok(true);
        }
        if let Some(shared) = self.shared {
            let outbox = shared.outbox();
            outbox.retry(&|bytes| shared.send_now(bytes));
            match outbox.look() {
                Look::Returned(returned) => {
                    delivery.returned(returned);
                    return Ok(true);
                }
                Look::Lost(cause) => return self.change(Change::Lost(cause)),
                Look::On => {}
            }
            if let Some(cause) = self.put_off.take() {
                return Err(cause.into());
            }
        } else if let Some(readiness) = self.readiness {
            // It was set for a rest that has been handled.
            readiness.set(None);
        }
        drop(delivery);
        match pump {
            Some(pump) => self.take(pump),
            None => self.step(),
        }
    }

    /// The next event of libcpg's.
    #[inline]
    fn take(&self, pump: &Pump<'_>) -> Result<bool> {
        match pump.one() {
            Ok(taken) => Ok(taken),
            Err(error) => self.failed(error),
        }
    }

    #[cold]
    fn failed(&self, error: Error) -> Result<bool> {
        let Some(cause) = Cause::of(&error) else { return Err(error) };
        if cause.is_connection_lost() && self.recovery.and_then(Recovery::follows).is_some() {
            return self.change(Change::Lost(cause));
        }
        if let Some(shared) = self.shared {
            shared.outbox().end(cause);
            if shared.outbox().has_returned() {
                // Not all errors of libcpg come again.
                self.put_off.set(Some(cause));
                return Ok(true);
            }
        }
        Err(error)
    }

    /// What there is to do without a membership.
    #[cold]
    fn step(&self) -> Result<bool> {
        match self.recovery.map_or(Step::Wait, Recovery::step) {
            Step::Tell(lost) => {
                self.delivery.borrow_mut().lost(lost);
                Ok(true)
            }
            Step::Take(found) => self.change(Change::Found(found)),
            Step::Fail(error) => Err(error),
            Step::Wait => Ok(false),
        }
    }

    /// What can say that there is something to handle, beside the descriptor of the handle.
    fn others(&self, pump: Option<&Pump<'_>>) -> [Option<BorrowedFd<'_>>; 2] {
        let readiness = self.shared.map(|shared| shared.outbox().readiness()).or(self.readiness);
        let found = if pump.is_none() { self.recovery.map(Recovery::ready) } else { None };
        [readiness.map(Readiness::timer), found]
    }
}
