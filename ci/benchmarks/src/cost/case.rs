//! The Rust programs that do the work of `c/cost.c` with this crate.

use std::ops::ControlFlow;

use cpg::{Event, Flow, Group, Limits, Session};

use crate::Result;

/// The name of the mode in which this program does a case.
pub const CASE: &str = "cost-of";

const SIZE: usize = 64;
const BATCH: u64 = 64;

/// Returns the description of a case.
pub fn what(case: &str) -> &'static str {
    match case {
        "deliver" => "Group::dispatch",
        "deliver-run" => "Group::run",
        "send" => "Group::send",
        "both" => "Group",
        "both-queued" => "Sender and Receiver",
        "both-coalesced" => "the same, in packets",
        _ => "?",
    }
}

/// Joins the only group of the stub.
fn join() -> Result<Group> {
    Ok(Group::join("cost")?)
}

/// Joins as [`join`] does, with a queue.
pub fn join_session(flow: Flow) -> Result<Session> {
    Ok(Session::options().flow(flow).join("cost")?)
}

/// Counts messages as the callback in C does.
#[derive(Default)]
struct Count {
    delivered: u64,
    bytes: usize,
}

impl Count {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Deliver(message) = event {
            self.delivered += 1;
            self.bytes += message.payload().len();
        }
    }
}

/// Runs one case with so many messages.
pub fn run(arguments: &[String]) -> Result<()> {
    let [case, messages] = arguments else { return Err("a case and a number of messages".into()) };
    let messages: u64 = messages.parse()?;
    let mut count = Count::default();
    match case.as_str() {
        "deliver" => {
            let mut group = join()?;
            while count.delivered < messages {
                group.dispatch(Limits::available(), |_, event| count.event(&event))?;
            }
        }
        "deliver-run" => {
            join()?.run(Limits::forever(), |_, event| {
                count.event(&event);
                if count.delivered == messages { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        "send" => {
            let group = join()?;
            for _ in 0..messages {
                group.send(&[0; SIZE])?;
            }
            return Ok(());
        }
        "both" => {
            let mut group = join()?;
            for number in 1..=messages {
                group.send(&[0; SIZE])?;
                if number % BATCH == 0 || number == messages {
                    group.dispatch(Limits::available(), |_, event| count.event(&event))?;
                }
            }
        }
        "both-queued" => both(Flow::new(), messages, &mut count)?,
        "both-coalesced" => both(Flow::coalesced(), messages, &mut count)?,
        other => return Err(format!("there is no case {other}").into()),
    }
    let expected = (messages, messages as usize * SIZE);
    if (count.delivered, count.bytes) == expected { Ok(()) } else { Err("messages were lost".into()) }
}

/// Sends through the queue and dispatches, on one thread.
fn both(flow: Flow, messages: u64, count: &mut Count) -> Result<()> {
    let (sender, mut receiver) = join_session(flow)?.split();
    for number in 1..=messages {
        sender.send(&[0; SIZE])?;
        if number % BATCH == 0 {
            receiver.dispatch(Limits::available(), |_, event| count.event(&event))?;
        }
    }
    while count.delivered < messages {
        receiver.dispatch(Limits::available(), |_, event| count.event(&event))?;
    }
    Ok(())
}
