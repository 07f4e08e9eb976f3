//! `cpg::tokio`, coalescing: one task sends, another one dispatches, on a runtime with a thread for each.

use std::thread;

use cpg::tokio::{Receiver, Sender, SessionOptions};
use tokio::runtime::{Builder, Handle};

use super::load::{Flood, Messages, Pace};
use super::tally::Tally;
use super::{begin, must, options};
use crate::Result;
use crate::clock::now;
use crate::task::{Job, Outcome, Task};

pub fn run(task: &Task) -> Result<Outcome> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(work(task))
}

async fn work(task: &Task) -> Result<Outcome> {
    let session = SessionOptions::from(options(task)).join(&*task.group).await?;
    let (sender, mut receiver) = session.split();
    let mut tally = Tally::new(task);
    let start = begin(task)?;
    match task.job {
        Job::Receive => receive(&mut receiver, &mut tally, Tally::is_done).await?,
        Job::Echo => echo(task, &sender, &mut receiver, &mut tally).await?,
        Job::Flood => {
            let task = task.clone();
            let sending = tokio::spawn(async move { must(flood(&task, sender).await) });
            receive(&mut receiver, &mut tally, Tally::is_done).await?;
            sending.await?;
        }
        Job::Paced => {
            // The runtime's own timers are too coarse, so this task has a thread.
            let (task, runtime) = (task.clone(), Handle::current());
            let sending = thread::spawn(move || must(paced(&task, &sender, &runtime)));
            receive(&mut receiver, &mut tally, Tally::is_done).await?;
            sending.join().expect("a panic of the sender ends the process");
        }
    }
    Ok(start.outcome(&tally, 0))
}

async fn receive(receiver: &mut Receiver, tally: &mut Tally, until: impl Fn(&Tally) -> bool) -> Result<()> {
    while !until(tally) {
        receiver.dispatch(|_, event| tally.event(&event)).await?;
    }
    Ok(())
}

async fn flood(task: &Task, sender: Sender) -> Result<()> {
    let mut messages = Messages::new(task);
    let mut flood = Flood::start(task);
    loop {
        let is_last = flood.is_last();
        sender.send(messages.next(0, is_last)).await?;
        if is_last {
            return Ok(());
        }
    }
}

fn paced(task: &Task, sender: &Sender, runtime: &Handle) -> Result<()> {
    let mut messages = Messages::new(task);
    for due in Pace::start(task)? {
        while let Some(left) = due.wait() {
            thread::sleep(left);
        }
        runtime.block_on(sender.send(messages.next(due.time, due.is_last)))?;
    }
    Ok(())
}

async fn echo(task: &Task, sender: &Sender, receiver: &mut Receiver, tally: &mut Tally) -> Result<()> {
    let mut messages = Messages::new(task);
    let end = now() + task.duration.as_nanos() as u64;
    while !tally.is_done() {
        let (due, before) = (now(), tally.received());
        sender.send(messages.next(due, due >= end)).await?;
        receive(receiver, tally, |tally| tally.received() > before).await?;
    }
    Ok(())
}
