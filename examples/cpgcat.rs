//! netcat for a group: each line of standard input is a message, each message a line of standard output.
//!
//!     cpgcat [--count N] [--members] [--with-nul] GROUP
//!
//! It shows a program with traffic both ways in an event loop of its own: `poll` on the group's descriptor beside others,
//! flow control that holds a line back and never loses or reorders one, own deliveries as the acknowledgement of own
//! messages, and a memory that stays small, its own and the daemon's, however much comes and however slowly it is read.

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
use input::{Lines, is_passing};
use nix::poll::PollFlags;
use program::End;
use signals::Signals;
use wait::wait;

const HELP: &str = "\
Usage: {name} [--count N] [--members] [--with-nul] GROUP

Joins GROUP. Sends each line of standard input, without its newline, as a message, and prints each message of the
group, own ones included, as a line NODE:PID<TAB>PAYLOAD. Ends when the input has ended and all of it has come back.

  --count N    end after N messages of the group, neither earlier nor later
  --members    print who is there, who comes and who goes, too: '+ NODE:PID present', '+ NODE:PID REASON' and
               '- NODE:PID REASON' (join, leave, procdown, nodedown, nodeup)
  --with-nul   join the name with the NUL that ends it in C, as Pacemaker and DLM do
  --help       print this
  --version    print the version
";

/// How long to wait before a line that flow control refused is tried again: nothing tells when it will be taken.
const RETRY: Duration = Duration::from_millis(1);

/// Own messages may weigh so much until they have come back. More would wait in the daemon's memory.
const WINDOW: usize = 1 << 20;

/// What a message weighs beside its bytes.
const OVERHEAD: usize = 256;

/// No more messages are taken while so many bytes wait to be printed.
const OUTPUT: usize = 64 << 10;

/// A pipe that is ready takes so much without a wait.
const PIPE: usize = 4096;

struct Options {
    count: Option<NonZeroU64>,
    members: bool,
    group: GroupName,
}

struct Cat {
    options: Options,
    input: Lines,
    stdout: File,
    output: VecDeque<u8>,
    /// What own messages weigh that have not come back; zero when all have.
    in_flight: usize,
    delivered: u64,
    /// Whether those have been printed who were there before.
    introduced: bool,
}

fn main() -> ExitCode {
    program::main("cpgcat", HELP, |arguments| {
        let options = parse(arguments)?;
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let mut group = Handle::connect()?.join(&options.group)?;
        let mut cat = Cat {
            options,
            input: Lines::new()?,
            stdout,
            output: VecDeque::new(),
            in_flight: 0,
            delivered: 0,
            introduced: false,
        };
        let result = cat.run(&mut group);
        // What went wrong first tells more than what that did to the rest.
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
                    reading.then_some((self.input.as_fd(), PollFlags::POLLIN)),
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

    /// Takes what the group has for us, one by one: a message after the last that is wanted stays where it is.
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

    /// Sends the lines that have been read, and tells whether flow control refused one, which is then kept.
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

    /// Prints as much as standard output takes at once.
    fn print(&mut self) -> io::Result<()> {
        let (bytes, _) = self.output.as_slices();
        match self.stdout.write(&bytes[..bytes.len().min(PIPE)]) {
            Ok(written) => drop(self.output.drain(..written)),
            Err(error) if is_passing(&error) => (),
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
