//! Sending and dispatching in turn on one thread, as C programs and programs on bindings without a queue do.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::begin;
use super::load::{Flood, Messages, Pace};
use super::tally::Tally;
use crate::Result;
use crate::clock::now;
use crate::task::{Job, Outcome, Task};

/// A member of the group, in one of the libraries.
pub trait Member: Sized {
    /// Sends a message. Returns false if flow control refused it. If events must be dispatched before a message is
    /// accepted, they go to the tally.
    fn send(&mut self, message: &[u8], tally: &mut Tally) -> Result<bool>;

    /// Is called after each of many messages. It dispatches the available events, as C does.
    fn after(&mut self, tally: &mut Tally) -> Result<()> {
        self.dispatch(tally)
    }

    /// Hands all available events to the tally.
    fn dispatch(&mut self, tally: &mut Tally) -> Result<()>;

    /// Waits for an event, and hands it to the tally, with or without other available events.
    fn hear(&mut self, tally: &mut Tally) -> Result<()> {
        wait(self, None)?;
        self.dispatch(tally)
    }

    /// Waits for events, and hands all available events to the tally.
    fn hear_all(&mut self, tally: &mut Tally) -> Result<()> {
        self.hear(tally)
    }

    /// Returns the descriptor that is readable while events wait.
    fn fd(&self) -> BorrowedFd<'_>;
}

/// Does any kind of work with a member.
pub fn run(task: &Task, member: &mut impl Member) -> Result<Outcome> {
    let mut tally = Tally::new(task);
    let start = begin(task)?;
    let retries = match task.job {
        Job::Flood => flood(task, member, &mut tally)?,
        Job::Echo => echo(task, member, &mut tally)?,
        Job::Paced => paced(task, member, &mut tally)?,
        Job::Receive => 0,
    };
    while !tally.is_done() {
        member.hear_all(&mut tally)?;
    }
    Ok(start.outcome(&tally, retries))
}

fn flood(task: &Task, member: &mut impl Member, tally: &mut Tally) -> Result<u64> {
    let mut messages = Messages::new(task);
    let mut flood = Flood::start(task);
    let mut retries = 0;
    loop {
        let is_last = flood.is_last();
        retries += send(member, messages.next(0, is_last), tally)?;
        member.after(tally)?;
        if is_last {
            return Ok(retries);
        }
    }
}

fn echo(task: &Task, member: &mut impl Member, tally: &mut Tally) -> Result<u64> {
    let mut messages = Messages::new(task);
    let end = now() + task.duration.as_nanos() as u64;
    let mut retries = 0;
    while !tally.is_done() {
        let (due, before) = (now(), tally.received());
        retries += send(member, messages.next(due, due >= end), tally)?;
        while tally.received() == before {
            member.hear(tally)?;
        }
    }
    Ok(retries)
}

fn paced(task: &Task, member: &mut impl Member, tally: &mut Tally) -> Result<u64> {
    let mut messages = Messages::new(task);
    let mut retries = 0;
    for due in Pace::start(task)? {
        while let Some(left) = due.wait() {
            if wait(member, Some(left))? {
                member.dispatch(tally)?;
            }
        }
        retries += send(member, messages.next(due.time, due.is_last), tally)?;
        member.after(tally)?;
    }
    Ok(retries)
}

/// Sends a message, and repeats a refused send at once, as upstream's program does. Returns the number of refusals.
#[inline]
fn send(member: &mut impl Member, message: &[u8], tally: &mut Tally) -> Result<u64> {
    let mut retries = 0;
    while !member.send(message, tally)? {
        retries += 1;
    }
    Ok(retries)
}

/// Waits for events. Returns false if none came in time.
fn wait(member: &impl Member, timeout: Option<Duration>) -> Result<bool> {
    let mut fds = [PollFd::new(member.fd(), PollFlags::POLLIN)];
    Ok(ppoll(&mut fds, timeout.map(TimeSpec::from_duration), None)? > 0)
}
