//! The command line.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lexopt::prelude::*;

use crate::client::Task;

pub const HELP: &str = "\
Runs processes in closed process groups on a cluster that breaks all the time, and decides whether what
they sent, delivered and saw was as promised.

Usage: ci/torture [OPTIONS]

      --nodes N        nodes of the cluster, 3 to 5 [3]
      --seconds S      how long things break [60]
      --seed X         what breaks and when is a function of it [chosen, and printed]
      --clients N      clients on each node [5]
      --listers N      programs on each node that list groups all the while [1]
      --encrypted      the nodes encrypt what they tell each other
      --json FILE      writes the report there, too
      --keep DIR       leaves records and logs there, which else are left only when something is wrong
      --plan           prints what would break, and when
      --check DIR      decides once more over what --keep has left
      --show FILE      prints the records of a client
      --verbose        says what happens
  -h, --help           prints this
  -V, --version        prints the version
";

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    pub nodes: u32,
    pub length: Duration,
    pub seed: u64,
    pub clients: usize,
    pub listers: usize,
    pub encrypted: bool,
    pub json: Option<PathBuf>,
    pub keep: Option<PathBuf>,
    pub verbose: bool,
}

impl Default for Options {
    fn default() -> Self {
        let chosen = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            nodes: 3,
            length: Duration::from_secs(60),
            seed: u64::from(chosen.subsec_nanos()) ^ chosen.as_secs(),
            clients: 5,
            listers: 1,
            encrypted: false,
            json: None,
            keep: None,
            verbose: false,
        }
    }
}

/// What the command is to do.
#[derive(Debug)]
pub enum Mode {
    Help,
    Version,
    Run(Options),
    Plan(Options),
    Check(PathBuf, Options),
    Show(PathBuf),
    Client(Task),
}

pub fn parse(mut parser: lexopt::Parser) -> Result<Mode, lexopt::Error> {
    let mut options = Options::default();
    let (mut plan, mut check) = (false, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("nodes") => options.nodes = parser.value()?.parse()?,
            Long("seconds") => options.length = Duration::from_secs(parser.value()?.parse()?),
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("clients") => options.clients = parser.value()?.parse()?,
            Long("listers") => options.listers = parser.value()?.parse()?,
            Long("encrypted") => options.encrypted = true,
            Long("json") => options.json = Some(parser.value()?.into()),
            Long("keep") => options.keep = Some(parser.value()?.into()),
            Long("check") => check = Some(parser.value()?.into()),
            Long("show") => return Ok(Mode::Show(parser.value()?.into())),
            Long("plan") => plan = true,
            Long("verbose") => options.verbose = true,
            Short('h') | Long("help") => return Ok(Mode::Help),
            Short('V') | Long("version") => return Ok(Mode::Version),
            Value(word) if word == "client" => return client(&mut parser),
            other => return Err(other.unexpected()),
        }
    }
    if !(3..=5).contains(&options.nodes) || !(1..=20).contains(&options.clients) || options.listers > 5 {
        return Err("there can be 3 to 5 nodes, and on each 1 to 20 clients and up to 5 listers".into());
    }
    Ok(match check {
        Some(directory) => Mode::Check(directory, options),
        None if plan => Mode::Plan(options),
        None => Mode::Run(options),
    })
}

fn client(parser: &mut lexopt::Parser) -> Result<Mode, lexopt::Error> {
    Ok(Mode::Client(Task {
        client: parser.value()?.parse()?,
        launch: parser.value()?.parse()?,
        style: parser.value()?.parse()?,
        seed: parser.value()?.parse()?,
        file: parser.value()?.into(),
    }))
}
