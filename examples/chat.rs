//! People on several nodes talk to each other. All of them see the same lines in the same order, and see who comes and
//! goes.
//!
//!     chat [--name NAME] [GROUP]
//!
//! The program keeps something about each member, here a name. When a view has new members, every member sends its
//! name, so that the new members learn all names. When a view says that a member has left, its name is forgotten. A
//! message that begins with `/name ` gives the name of its sender; any other message is a line of the talk, so `cpgcat`
//! can take part.
//!
//! On a terminal, the line that the user is typing stays below the lines of the others.

mod input;
mod keyboard;
mod program;
mod signals;
mod wait;

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cpg::{Event, Group, GroupName, Handle, Limits, Member, View};
use input::Lines;
use keyboard::{CLEAR, Keyboard, printable};
use nix::poll::PollFlags;
use program::End;
use signals::Signals;
use wait::wait;

const HELP: &str = "\
Usage: {name} [--name NAME] [GROUP]

Talks with the other members of GROUP (default: chat). Each line of standard input is sent to all of them.

  /who          show the members
  /quit         leave; the end of the input does the same

  --name NAME   your name in the group (default: $USER, or else guest)
  --help        print this
  --version     print the version
";

/// The pause before a message that flow control refused is sent again.
const RETRY: Duration = Duration::from_millis(5);

/// The longest time that leaving may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The beginning of a message that gives the name of its sender.
const NAME: &str = "/name ";

struct Room {
    me: Member,
    name: String,
    /// The members of the last view, each with its name once that is known.
    people: BTreeMap<Member, Option<String>>,
    /// True after the first view, whose members were there before this program or came with it.
    introduced: bool,
    /// The members that joined after this program and whose names are not known yet.
    newcomers: Vec<Member>,
    outgoing: VecDeque<String>,
    /// The lines to print.
    shown: String,
    /// The row of a terminal that shows what is being typed; `None` without a terminal.
    row: Option<String>,
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
            row: None,
        };
        room.show(&format!("* you are {} ({}) in {}: /who, /quit", room.name, room.me, group.name()));
        let result = room.run(&mut group);
        // Some of this member's lines may not have been delivered yet.
        let left = group.leave_until(Instant::now() + PATIENCE, |_, event| room.hear(&event));
        result.and(left.map_err(End::from)).and(room.print(None).map_err(End::from))
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
        let mut input = Lines::of(Keyboard::new()?);
        let result = self.talk(group, &mut input);
        // Before the keyboard is dropped, which makes the terminal show again what is typed.
        result.and(self.print(None).map_err(End::from))
    }

    fn talk(&mut self, group: &mut Group, input: &mut Lines<Keyboard>) -> Result<(), End> {
        let signals = Signals::new()?;
        let mut open = true;
        loop {
            group.dispatch(Limits::available(), |_, event| self.hear(&event))?;
            // One line at a time, so that no more are kept than flow control lets through.
            while open && self.outgoing.is_empty() {
                let Some(line) = input.line() else { break };
                open = self.obey(&String::from_utf8_lossy(line));
                input.advance();
                self.send(group)?;
            }
            let refused = self.send(group)?;
            self.print(input.input.is_terminal().then(|| input.input.row()))?;
            open &= !input.ended() || input.line().is_some();
            if !open && !refused {
                return Ok(());
            }
            let reading = open && !refused;
            let [stdin, signal, stdout, _] = wait(
                [
                    reading.then_some((input.input.as_fd(), PollFlags::POLLIN)),
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
            if input.input.has_ended() {
                input.read()?;
            }
        }
    }

    /// Does what a line of the user asks for. Returns false for the wish to leave.
    fn obey(&mut self, line: &str) -> bool {
        match line.trim() {
            "" => (),
            "/quit" => return false,
            "/who" => {
                let people: Vec<_> = self.people.keys().map(|&member| self.called(member)).collect();
                self.show(&format!("* here: {}", people.join(", ")));
            }
            text if text.starts_with('/') => self.show("* the commands are /who and /quit"),
            text => self.outgoing.push_back(text.to_owned()),
        }
        true
    }

    /// Sends the outgoing messages. Returns true if flow control refused one, which stays the first to be sent.
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
        self.shown.push_str(&printable(line));
        self.shown.push('\n');
    }

    /// Prints the lines that are to be shown, and below them the row of a terminal that shows what is being typed.
    fn print(&mut self, row: Option<String>) -> io::Result<()> {
        if self.shown.is_empty() && row == self.row {
            return Ok(());
        }
        let clear = if self.row.is_some() { CLEAR } else { "" };
        let text =
            format!("{clear}{}{}", std::mem::take(&mut self.shown), row.as_deref().unwrap_or_default());
        self.row = row;
        let mut stdout = io::stdout();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}
