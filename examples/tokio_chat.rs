//! The tasks' form of `chat`: people on several nodes who talk to each other, with those in `chat` too.
//!
//!     tokio_chat [--name NAME] [GROUP]
//!
//! It shows `cpg::tokio`: lines of standard input and events of the group in one `select!`, and a graceful end. SIGINT and
//! SIGTERM cancel the talk wherever it is, also where a line waits for space in the queue; then the program leaves, and hears
//! what comes before its own leave. As in `chat`, a message `/name NAME` tells those who join what its sender is called.

mod program;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cpg::tokio::{Sender, Session};
use cpg::{Error, Event, GroupName, Member, OwnedEvent};
use program::End;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::runtime::Builder;
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long the last events are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

const HELP: &str = "\
Usage: {name} [--name NAME] [GROUP]

Talks with the others in GROUP (chat): each line of standard input is said to all. Leaves with the end of input, SIGINT
or SIGTERM.

  --name NAME   what to be called (guest)
  --help        print this
  --version     print the version
";

/// What a message begins with that says what its sender is called.
const NAME: &str = "/name ";

fn main() -> ExitCode {
    program::main("tokio_chat", HELP, |arguments| {
        let (name, group) = parse(arguments)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(chat(&name, group));
        // Not dropped: that would wait for the thread that reads standard input, until a line comes.
        runtime.shutdown_background();
        result
    })
}

fn parse(mut arguments: lexopt::Parser) -> Result<(String, GroupName), End> {
    use lexopt::prelude::*;
    let (mut name, mut group) = ("guest".to_owned(), None::<OsString>);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("name") => name = arguments.value()?.string()?,
            Long("help") | Short('h') => return Err(End::Help),
            Long("version") | Short('V') => return Err(End::Version),
            Value(value) if group.is_none() => group = Some(value),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok((name, GroupName::new(group.unwrap_or("chat".into()).as_bytes())?))
}

async fn chat(name: &str, group: GroupName) -> Result<(), End> {
    let mut session = Session::join(group).await?;
    let mut signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut people = People::default();
    let result = select! {
        result = talk(&mut session, name, &mut people) => result,
        () = signalled(&mut signals) => Ok(()),
    };
    let mut printed = Ok(());
    let hear = |_: &Sender, event: Event<'_>| {
        if printed.is_ok() {
            printed = people.hear(&event.into_owned()).map(drop);
        }
    };
    let left = select! {
        left = session.leave_until(Instant::now() + PATIENCE, hear) => left.map_err(End::from),
        () = signalled(&mut signals) => Err(End::Failed("a second signal came before the group was left".to_owned())),
    };
    // What went wrong first tells more than what that did to the rest.
    result.and(left).and(printed.map_err(End::from))
}

async fn signalled((interrupt, terminate): &mut (Signal, Signal)) {
    select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
}

async fn talk(session: &mut Session, name: &str, people: &mut People) -> Result<(), End> {
    let sender = session.sender().clone();
    let say = async {
        let mut lines = BufReader::new(tokio::io::stdin()).split(b'\n');
        while let Some(line) = lines.next_segment().await? {
            sender.send(&line).await?;
        }
        Ok(())
    };
    // Goes on while a line waits for space in the queue: own messages that are heard make space.
    let hear = async {
        let mut unnamed = false;
        loop {
            unnamed |= people.hear(&session.recv().await?)?;
            if unnamed {
                match sender.try_send(format!("{NAME}{name}").as_bytes()) {
                    // The next event is a time to try again.
                    Err(Error::QueueFull) => (),
                    sent => {
                        sent?;
                        unnamed = false;
                    }
                }
            }
        }
    };
    select! {
        said = say => said,
        failed = hear => failed,
    }
}

/// What those are called who are there and have said it.
#[derive(Default)]
struct People(BTreeMap<Member, String>);

impl People {
    /// Prints what has happened, and tells whether somebody has come who does not know the others.
    fn hear(&mut self, event: &OwnedEvent) -> io::Result<bool> {
        match event {
            OwnedEvent::Deliver(message) => {
                let text = String::from_utf8_lossy(message.payload());
                match text.strip_prefix(NAME) {
                    Some(name) if self.0.insert(message.sender(), name.to_owned()).is_none() => {
                        print(&format!("* {name} ({}) is here", message.sender()))?;
                    }
                    Some(_) => (),
                    None => print(&format!("{}: {text}", self.name_of(message.sender())))?,
                }
                Ok(false)
            }
            OwnedEvent::ConfChg(view) => {
                for &member in view.left() {
                    let name = self.0.remove(&member).unwrap_or_default();
                    print(&format!("* {name} ({member}) goes: {}", member.reason()))?;
                }
                Ok(!view.joined().is_empty())
            }
            _ => Ok(false),
        }
    }

    fn name_of(&self, member: Member) -> String {
        self.0.get(&member).cloned().unwrap_or_else(|| member.to_string())
    }
}

fn print(line: &str) -> io::Result<()> {
    // What others send must not command the terminal.
    let line: String =
        line.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    writeln!(io::stdout(), "{line}")
}
