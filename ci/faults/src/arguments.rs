//! The command line.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lexopt::prelude::*;

use crate::client::Task;

pub const HELP: &str = "\
Runs processes in closed process groups on a cluster that is broken all the time, and checks that what they sent,
delivered and saw is as the documentation promises.

Usage: ci/torture [OPTIONS]

      --nodes N        the number of nodes: 3 to 5 [3]
      --seconds S      the time during which things break [60]
      --seed X         the seed that determines what breaks and when [chosen and printed]
      --clients N      the number of clients on each node [5]
      --listers N      the number of programs on each node that list groups all the time [1]
      --encrypted      encrypt the traffic between the nodes
      --json FILE      also write the report to FILE
      --keep DIR       always keep records and logs, in DIR; without this, they are kept only after a failure
      --plan           only print what would break, and when
      --check DIR      check records and logs again that an earlier run has kept in DIR
      --show FILE      print the records of one client
      --verbose        print what happens
  -h, --help           print this
  -V, --version        print the version
";

/// The options of a run.
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

/// A task of the command.
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
