//! netcat for a group: each line of standard input becomes a message, and each message becomes a line of standard
//! output.
//!
//!     cpgcat [--count N] [--members] [--with-nul] GROUP
//!
//! The program shows traffic in both directions in a loop on `poll`, with the group's descriptor beside others. Under
//! flow control it holds a line back, and never loses or reorders one. Self-delivery acknowledges its messages. Its
//! memory and the daemon's stay small, however much comes in and however slowly its output is read.

mod input;
mod program;
mod signals;
mod wait;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::num::NonZeroU64;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::time::Duration;

use cpg::{Event, Group, GroupName, Handle, Limits, Link, Member, View};
use input::{Lines, is_retryable};
use nix::poll::PollFlags;
use program::End;
use signals::Signals;
use wait::wait;

const HELP: &str = "\
Usage: {name} [--count N] [--members] [--with-nul] GROUP

Joins GROUP. Sends each line of standard input, without its newline, as a message. Prints each message of the group,
including those sent here, as a line NODE:PID<TAB>PAYLOAD. Ends when the input has ended and all its lines have been
delivered.

  --count N    end after exactly N messages of the group, and not with the input
  --members    also print the members: '+ NODE:PID present' for each that was there before, '+ NODE:PID REASON' for
               each that joins, '- NODE:PID REASON' for each that leaves. REASON is one of join, leave, procdown,
               nodedown, nodeup
  --with-nul   use the group name with a NUL byte at its end, as Pacemaker and DLM do
  --help       print this
  --version    print the version
";

/// The pause before a line that flow control refused is sent again: nothing tells when flow control ends.
const RETRY: Duration = Duration::from_millis(1);

/// The most that the undelivered messages of this member may weigh. More would wait in the daemon's memory.
const WINDOW: usize = 1 << 20;

/// The weight of a message in addition to its bytes.
const OVERHEAD: usize = 256;

/// The most bytes that may wait to be printed before dispatching stops.
const OUTPUT: usize = 64 << 10;

/// The number of bytes that a ready pipe takes without blocking.
const PIPE: usize = 4096;

struct Options {
    count: Option<NonZeroU64>,
    members: bool,
    group: GroupName,
}

struct Cat {
    options: Options,
    input: Lines<File>,
    stdout: File,
    output: VecDeque<u8>,
    /// The weight of the messages of this member that have not been delivered.
    in_flight: usize,
    delivered: u64,
    /// True after the first view: the members that were there before have been printed.
    introduced: bool,
}

fn main() -> ExitCode {
    program::main("cpgcat", HELP, |arguments| {
        let options = parse(arguments)?;
        let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let mut group = Handle::connect()?.join(&options.group)?;
        let mut cat = Cat {
            options,
            input: Lines::of(stdin),
            stdout,
            output: VecDeque::new(),
            in_flight: 0,
            delivered: 0,
            introduced: false,
        };
        let result = cat.run(&mut group);
        // The first error is the cause; later ones may follow from it.
        let left = group.leave();
        let printed = cat.print_rest();
        result.and(left.map_err(End::from)).and(printed.map_err(End::from))
    })
}

fn parse(mut arguments: lexopt::Parser) -> Result<Options, End> {
    use lexopt::prelude::*;
    let (mut count, mut members, mut with_nul, mut group) = (None, false, false, None::<OsString>);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("count") => count = Some(arguments.value()?.parse()?),
            Long("members") => members = true,
            Long("with-nul") => with_nul = true,
            Long("help") | Short('h') => return Err(End::Help),
            Long("version") | Short('V') => return Err(End::Version),
            Value(name) if group.is_none() => group = Some(name),
            other => return Err(other.unexpected().into()),
        }
    }
    let name = group.ok_or(End::Usage("which GROUP?".to_owned()))?;
    let group = if with_nul { GroupName::with_nul(name.as_bytes()) } else { GroupName::new(name.as_bytes()) };
    Ok(Options { count, members, group: group? })
}

impl Cat {
    fn run(&mut self, group: &mut Group) -> Result<(), End> {
        let signals = Signals::new()?;
        loop {
            self.receive(group)?;
            let refused = self.send(group)?;
            if self.is_done() {
                return Ok(());
            }
            let room = self.output.len() < OUTPUT;
            let reading = !self.input.ended() && self.input.line().is_none();
            let printing = if self.output.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            let [stdout, stdin, signal, _] = wait(
                [
                    Some((self.stdout.as_fd(), printing)),
                    reading.then_some((self.input.input.as_fd(), PollFlags::POLLIN)),
                    Some((signals.as_fd(), PollFlags::POLLIN)),
                    room.then_some((group.as_fd(), PollFlags::POLLIN)),
                ],
                refused.then_some(RETRY),
            )?;
            if stdout.contains(PollFlags::POLLOUT) {
                self.print()?;
            } else if stdout.intersects(PollFlags::POLLERR | PollFlags::POLLHUP) {
                return Err(End::OutputClosed);
            }
            if !stdin.is_empty() {
                self.input.read()?;
            }
            if !signal.is_empty() && signals.take()? {
                self.output.clear();
                return Ok(());
            }
        }
    }

    fn is_done(&mut self) -> bool {
        match self.options.count {
            Some(count) => self.delivered >= count.get(),
            None => self.input.ended() && self.input.line().is_none() && self.in_flight == 0,
        }
    }

    /// Dispatches the events that are there one at a time, so that none is taken after the last that is wanted.
    fn receive(&mut self, group: &mut Group) -> cpg::Result<()> {
        while self.output.len() < OUTPUT && !self.is_done() {
            let handler = |link: &Link, event: Event<'_>| self.take(link.me(), &event);
            if group.dispatch(Limits::available().at_most(1), handler)? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, me: Member, event: &Event<'_>) {
        match event {
            Event::Deliver(message) => {
                self.delivered += 1;
                if message.sender() == me {
                    self.in_flight -= weight(message.payload());
                }
                self.say(format_args!("{}\t", message.sender()));
                self.output.extend(message.payload());
                self.output.push_back(b'\n');
            }
            Event::ConfChg(view) if self.options.members => self.take_view(view),
            _ => (),
        }
    }

    fn take_view(&mut self, view: &View<'_>) {
        if !std::mem::replace(&mut self.introduced, true) {
            for member in view.members().iter().filter(|member| !view.joined().contains(member)) {
                self.say(format_args!("+ {member} present\n"));
            }
        }
        for member in view.left() {
            self.say(format_args!("- {member} {}\n", member.reason()));
        }
        for member in view.joined() {
            self.say(format_args!("+ {member} {}\n", member.reason()));
        }
    }

    fn say(&mut self, text: std::fmt::Arguments<'_>) {
        self.output.write_fmt(text).expect("a VecDeque takes everything");
    }

    /// Sends the lines that have been read. Returns true if flow control refused one, which stays the next.
    fn send(&mut self, group: &Group) -> cpg::Result<bool> {
        while self.in_flight < WINDOW {
            let Some(line) = self.input.line() else { break };
            match group.send(line) {
                Ok(()) => self.in_flight += weight(line),
                Err(error) if error.is_retryable() => return Ok(true),
                Err(error) => return Err(error),
            }
            self.input.advance();
        }
        Ok(false)
    }

    /// Prints as much as standard output takes without blocking.
    fn print(&mut self) -> io::Result<()> {
        let (bytes, _) = self.output.as_slices();
        match self.stdout.write(&bytes[..bytes.len().min(PIPE)]) {
            Ok(written) => drop(self.output.drain(..written)),
            Err(error) if is_retryable(&error) => (),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn print_rest(&mut self) -> io::Result<()> {
        self.stdout.write_all(self.output.make_contiguous())
    }
}

fn weight(message: &[u8]) -> usize {
    message.len() + OVERHEAD
}
