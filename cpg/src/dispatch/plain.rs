//! The events of libcpg, which a handle and a group dispatch.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use crate::dispatch::run::{Progress, Source};
use crate::error::Result;
use crate::event::event::Event;
use crate::ffi::events::{EventHalf, Taken};
use crate::ffi::requests::Counted;
use crate::member::Member;
use crate::os::fd;

/// The source of the events of one handle. It hands each event to a closure that counts it.
pub(crate) struct Plain<'s, F> {
    pub(crate) events: &'s mut EventHalf,
    /// The member that this handle belongs to.
    pub(crate) me: Member,
    /// The count of the members that allows one more event of a full group.
    pub(crate) counted: Option<Counted>,
    pub(crate) take: F,
}

impl<F: FnMut(Event<'_>)> Source for Plain<'_, F> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "for the same reason as the loop that calls it")]
    fn next(&mut self, _: &Progress<'_>) -> Result<Taken> {
        self.events.dispatch_one(&self.me, &mut self.counted, &mut self.take)
    }

    fn wait(&self, deadline: Option<Instant>, waker: Option<BorrowedFd<'_>>) -> Result<bool> {
        fd::wait_readable(deadline, [Some(self.events.as_fd()), waker, None])
    }
}
