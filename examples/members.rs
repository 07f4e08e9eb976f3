//! A table of the groups of the cluster with their members, as corosync-cpgtool shows them. `--watch` shows each
//! change.
//!
//!     members [--watch]
//!
//! The program shows the questions that a connection can ask without joining a group. Such a connection gets events for
//! nodes (`TotemConfChg`) and none for members. So the program asks again at once when there is such an event, and else
//! once per second.

mod program;
mod wait;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cpg::{Handle, Limits, Process};
use nix::poll::PollFlags;
use program::End;
use wait::wait;

const HELP: &str = "\
Usage: {name} [--watch]

Prints one line per member of each group in the cluster: the name of the group, the node of the member, and its pid.
In names, \\0 stands for a NUL byte and \\\\ for a backslash.

  --watch    print the table again whenever it has changed: in the same place on a terminal, else followed by an empty
             line
  --help     print this
  --version  print the version
";

/// The time between two questions while there are no events.
const INTERVAL: Duration = Duration::from_secs(1);

/// The pause before a question that flow control refused is asked again, and the longest time for asking again.
const RETRY: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(10);

/// Moves to the top of a terminal and clears it.
const CLEAR: &str = "\x1b[H\x1b[2J";

fn main() -> ExitCode {
    program::main("members", HELP, |mut arguments| {
        use lexopt::prelude::*;
        let mut watching = false;
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("watch") => watching = true,
                Long("help") | Short('h') => return Err(End::Help),
                Long("version") | Short('V') => return Err(End::Version),
                other => return Err(other.unexpected().into()),
            }
        }
        let handle = Handle::connect()?;
        if watching { watch(handle) } else { print(&table(&ask(&handle)?)) }
    })
}

/// Asks for the members of all groups.
fn ask(handle: &Handle) -> cpg::Result<Vec<Process>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match handle.processes() {
            Err(error) if error.is_retryable() && Instant::now() < deadline => std::thread::sleep(RETRY),
            Err(error) => return Err(error),
            Ok(mut processes) => {
                processes.sort_unstable();
                return Ok(processes);
            }
        }
    }
}

fn watch(mut handle: Handle) -> Result<(), End> {
    let stdout = io::stdout();
    let (before, after) = if stdout.is_terminal() { (CLEAR, "") } else { ("", "\n") };
    let mut shown = None;
    loop {
        // The answer below has the news of these events. If they were not dispatched, the handle would stay readable.
        handle.dispatch(Limits::available(), |_, _| {})?;
        let processes = Some(ask(&handle)?);
        if processes != shown {
            print(&format!("{before}{}{after}", table(processes.as_deref().unwrap_or_default())))?;
            shown = processes;
        }
        let [reader, _] = wait(
            [Some((stdout.as_fd(), PollFlags::empty())), Some((handle.as_fd(), PollFlags::POLLIN))],
            Some(INTERVAL),
        )?;
        if !reader.is_empty() {
            return Err(End::OutputClosed);
        }
    }
}

fn table(processes: &[Process]) -> String {
    let names: Vec<String> = processes.iter().map(|process| process.group().to_string()).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max("GROUP".len());
    let mut text = format!("{:width$}  {:>10}  {:>10}\n", "GROUP", "NODE", "PID");
    for (name, process) in names.iter().zip(processes) {
        let member = process.member();
        writeln!(text, "{name:width$}  {:>10}  {:>10}", member.node().get(), member.pid())
            .expect("a String takes everything");
    }
    text
}

fn print(text: &str) -> Result<(), End> {
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}
