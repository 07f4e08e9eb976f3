//! Where a dispatch takes its events from.

use std::cell::{Cell, RefCell};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::cause::Cause;
use crate::dispatch::limits::Work;
use crate::error::{Error, Result};
use crate::event::event::Event;
use crate::ffi::raw::{self, Events};
use crate::ffi::trampoline::{self, Pump};
use crate::group::link::Link;
use crate::os::readiness::Readiness;
use crate::session::delivery::Sink;
use crate::session::outbox::Look;
use crate::session::recovery::{Recovery, Step};
use crate::session::rejoin::Found;
use crate::session::requests::Shared;

/// What a dispatch asks for events, one by one.
pub(crate) struct Source<'s, 'd> {
    /// libcpg; none without a membership.
    pump: Option<&'s Pump<'s>>,
    /// Where there can be other events than libcpg's.
    turn: Option<&'s Turn<'s, 'd>>,
    /// Events handled so far.
    count: &'s Cell<usize>,
}

impl<'s> Source<'s, '_> {
    /// libcpg's events alone, which the handler counts.
    #[inline]
    pub(crate) fn plain(pump: &'s Pump<'s>, count: &'s Cell<usize>) -> Self {
        Self { pump: Some(pump), turn: None, count }
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
    pub(crate) link: &'t Link,
    pub(crate) readiness: Option<&'t Readiness>,
    pub(crate) recovery: Option<&'t Recovery>,
    pub(crate) sink: &'t RefCell<dyn Sink + 'd>,
    pub(crate) change: &'t Cell<Option<Change>>,
    pub(crate) put_off: &'t Cell<Option<Cause>>,
}

impl Turn<'_, '_> {
    /// Dispatches in one membership, or without one.
    pub(crate) fn run<W: Work>(
        &self,
        events: Option<&Events>,
        counting: bool,
        count: &Cell<usize>,
        work: &W,
    ) -> Result<W::Output> {
        let scope = Scope::enter(self.shared(), self.readiness);
        let result = match events {
            Some(events) => {
                let take = |event: Event<'_>| self.sink.borrow_mut().event(event);
                let check = || if counting { self.link.check_size(events) } else { Ok(()) };
                let me = self.link.me();
                trampoline::with(events, me, &take, &check, |pump| {
                    work.run(&Source { pump: Some(pump), turn: Some(self), count })
                })
            }
            None => work.run(&Source { pump: None, turn: Some(self), count }),
        };
        let news = self.recovery.is_some_and(Recovery::has_news) || self.put_off.get().is_some();
        scope.say(self.sink.borrow().has_rest() || news);
        result
    }

    fn shared(&self) -> Option<&Shared> {
        self.link.requests().shared()
    }

    /// Ends the turn; its error is not the caller's.
    fn change(&self, change: Change) -> Result<bool> {
        self.change.set(Some(change));
        Err(Error::Away)
    }

    /// The next event of the group.
    fn one(&self, pump: Option<&Pump<'_>>) -> Result<bool> {
        let mut sink = self.sink.borrow_mut();
        if sink.has_rest() {
            sink.rest();
            return Ok(true);
        }
        if let Some(shared) = self.shared() {
            let outbox = shared.outbox();
            outbox.retry(&|bytes| shared.send_now(bytes));
            match outbox.look() {
                Look::Returned(returned) => {
                    sink.returned(returned);
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
        drop(sink);
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
        if let Some(shared) = self.shared() {
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
                self.sink.borrow_mut().lost(lost);
                Ok(true)
            }
            Step::Take(found) => self.change(Change::Found(found)),
            Step::Fail(error) => Err(error),
            Step::Wait => Ok(false),
        }
    }

    /// What can say that there is something to handle, beside the descriptor of the handle.
    fn others(&self, pump: Option<&Pump<'_>>) -> [Option<BorrowedFd<'_>>; 2] {
        let readiness = self.shared().map(|shared| shared.outbox().readiness()).or(self.readiness);
        let found = if pump.is_none() { self.recovery.map(Recovery::ready) } else { None };
        [readiness.map(Readiness::timer), found]
    }
}
