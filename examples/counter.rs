//! A sum that the members of a group keep together, through partitions and restarts of corosync.
//!
//!     counter GROUP
//!
//! The program shows a session that [rejoins](Reconnect) after it has lost its daemon, and state that survives this.
//! Each message has the totals of all members that its sender knows, and not the number that was added; and each member
//! sends them again whenever a member joins. Of two totals of a member the larger one is the newer. So a missed message
//! does no harm, two parts of a cluster that merge come to the same sum, and a new member learns the totals of members
//! that have left. The numbers are lines of standard input.

mod program;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufRead as _, Write as _};
use std::mem;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use cpg::{Ended, Event, GroupName, Limits, Receiver, Reconnect, Sender, Session, Waker};
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

/// The totals of all members that this member knows, also of those that have left.
struct Totals {
    /// The key of this member: a random number, because a process id can be used again.
    own: u64,
    known: Mutex<BTreeMap<u64, u64>>,
}

impl Totals {
    fn new() -> Self {
        Self { own: RandomState::new().hash_one(()), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a number to the total of this member.
    fn add(&self, number: u64) {
        let mut known = self.known();
        let own = known.entry(self.own).or_default();
        *own = own.saturating_add(number);
    }

    /// Returns a message: pairs of a key and a total.
    fn message(&self) -> Vec<u8> {
        let pair = |(key, total): (&u64, &u64)| [key.to_le_bytes(), total.to_le_bytes()].concat();
        self.known().iter().flat_map(pair).collect()
    }

    /// Takes what is new in a message.
    fn merge(&self, message: &[u8]) {
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        for pair in message.chunks_exact(16) {
            let (key, total) = pair.split_at(8);
            let known = &mut *self.known();
            let known = known.entry(number(key)).or_default();
            *known = number(total).max(*known);
        }
    }

    fn sum(&self) -> u64 {
        self.known().values().fold(0, |sum, &total| sum.saturating_add(total))
    }
}

fn run(name: &GroupName) -> Result<(), End> {
    let (sender, receiver) = Session::options().reconnect(Reconnect::new()).join(name)?.split();
    let (totals, waker) = (Totals::new(), Waker::new()?);
    thread::scope(|scope| {
        let counting = scope.spawn(|| {
            let counted = count(&sender, &totals);
            waker.wake();
            counted
        });
        let heard = hear(receiver, &totals, &waker);
        counting.join().expect("the thread panicked").and(heard)
    })
}

/// Adds up the input, and sends the totals until they have been delivered.
fn count(sender: &Sender, totals: &Totals) -> Result<(), End> {
    let tell = || sender.send(&totals.message());
    for line in io::stdin().lock().lines() {
        let line = line?;
        totals.add(line.trim().parse().map_err(|error| End::Failed(format!("'{line}': {error}")))?);
        match tell() {
            Ok(_) => {}
            // The totals are sent when the session has rejoined.
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

/// Takes what members send until the input of this member has been counted.
fn hear(mut receiver: Receiver, totals: &Totals, counted: &Waker) -> Result<(), End> {
    let mut printed = 0;
    let ended = receiver.run(Limits::forever().woken_by(counted), |sender, event| {
        match handle(sender, &event, totals, &mut printed) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    })?;
    if let Ended::Broke(error) = ended {
        return Err(error.into());
    }
    Ok(receiver.leave()?)
}

fn handle(sender: &Sender, event: &Event<'_>, totals: &Totals, printed: &mut u64) -> io::Result<()> {
    let mut output = io::stdout();
    let view = match event {
        Event::ConfChg(view) => *view,
        Event::Rejoined(back) => back.view(),
        Event::Lost(lost) => return writeln!(output, "lost: {}", lost.error()),
        Event::Deliver(message) => {
            totals.merge(message.payload());
            let sum = totals.sum();
            return if mem::replace(printed, sum) == sum { Ok(()) } else { writeln!(output, "sum {sum}") };
        }
        _ => return Ok(()),
    };
    if !view.joined().is_empty() {
        // If the queue is full, the messages in it tell the totals.
        let _ = sender.try_send(&totals.message());
    }
    writeln!(output, "members {}", view.members().len())
}
