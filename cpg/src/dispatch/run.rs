//! The loop of a dispatch, which takes events one by one until a limit ends it.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use crate::dispatch::limits::{Ended, Limits};
use crate::dispatch::waker::Waker;
use crate::error::Result;
use crate::event::event::Event;
use crate::ffi::events::Taken;

/// The source from which a dispatch takes its events.
pub(crate) trait Source {
    /// Takes the next item, if there is one, and counts the events that it hands to the handler.
    fn next(&mut self, progress: &Progress<'_>) -> Result<Taken>;

    /// Waits until there may be an item, or `waker` is readable. Returns false if the deadline passed first.
    fn wait(&self, deadline: Option<Instant>, waker: Option<BorrowedFd<'_>>) -> Result<bool>;
}

/// The reason why a loop stopped. All but [`Full`](Self::Full) are limits of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    Woken,
    TimedOut,
    Idle,
    Enough,
    /// The same as [`Taken::Full`]: the loop can go on when the members have been counted.
    Full,
}

/// The progress of a dispatch. It outlives a loop that stops to have the members counted.
pub(crate) struct Progress<'l> {
    limits: Limits<'l>,
    handled: Cell<usize>,
    /// The number of events that may be handled: 0 once the handler has broken.
    most: Cell<usize>,
    /// True once the waker was woken. This is checked after each message of a packet, and reported when the loop stops.
    woken: Cell<bool>,
}

impl<'l> Progress<'l> {
    #[inline]
    pub(crate) fn new(limits: Limits<'l>) -> Self {
        Self { limits, handled: Cell::new(0), most: Cell::new(limits.most), woken: Cell::new(false) }
    }

    /// Counts an event that the handler is about to get.
    #[inline]
    pub(crate) fn count(&self) {
        self.handled.set(self.handled.get() + 1);
    }

    /// Returns the number of events that were handled.
    #[inline]
    pub(crate) fn handled(&self) -> usize {
        self.handled.get()
    }

    /// Ends the dispatch, for a handler that has broken.
    pub(crate) fn end(&self) {
        self.most.set(0);
    }

    /// Returns the reason to take no further event, if there is one.
    #[inline]
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        if self.handled.get() >= self.most.get() {
            Some(Stopped::Enough)
        } else if self.limits.waker.is_some() || self.limits.deadline.is_some() {
            self.interrupted()
        } else {
            None
        }
    }

    fn interrupted(&self) -> Option<Stopped> {
        if let Some(waker) = self.limits.waker {
            self.woken.set(self.woken.get() || waker.take_hinted());
            if self.woken.get() {
                return Some(Stopped::Woken);
            }
        }
        self.is_late().then_some(Stopped::TimedOut)
    }

    /// Waits for `source`, and returns the reason to stop waiting, if there is one.
    #[inline]
    fn wait(&self, source: &impl Source) -> Result<Option<Stopped>> {
        let Limits { waits, deadline, waker, .. } = self.limits;
        if !waits {
            return Ok(Some(Stopped::Idle));
        }
        let ready = source.wait(deadline, waker.map(Waker::as_fd))?;
        if waker.is_some_and(Waker::take) {
            return Ok(Some(Stopped::Woken));
        }
        // A descriptor can be readable again and again, without an event to take.
        Ok((!ready || self.is_late()).then_some(Stopped::TimedOut))
    }

    fn is_late(&self) -> bool {
        self.limits.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Takes events from `source` until a limit ends it.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "a return over a system call is mispredicted, and costs more than the rest"
)]
pub(crate) fn run(source: &mut impl Source, progress: &Progress<'_>) -> Result<Stopped> {
    // All limits but the deadline: with a deadline in the past one event that is there is still taken.
    if let Some(stopped) = progress.stopped().filter(|stopped| *stopped != Stopped::TimedOut) {
        return Ok(stopped);
    }
    loop {
        match source.next(progress)? {
            Taken::Something => {
                if let Some(stopped) = progress.stopped() {
                    return Ok(stopped);
                }
            }
            Taken::Nothing => {
                if let Some(stopped) = progress.wait(source)? {
                    return Ok(stopped);
                }
            }
            Taken::Full => return Ok(Stopped::Full),
        }
    }
}

/// Returns a handler that ends the dispatch when `handler` breaks, and stores the value of the break.
pub(crate) fn until_broken<L, T>(
    progress: &Progress<'_>,
    value: &mut Option<T>,
    mut handler: impl FnMut(&L, Event<'_>) -> ControlFlow<T>,
) -> impl FnMut(&L, Event<'_>) {
    move |link: &L, event: Event<'_>| {
        if let ControlFlow::Break(end) = handler(link, event) {
            *value = Some(end);
            progress.end();
        }
    }
}

impl Stopped {
    /// Converts the reason into the type for callers, with the value that the handler broke with.
    pub(crate) fn into_ended<T>(self, value: Option<T>) -> Ended<T> {
        match (value, self) {
            (Some(value), _) => Ended::Broke(value),
            (None, Self::Woken) => Ended::Woken,
            (None, Self::TimedOut) => Ended::TimedOut,
            (None, Self::Idle) => Ended::Idle,
            (None, Self::Enough | Self::Full) => Ended::Enough,
        }
    }
}
