//! The groups of the cluster with their members, as corosync-cpgtool shows them; `--watch` keeps showing them.
//!
//!     members [--watch]
//!
//! It shows what a connection can be asked that has joined nothing. Such a connection does not hear of members that come
//! and go, but of nodes (`TotemConfChg`): so the question is asked again once a second, and at once for those.

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

Prints a line for each member of each group in the cluster: the group's name, the member's node and its pid.
In names \\0 is a NUL, \\\\ a backslash.

  --watch    print that again whenever it has changed: on a terminal in the same place, else after an empty line
  --help     print this
  --version  print the version
";

/// How often to ask when nothing says that something has changed.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait before a question that flow control refused is asked again, and how often to do that.
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

/// Who is in which group now.
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
        // What these events tell is in the answer. They would make the handle readable for ever.
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
