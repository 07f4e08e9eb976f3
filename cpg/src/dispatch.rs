//! How long a dispatch goes on.

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use crate::error::Result;
use crate::trampoline::Pump;

/// Where events come from.
pub(crate) trait Source {
    /// Has the next event handled, or takes a part of one; false when there is none.
    fn one(&self) -> Result<bool>;
    /// Events handled so far.
    fn events(&self) -> usize;
    /// Whether the next event could be a view that libcpg has no room for (A8).
    #[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "for executors, which count elsewhere"))]
    fn is_full(&self) -> Result<bool>;
    /// Waits until there may be one, or the waker is readable; false when the deadline passed.
    fn wait(&self, deadline: Option<Instant>, waker: Option<BorrowedFd<'_>>) -> Result<bool>;
}

/// libcpg's events alone, which the handler counts.
pub(crate) struct Counted<'c, 'p> {
    pub(crate) pump: &'c Pump<'p>,
    pub(crate) count: &'c Cell<usize>,
}

impl Source for Counted<'_, '_> {
    fn one(&self) -> Result<bool> {
        self.pump.one()
    }

    fn events(&self) -> usize {
        self.count.get()
    }

    fn is_full(&self) -> Result<bool> {
        self.pump.from().is_full()
    }

    fn wait(&self, deadline: Option<Instant>, waker: Option<BorrowedFd<'_>>) -> Result<bool> {
        self.pump.from().wait_readable(deadline, [waker, None])
    }
}

/// Which events a dispatch handles, and whether it waits for them.
///
/// Waiting is `poll` on the [descriptor](crate::Group#impl-AsFd-for-Group) of the handle, never a wait in libcpg, which
/// nothing could stop (B6). A signal does not end a wait (B11).
#[doc(alias = "cs_dispatch_flags_t")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dispatch {
    /// Waits for one event and handles it.
    #[doc(alias = "CS_DISPATCH_ONE")]
    One,
    /// As [`One`](Self::One), but gives up at the deadline.
    OneUntil(Instant),
    /// Handles one event if one is there.
    #[doc(alias = "CS_DISPATCH_ONE_NONBLOCKING")]
    OneNonBlocking,
    /// Handles events until none is there.
    #[doc(alias = "CS_DISPATCH_ALL")]
    All,
    /// As [`All`](Self::All), but so many events at most: for loops that have other things to do, since a stream of events
    /// can keep `All` for as long as it lasts.
    AtMost(usize),
    /// Handles events, and waits for more, until the deadline.
    #[doc(alias = "CS_DISPATCH_BLOCKING")]
    Until(Instant),
}

impl Dispatch {
    #[inline]
    pub(crate) fn is_over(self, handled: usize) -> bool {
        match self {
            Self::One | Self::OneUntil(_) | Self::OneNonBlocking => handled > 0,
            Self::All => false,
            Self::AtMost(most) => handled >= most,
            Self::Until(deadline) => Instant::now() >= deadline,
        }
    }

    /// Whether the deadline has passed: parts of a long message can keep coming without being an event.
    #[inline]
    fn is_late(self) -> bool {
        matches!(self, Self::OneUntil(deadline) if Instant::now() >= deadline)
    }

    /// Waits for the next event; false when it is not to be waited for any longer.
    #[inline]
    fn wait(self, source: &impl Source) -> Result<bool> {
        match self {
            Self::One => source.wait(None, None),
            Self::OneUntil(deadline) | Self::Until(deadline) => source.wait(Some(deadline), None),
            Self::OneNonBlocking | Self::All | Self::AtMost(_) => Ok(false),
        }
    }

    #[inline]
    pub(crate) fn run(self, source: &impl Source) -> Result<usize> {
        while !self.is_over(source.events()) {
            let go_on = if source.one()? { !self.is_late() } else { self.wait(source)? };
            if !go_on {
                break;
            }
        }
        Ok(source.events())
    }
}
