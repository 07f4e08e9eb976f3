//! How long a dispatch goes on.

use std::time::Instant;

use crate::dispatch::source::Source;
use crate::error::Result;

/// How long a dispatch goes on.
pub(crate) trait Work {
    type Output;
    /// Whether the handler is to get another event after so many, of those that came in one packet.
    fn more(&self, handled: usize) -> bool;
    /// Takes events from where they come.
    fn run(&self, source: &Source<'_, '_>) -> Result<Self::Output>;
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
    fn is_over(self, handled: usize) -> bool {
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
    fn wait(self, source: &Source<'_, '_>) -> Result<bool> {
        if matches!(self, Self::OneNonBlocking | Self::All | Self::AtMost(_)) {
            return Ok(false);
        }
        match self {
            Self::OneUntil(deadline) | Self::Until(deadline) => source.wait(Some(deadline), None),
            _ => source.wait(None, None),
        }
    }
}

impl Work for Dispatch {
    type Output = usize;

    #[inline]
    fn more(&self, handled: usize) -> bool {
        !self.is_over(handled)
    }

    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a return over a system call is mispredicted, and costs more than the rest"
    )]
    fn run(&self, source: &Source<'_, '_>) -> Result<usize> {
        while !self.is_over(source.handled()) {
            let go_on = if source.one()? { !self.is_late() } else { self.wait(source)? };
            if !go_on {
                break;
            }
        }
        Ok(source.handled())
    }
}
