//! `cpg` without a queue. It also receives for the variants with a queue and without packets.

use std::os::fd::{AsFd as _, BorrowedFd};

use cpg::{Group, Limits};

use super::single::{self, Member};
use super::tally::Tally;
use crate::Result;
use crate::task::{Outcome, Task};

pub fn run(task: &Task) -> Result<Outcome> {
    single::run(task, &mut Group::join(&*task.group)?)
}

impl Member for Group {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as the C compiler does it")]
    fn send(&mut self, message: &[u8], _: &mut Tally) -> Result<bool> {
        match cpg::Link::send(self, message) {
            Ok(()) => Ok(true),
            Err(error) if error.is_retryable() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as the C compiler does it")]
    fn dispatch(&mut self, tally: &mut Tally) -> Result<()> {
        Group::dispatch(self, Limits::available(), |_, event| tally.event(&event))?;
        Ok(())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}
