//! A sum that the members of a group keep together, through partitions and restarts of corosync.
//!
//!     counter GROUP
//!
//! The program shows a session that [rejoins](Reconnect) after it has lost its daemon, and state that survives this.
//! Each member sends its total so far, and not the number that was added; it sends the total again whenever a member
//! joins. So a missed message does no harm, and two parts of a cluster that merge come to the same sum. The numbers are
//! lines of standard input.

mod program;

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use cpg::{Ended, Event, GroupName, Limits, Member, Receiver, Reconnect, Sender, Session, Waker};
use program::End;

const HELP: &str = "Usage: counter GROUP

Joins GROUP, whose members add up numbers together. Each line of standard input is a number to add. Prints 'sum N' when the
sum changes, and 'members N' when the membership changes. When corosync ends, waits until corosync is back. Leaves the
group when the input has ended and the last total has been delivered.
";

fn main() -> ExitCode {
    program::main("counter", HELP, |mut arguments| {
        use lexopt::prelude::*;
        let mut group = None;
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("help") | Short('h') => return Err(End::Help),
                Long("version") | Short('V') => return Err(End::Version),
                Value(value) if group.is_none() => group = Some(value),
                other => return Err(other.unexpected().into()),
            }
        }
        let group = group.ok_or(End::Usage("which GROUP?".to_owned()))?;
        run(&GroupName::new(group.as_bytes())?)
    })
}

fn run(name: &GroupName) -> Result<(), End> {
    let (sender, receiver) = Session::options().reconnect(Reconnect::new()).join(name)?.split();
    let (own, waker) = (AtomicU64::new(0), Waker::new()?);
    thread::scope(|scope| {
        let counting = scope.spawn(|| {
            let counted = count(&sender, &own);
            waker.wake();
            counted
        });
        let heard = hear(receiver, &own, &waker);
        counting.join().expect("the thread panicked").and(heard)
    })
}

/// Adds up the input, and sends the total until it has been delivered.
fn count(sender: &Sender, own: &AtomicU64) -> Result<(), End> {
    let tell = || sender.send(&own.load(Ordering::SeqCst).to_le_bytes());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let number: u64 = line.trim().parse().map_err(|error| End::Failed(format!("'{line}': {error}")))?;
        own.fetch_add(number, Ordering::SeqCst);
        match tell() {
            Ok(_) => {}
            // The total is sent when the session has rejoined.
            Err(error) if error.is_connection_lost() => {}
            Err(error) => return Err(error.into()),
        }
    }
    while let Err(error) = tell().and_then(|sent| sender.ticket(sent).wait()) {
        if !error.is_connection_lost() {
            return Err(error.into());
        }
        sender.wait_joined()?;
    }
    Ok(())
}

/// Adds up the totals of all members until the input of this member has been counted.
fn hear(mut receiver: Receiver, own: &AtomicU64, counted: &Waker) -> Result<(), End> {
    let mut counts = BTreeMap::new();
    let ended = receiver.run(Limits::forever().woken_by(counted), |sender, event| {
        match handle(sender, &event, own, &mut counts) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    })?;
    if let Ended::Broke(error) = ended {
        return Err(error.into());
    }
    Ok(receiver.leave()?)
}

fn handle(
    sender: &Sender,
    event: &Event<'_>,
    own: &AtomicU64,
    counts: &mut BTreeMap<Member, u64>,
) -> io::Result<()> {
    let mut output = io::stdout();
    let view = match event {
        Event::ConfChg(view) => *view,
        Event::Rejoined(back) => back.view(),
        Event::Lost(lost) => return writeln!(output, "lost: {}", lost.error()),
        Event::Deliver(message) => {
            let count = message.payload().try_into().map_or(0, u64::from_le_bytes);
            let before = counts.insert(message.sender(), count);
            return if before == Some(count) {
                Ok(())
            } else {
                writeln!(output, "sum {}", counts.values().sum::<u64>())
            };
        }
        _ => return Ok(()),
    };
    if !view.joined().is_empty() {
        // If the queue is full, the messages in it tell the total.
        let _ = sender.try_send(&own.load(Ordering::SeqCst).to_le_bytes());
    }
    writeln!(output, "members {}", view.members().len())
}
