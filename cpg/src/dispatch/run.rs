//! The loop that takes events one by one until a limit ends it.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use crate::dispatch::limits::{Ended, Limits};
use crate::dispatch::waker::Waker;
use crate::error::Result;
use crate::event::event::Event;
use crate::ffi::events::Taken;

/// Where a dispatch takes its events from.
pub(crate) trait Source {
    /// Takes the next thing that there is, and counts the events that it hands to the handler.
    fn next(&mut self, progress: &Progress<'_>) -> Result<Taken>;

    /// Waits until there may be something, or `waker` is readable; false when the deadline passed.
    fn wait(&self, deadline: Option<Instant>, waker: Option<BorrowedFd<'_>>) -> Result<bool>;
}

/// The reason why a loop stopped. All but [`Full`](Self::Full) are the caller's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    Woken,
    TimedOut,
    Idle,
    Enough,
    /// As [`Taken::Full`]; with a count, the loop can go on.
    Full,
}

/// How far a dispatch has come. It outlives a loop that stops to have members counted.
pub(crate) struct Progress<'l> {
    limits: Limits<'l>,
    handled: Cell<usize>,
    /// The events that may be handled: none more once the handler has broken.
    most: Cell<usize>,
    /// The waker was woken, which is looked at after each message of a packet, and told when the loop stops.
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

    /// Returns how many events were handled.
    #[inline]
    pub(crate) fn handled(&self) -> usize {
        self.handled.get()
    }

    /// The handler has ended it.
    pub(crate) fn end(&self) {
        self.most.set(0);
    }

    /// Returns why no further event is to be taken, if none is.
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

    /// Waits for `source`; returns why it is not to be waited for any longer.
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
        // A descriptor can be readable with nothing to take, again and again.
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
    // All limits but the deadline: one in the past takes what is there.
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

/// Returns a handler that ends the dispatch when `handler` breaks, and keeps the value.
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
    /// Returns it as the caller's word for it, with the value that the handler broke with.
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
