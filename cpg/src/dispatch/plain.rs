//! libcpg's events alone: what a handle and a group dispatch.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use crate::dispatch::run::{Progress, Source, Step};
use crate::error::Result;
use crate::event::event::Event;
use crate::ffi::events::{EventHalf, Taken};
use crate::ffi::requests::Counted;
use crate::member::Member;
use crate::os::fd;

/// The events of one handle, each handed to a closure that counts it.
pub(crate) struct Plain<'s, F> {
    pub(crate) events: &'s mut EventHalf,
    /// The member that the handle is.
    pub(crate) me: Member,
    /// The count after which one more event of a full group can be taken.
    pub(crate) counted: Option<Counted>,
    pub(crate) take: F,
}

impl<F: FnMut(Event<'_>)> Source for Plain<'_, F> {
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a return over a system call is mispredicted, and costs more than the rest"
    )]
    fn next(&mut self, _: &Progress<'_>) -> Result<Step> {
        Ok(match self.events.dispatch_one(self.me, &mut self.counted, &mut self.take)? {
            Taken::One => Step::Taken,
            Taken::Nothing => Step::Nothing,
            Taken::Full => Step::Full,
        })
    }

    fn wait(&self, deadline: Option<Instant>, waker: Option<BorrowedFd<'_>>) -> Result<bool> {
        fd::wait_readable(deadline, [Some(self.events.as_fd()), waker, None])
    }
}
