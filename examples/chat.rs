//! People on several nodes who talk to each other. All see all lines in the same order, and who comes and goes.
//!
//!     chat [--name NAME] [GROUP]
//!
//! It shows what programs do that keep something about each member: all tell it to those who join, by a message when a view
//! has joiners, and forget it with a view that has a member leave. A message that begins with `/name ` says what its sender
//! is called, any other one is a line; `cpgcat` can join in.

mod input;
mod program;
mod signals;
mod wait;

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cpg::{Event, Group, GroupName, Handle, Limits, Member, View};
use input::Lines;
use nix::poll::PollFlags;
use program::End;
use signals::Signals;
use wait::wait;

const HELP: &str = "\
Usage: {name} [--name NAME] [GROUP]

Talks with the others in GROUP (chat): each line of standard input is said to all.

  /who          who is there
  /quit         leave, as the end of input does

  --name NAME   what to be called ($USER, or guest)
  --help        print this
  --version     print the version
";

/// How long to wait before a message that flow control refused is tried again.
const RETRY: Duration = Duration::from_millis(5);

/// How long leaving may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a message begins with that says what its sender is called.
const NAME: &str = "/name ";

/// Moves a terminal to the begin of the line and clears it; and of the line above it.
const CLEAR: &str = "\r\x1b[K";
const CLEAR_ABOVE: &str = "\x1b[A\r\x1b[K";

struct Room {
    me: Member,
    name: String,
    /// Those who are there, by what they are called once that is known.
    people: BTreeMap<Member, Option<String>>,
    /// Whether those who were there before are in `people`.
    introduced: bool,
    /// Who came after this program and has not said a name.
    newcomers: Vec<Member>,
    outgoing: VecDeque<String>,
    shown: String,
    clear: &'static str,
}

fn main() -> ExitCode {
    program::main("chat", HELP, |arguments| {
        let (name, group) = parse(arguments)?;
        let mut group = Handle::connect()?.join(&group)?;
        let mut room = Room {
            me: group.me(),
            name,
            people: BTreeMap::new(),
            introduced: false,
            newcomers: Vec::new(),
            outgoing: VecDeque::new(),
            shown: String::new(),
            clear: if io::stdout().is_terminal() { CLEAR } else { "" },
        };
        room.show(&format!("* you are {} ({}) in {}: /who, /quit", room.name, room.me, group.name()));
        let result = room.run(&mut group);
        // Own lines may still be on their way.
        let left = group.leave_until(Instant::now() + PATIENCE, |_, event| room.hear(&event));
        result.and(left.map_err(End::from)).and(room.print().map_err(End::from))
    })
}

fn parse(mut arguments: lexopt::Parser) -> Result<(String, GroupName), End> {
    use lexopt::prelude::*;
    let (mut name, mut group) = (None, None::<OsString>);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("name") => name = Some(arguments.value()?.string()?),
            Long("help") | Short('h') => return Err(End::Help),
            Long("version") | Short('V') => return Err(End::Version),
            Value(value) if group.is_none() => group = Some(value),
            other => return Err(other.unexpected().into()),
        }
    }
    let name = name.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "guest".to_owned());
    let name = name.trim();
    if name.is_empty() {
        return Err(End::Usage("the name is empty".to_owned()));
    }
    Ok((name.to_owned(), GroupName::new(group.unwrap_or("chat".into()).as_bytes())?))
}

impl Room {
    fn run(&mut self, group: &mut Group) -> Result<(), End> {
        let mut input = Lines::new()?;
        let signals = Signals::new()?;
        let mut open = true;
        loop {
            group.dispatch(Limits::available(), |_, event| self.hear(&event))?;
            // A line at a time, so that no more are kept than flow control lets through.
            while open && self.outgoing.is_empty() {
                let Some(line) = input.line() else { break };
                open = self.obey(&String::from_utf8_lossy(line));
                input.advance();
                self.send(group)?;
            }
            let refused = self.send(group)?;
            self.print()?;
            open &= !input.ended() || input.line().is_some();
            if !open && !refused {
                return Ok(());
            }
            let reading = open && !refused;
            let [stdin, signal, stdout, _] = wait(
                [
                    reading.then_some((input.as_fd(), PollFlags::POLLIN)),
                    Some((signals.as_fd(), PollFlags::POLLIN)),
                    Some((io::stdout().as_fd(), PollFlags::empty())),
                    Some((group.as_fd(), PollFlags::POLLIN)),
                ],
                refused.then_some(RETRY),
            )?;
            if !stdout.is_empty() {
                return Err(End::OutputClosed);
            }
            if !signal.is_empty() && signals.take()? {
                return Ok(());
            }
            if !stdin.is_empty() {
                input.read()?;
            }
        }
    }

    /// Does what the user says; false for the wish to leave.
    fn obey(&mut self, line: &str) -> bool {
        if !self.clear.is_empty() {
            // The terminal has shown the line. It will be shown again, in its place among those of the others.
            self.shown.push_str(CLEAR_ABOVE);
        }
        match line.trim() {
            "" => (),
            "/quit" => return false,
            "/who" => {
                let people: Vec<_> = self.people.keys().map(|&member| self.called(member)).collect();
                self.show(&format!("* here: {}", people.join(", ")));
            }
            text if text.starts_with('/') => self.show("* there are /who and /quit"),
            text => self.outgoing.push_back(text.to_owned()),
        }
        true
    }

    /// Sends what is to be sent, and tells whether flow control refused it, which is then kept.
    fn send(&mut self, group: &Group) -> cpg::Result<bool> {
        while let Some(message) = self.outgoing.front() {
            match group.send(message.as_bytes()) {
                Ok(()) => drop(self.outgoing.pop_front()),
                Err(error) if error.is_retryable() => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Deliver(message) => {
                let text = String::from_utf8_lossy(message.payload());
                match text.strip_prefix(NAME) {
                    Some(name) => self.hear_name(message.sender(), name),
                    None => self.show(&format!("{}: {text}", self.name_of(message.sender()))),
                }
            }
            Event::ConfChg(view) => self.hear_view(view),
            _ => (),
        }
    }

    fn hear_name(&mut self, member: Member, name: &str) {
        let before = self.people.insert(member, Some(name.to_owned())).flatten();
        let newcomer = self.newcomers.contains(&member);
        self.newcomers.retain(|&other| other != member);
        if before.is_none() && member != self.me {
            self.show(&format!("* {} {}", self.called(member), if newcomer { "comes" } else { "is here" }));
        }
    }

    fn hear_view(&mut self, view: &View<'_>) {
        let me = self.me;
        for &member in view.left().iter().filter(|&&member| member != me) {
            self.show(&format!("* {} goes: {}", self.called(member), member.reason()));
            self.newcomers.retain(|&other| other != member);
        }
        if self.introduced {
            self.newcomers.extend(view.joined());
        }
        self.introduced = true;
        self.people.retain(|&member, _| view.contains(member));
        for &member in view.members() {
            self.people.entry(member).or_default();
        }
        if view.includes_me() && !view.joined().is_empty() {
            self.outgoing.push_back(format!("{NAME}{}", self.name));
        }
    }

    fn name_of(&self, member: Member) -> String {
        self.people.get(&member).cloned().flatten().unwrap_or_else(|| member.to_string())
    }

    fn called(&self, member: Member) -> String {
        match self.people.get(&member) {
            Some(Some(name)) => format!("{name} ({member})"),
            _ => member.to_string(),
        }
    }

    fn show(&mut self, line: &str) {
        self.shown.push_str(self.clear);
        // What others send must not command the terminal.
        self.shown.extend(line.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }));
        self.shown.push('\n');
    }

    fn print(&mut self) -> io::Result<()> {
        let mut stdout = io::stdout();
        stdout.write_all(std::mem::take(&mut self.shown).as_bytes())?;
        stdout.flush()
    }
}
