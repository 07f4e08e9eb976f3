//! The process that sends or receives.
//!
//! The process prints "ready" when it has joined, sends when it has read a line, and prints its [`Outcome`] in one line
//! when its last message has been delivered. `c/load.c` does the same.

mod load;
#[cfg(feature = "rust-corosync")]
mod peer;
mod plain;
mod queued;
mod single;
mod tally;
mod tasks;

use std::{io, panic, process};

use cpg::{Flow, SessionOptions};

use crate::Result;
use crate::clock;
use crate::task::{Job, Outcome, Task};
use crate::variant::Variant;
use tally::Tally;

pub fn run(arguments: &[String]) -> Result<()> {
    // If a thread panics, the process ends, so that no other thread waits for it.
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        process::exit(1);
    }));
    let task = Task::parse(arguments)?;
    let outcome = match task.variant {
        Variant::Plain => plain::run(&task),
        // Only a session takes messages from packets.
        Variant::Queued | Variant::QueuedThreads if task.job == Job::Receive => plain::run(&task),
        Variant::CoalescedThreads if task.job == Job::Receive => queued::run(&task),
        Variant::Queued | Variant::Coalesced => queued::run(&task),
        Variant::QueuedThreads | Variant::CoalescedThreads => queued::run_threads(&task),
        Variant::Tokio => tasks::run(&task),
        #[cfg(feature = "rust-corosync")]
        Variant::Peer => peer::run(&task),
        _ => Err(format!("{} is not one of this program's", task.variant).into()),
    }?;
    println!("{outcome}");
    Ok(())
}

/// Ends the process when one of its threads or tasks fails, because others may wait for that one.
fn must<T, E: std::fmt::Display>(result: std::result::Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// Joins the session of a task.
fn options(task: &Task) -> SessionOptions {
    let mut flow = match task.variant {
        Variant::Coalesced | Variant::CoalescedThreads | Variant::Tokio => Flow::coalesced(),
        _ => Flow::new(),
    };
    if let Some(sizes) = task.sizes {
        flow = flow.window_size(sizes.window).packet_size(sizes.packet);
    }
    SessionOptions::new().flow(flow)
}

/// Prints that the process has joined. If it is a sender, waits until it is told to begin.
fn begin(task: &Task) -> Result<Start> {
    println!("ready");
    if task.job != Job::Receive {
        io::stdin().read_line(&mut String::new())?;
    }
    Ok(Start { time: clock::now(), cpu: clock::cpu() })
}

/// The beginning of the measurement.
struct Start {
    time: u64,
    cpu: u64,
}

impl Start {
    fn outcome(&self, tally: &Tally, retries: u64) -> Outcome {
        let (wall, cpu) = (clock::now() - self.time, clock::cpu() - self.cpu);
        Outcome { wall, cpu, retries, ..tally.outcome() }
    }
}
