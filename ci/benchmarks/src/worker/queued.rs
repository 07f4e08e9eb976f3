//! `cpg` with its sending queue: one thread sends and dispatches in turn, or one sends and another one dispatches.

use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::thread;

use cpg::{Error, Limits, Receiver, Sender, Session};

use super::load::{Flood, Messages, Pace};
use super::single::{self, Member};
use super::tally::Tally;
use super::{begin, must, options};
use crate::Result;
use crate::clock::now;
use crate::task::{Job, Outcome, Task};

/// Does a task on one thread.
pub fn run(task: &Task) -> Result<Outcome> {
    single::run(task, &mut options(task).join(&*task.group)?)
}

/// Does a task on two threads.
pub fn run_threads(task: &Task) -> Result<Outcome> {
    let (sender, mut receiver) = options(task).join(&*task.group)?.split();
    let mut tally = Tally::new(task);
    let start = begin(task)?;
    match task.job {
        Job::Echo => echo(task, &sender, &mut receiver, &mut tally)?,
        Job::Flood => beside(|| flood(task, &sender), &mut receiver, &mut tally),
        Job::Paced => beside(|| paced(task, &sender), &mut receiver, &mut tally),
        Job::Receive => return Err("a session that only receives is not split".into()),
    }
    Ok(start.outcome(&tally, 0))
}

impl Member for Session {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as the C compiler does it")]
    fn send(&mut self, message: &[u8], tally: &mut Tally) -> Result<bool> {
        match Session::send(self, message) {
            Ok(_) => Ok(true),
            Err(Error::QueueFull) => {
                self.hear_all(tally)?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends. It is time to dispatch when the queue is full.
    fn after(&mut self, _: &mut Tally) -> Result<()> {
        Ok(())
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as the C compiler does it")]
    fn dispatch(&mut self, tally: &mut Tally) -> Result<()> {
        Session::dispatch(self, Limits::available(), |_, event| tally.event(&event))?;
        Ok(())
    }

    fn hear(&mut self, tally: &mut Tally) -> Result<()> {
        Session::dispatch(self, Limits::one(), |_, event| tally.event(&event))?;
        Ok(())
    }

    fn hear_all(&mut self, tally: &mut Tally) -> Result<()> {
        self.hear(tally)?;
        Member::dispatch(self, tally)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

/// Dispatches up to the last message, while another thread sends.
fn beside(send: impl FnOnce() -> Result<()> + Send, receiver: &mut Receiver, tally: &mut Tally) {
    thread::scope(|scope| {
        scope.spawn(|| must(send()));
        must(receive(receiver, tally, Tally::is_done));
    });
}

fn receive(receiver: &mut Receiver, tally: &mut Tally, until: impl Fn(&Tally) -> bool) -> Result<()> {
    receiver.run(Limits::forever(), |_, event| {
        tally.event(&event);
        if until(tally) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(())
}

fn flood(task: &Task, sender: &Sender) -> Result<()> {
    let mut messages = Messages::new(task);
    let mut flood = Flood::start(task);
    loop {
        let is_last = flood.is_last();
        sender.send(messages.next(0, is_last))?;
        if is_last {
            return Ok(());
        }
    }
}

fn paced(task: &Task, sender: &Sender) -> Result<()> {
    let mut messages = Messages::new(task);
    for due in Pace::start(task)? {
        while let Some(left) = due.wait() {
            thread::sleep(left);
        }
        sender.send(messages.next(due.time, due.is_last))?;
    }
    Ok(())
}

/// Sends one message at a time, on one thread, because this needs no other.
fn echo(task: &Task, sender: &Sender, receiver: &mut Receiver, tally: &mut Tally) -> Result<()> {
    let mut messages = Messages::new(task);
    let end = now() + task.duration.as_nanos() as u64;
    while !tally.is_done() {
        let (due, before) = (now(), tally.received());
        sender.send(messages.next(due, due >= end))?;
        receive(receiver, tally, |tally| tally.received() > before)?;
    }
    Ok(())
}
