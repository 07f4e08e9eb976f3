//! A client: a process in a group that sends, and records everything that it sees.
//!
//! It reads commands on its standard input, one per line, and answers on its standard output.

mod book;
mod child;
mod list;
mod plain;
mod queued;
mod tasks;
mod tickets;
mod watchdog;
mod whole;

use std::fs::File;
use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cpg::{ConnectOptions, Reconnect, SessionOptions};
use cpg_checker::record::{Ending, Record};

use crate::style::{Back, Kind, Style};
use book::{Book, Place};
use cpg_faults::Result;
use cpg_faults::random::Random;

/// The time for which a client handles events before it looks for other work.
const TICK: Duration = Duration::from_millis(10);

/// The longest wait of a join for a daemon that does not run. Then the client joins again.
const JOIN: Duration = Duration::from_secs(2);

/// The longest time that leaving may take.
const LEAVE: Duration = watchdog::LIMIT;

/// The arguments of a client process.
#[derive(Debug)]
pub struct Task {
    pub client: u16,
    pub launch: u16,
    pub style: Style,
    pub seed: u64,
    pub file: std::path::PathBuf,
}

impl Task {
    fn options(&self) -> SessionOptions {
        let options = SessionOptions::new().connect_options(connect());
        let options = if self.style.packed { options.coalesce() } else { options };
        match self.style.back {
            Back::Anew => options,
            Back::Itself => options.reconnect(Reconnect::new()),
            Back::Keeping => options.reconnect(Reconnect::new().keep_queue()),
        }
    }

    fn group(&self) -> &'static str {
        if self.style.packed { "torture-packed" } else { "torture-plain" }
    }

    /// The end of this membership, if the client leaves and joins all the time.
    fn stay(&self, random: &mut Random) -> Option<Instant> {
        self.style.churns.then(|| Instant::now() + Duration::from_millis(random.range(200, 3000)))
    }
}

fn connect() -> ConnectOptions {
    ConnectOptions::new().totem_events(cpg::TotemEvents::InitialAndChanges)
}

/// Runs a client to the end of the process.
pub fn run(task: &Task) -> Result<()> {
    // A thread that panics leaves others waiting; the driver must hear of it.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::exit(101);
    }));
    let book = Arc::new(Book::new(task.client, task.launch, File::create_new(&task.file)?));
    book.write(&Record::Hello {
        client: task.client,
        launch: task.launch,
        group: if task.style.joins() { task.style.packed.into() } else { u8::MAX },
        queued: task.style.is_queued(),
    });
    child::bear_signals()?;
    say("bears signals");
    let for_watchdog = Arc::clone(&book);
    std::thread::spawn(move || say(&format!("hangs {}", for_watchdog.watchdog().run(watchdog::HANG))));
    let for_input = Arc::clone(&book);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            obey(&for_input, &line);
        }
        // The driver has ended.
        std::process::exit(3);
    });
    match task.style.kind {
        Kind::Run | Kind::Recv => plain::run(task, &book),
        Kind::Whole => whole::run(task, &book),
        Kind::Split => queued::run(task, &book)?,
        Kind::Tokio => tasks::run(task, &book)?,
        Kind::List => list::run(task, &book),
    }
    book.wait_for_threads();
    book.write(&Record::Bye);
    book.flush();
    say("bye");
    Ok(())
}

fn obey(book: &Book, line: &str) {
    // A command without a value parses as nothing.
    let (word, value) = line.split_once(' ').unwrap_or((line, "0"));
    let Ok(value) = value.parse() else {
        eprintln!("not understood: {line}");
        return;
    };
    match word {
        "quiet" => book.set_quiet(),
        "last" => book.want_last(value),
        "stop" => book.stop(),
        "stall" => book.stall(value),
        "fork" => book.want_fork(if value == 0 { Place::Between } else { Place::Handler }),
        "look" => say(&book.look()),
        _ => eprintln!("not understood: {line}"),
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The driver may have ended.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The next messages to send, and their times.
struct Traffic {
    random: Random,
    next: Instant,
    burst: u64,
    large: bool,
}

impl Traffic {
    fn new(task: &Task) -> Self {
        let random = Random::new(task.seed ^ (u64::from(task.client) << 20) ^ u64::from(task.launch));
        Self { random, next: Instant::now(), burst: 0, large: task.style.large }
    }

    /// Returns the length of the message that is due now, if one is.
    fn due(&mut self) -> Option<usize> {
        if self.burst == 0 {
            let now = Instant::now();
            if now < self.next {
                return None;
            }
            // About 20 messages per second.
            self.burst =
                if self.random.one_in(8) { self.random.range(5, 60) } else { self.random.range(1, 4) };
            self.next = now + Duration::from_millis(self.random.range(20, 80) * self.burst.min(20));
        }
        self.burst -= 1;
        Some(self.len())
    }

    fn len(&mut self) -> usize {
        let len = if self.large && self.random.one_in(25) {
            self.random.range(1_100_000, 2_500_000)
        } else if self.random.one_in(40) {
            self.random.range(1000, 60_000)
        } else {
            self.random.range(0, 300)
        };
        usize::try_from(len).unwrap_or(0)
    }
}

/// Returns the end of a membership in which dispatching failed with this error.
fn lost(error: &cpg::Error) -> Ending {
    if !error.is_connection_lost() {
        eprintln!("dispatch: {error}");
    }
    Ending::Lost
}

/// Returns the end of a membership after an attempt to leave.
fn ending(left: &cpg::Result<()>) -> Ending {
    match left {
        Ok(()) => Ending::Left,
        Err(error) if error.is_connection_lost() => Ending::Lost,
        Err(error) => {
            eprintln!("leave: {error}");
            Ending::GivenUp
        }
    }
}
