//! `chat` for tasks: people on several nodes talk to each other. Users of `chat` can take part.
//!
//!     tokio_chat [--name NAME] [GROUP]
//!
//! The program shows `cpg::tokio`: lines of standard input and events of the group in one `select!`, and a graceful
//! end. SIGINT and SIGTERM cancel the talk wherever it is, also while a line waits for space in the queue. Then the
//! program leaves, and prints the events that come before its leave. As in `chat`, a message `/name NAME` gives the
//! name of its sender.

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

/// The longest wait for the last events.
const PATIENCE: Duration = Duration::from_secs(10);

const HELP: &str = "\
Usage: {name} [--name NAME] [GROUP]

Talks with the other members of GROUP (default: chat). Each line of standard input is sent to all of them. Leaves at the
end of the input, or when SIGINT or SIGTERM comes.

  --name NAME   your name in the group (default: guest)
  --help        print this
  --version     print the version
";

/// The beginning of a message that gives the name of its sender.
const NAME: &str = "/name ";

fn main() -> ExitCode {
    program::main("tokio_chat", HELP, |arguments| {
        let (name, group) = parse(arguments)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(chat(&name, group));
        // Dropping the runtime would wait for the thread that reads standard input, until a line comes.
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
    // The first error is the cause; later ones may follow from it.
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
    // This goes on while a line waits for space in the queue: each delivered message of this member makes space.
    let hear = async {
        let mut unnamed = false;
        loop {
            unnamed |= people.hear(&session.recv().await?)?;
            if unnamed {
                match sender.try_send(format!("{NAME}{name}").as_bytes()) {
                    // The next event is the time to send it again.
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

/// The members that have given their names.
#[derive(Default)]
struct People(BTreeMap<Member, String>);

impl People {
    /// Prints an event. Returns true if a member has joined, which does not know the names yet.
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
    // A message of another member must not command the terminal.
    let line: String =
        line.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    writeln!(io::stdout(), "{line}")
}
