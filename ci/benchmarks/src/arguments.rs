//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::cost::{CASE, DECODER};
use crate::field::WORKER;
use crate::measure::Plan;
use crate::styles::RECEIVER;
use crate::variant::Variant;

pub const HELP: &str = "\
What sending and receiving costs, beside C, on clusters on this machine.

Usage: ci/bench [MODE] [OPTIONS]

Modes:
  (none)      throughput, the sender's CPU time and latencies of all variants,
              on 1 and 3 nodes, with messages of 16 bytes to 1 MB
  --quick     the ratios to watch for regressions, in less than a minute
  --cost      instructions and allocations of a message, and the rate at which
              packets are decoded, on a stub of libcpg; needs valgrind
  --plain     sending and dispatching without a queue beside C, closely: where
              the sender has a CPU to itself, and sets the pace; first of all
              beside the twin, a C program that does what the crate has to do:
              dispatches one event at a time, its state behind the context
  --styles    the cost of each style of receiving, compared with a plain C loop
  --tune      a sweep of window and packet sizes, for choosing the defaults
  --slow      the daemon's memory while a member does not dispatch

The first takes half an hour, --tune two thirds of that, --plain four minutes.

Options, where the mode has a use for them:
  --json FILE         also write the figures to FILE, as JSON
  --html FILE         also write a page with tables and charts
  --svg FILE          also write the chart of throughput
  --nodes LIST        the numbers of nodes (default: 1,3)
  --sizes LIST        the sizes of messages in bytes, at least 16
  --latencies LIST    the sizes of messages whose latency is measured; under
                      load only for those that are also in --sizes
  --variants LIST     the variants to measure; all are compared with c
  --rounds N          the number of rounds (default: 5)
  --seconds S         the time of one measurement (default: 1)
  --messages N        the number of messages of --styles in each measurement
                      (default: 200000)
  -h, --help          print this
  -V, --version       print the version

Lists have commas between their words. What the variants are is printed with
the figures.
";

/// A task of the command.
#[derive(Debug)]
pub enum Mode {
    Help,
    Version,
    Full,
    Quick,
    Cost,
    Plain,
    Styles,
    Tune,
    /// The command starts itself again as one of these.
    Worker(Vec<String>),
    Receiver(Vec<String>),
    CostOf(Vec<String>),
    Decoder,
}

/// A mode with all its options.
#[derive(Debug)]
pub struct Arguments {
    pub mode: Mode,
    pub plan: Plan,
    pub messages: usize,
    pub json: Option<PathBuf>,
    pub html: Option<PathBuf>,
    pub svg: Option<PathBuf>,
}

pub fn parse(mut parser: lexopt::Parser) -> Result<Arguments, lexopt::Error> {
    let plan = Plan {
        nodes: vec![1, 3],
        variants: Variant::reported().collect(),
        sizes: vec![16, 64, 256, 1024, 8192, 65_536, 1_000_000],
        latency_sizes: vec![64, 8192],
        rounds: 5,
        duration: Duration::from_secs(1),
    };
    let mut all = Arguments { mode: Mode::Full, plan, messages: 200_000, json: None, html: None, svg: None };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("quick") => all.mode = Mode::Quick,
            Long("cost") => all.mode = Mode::Cost,
            Long("plain") => all.mode = Mode::Plain,
            Long("styles") => all.mode = Mode::Styles,
            Long("tune") => all.mode = Mode::Tune,
            Short('h') | Long("help") => all.mode = Mode::Help,
            Short('V') | Long("version") => all.mode = Mode::Version,
            Long("json") => all.json = Some(parser.value()?.into()),
            Long("html") => all.html = Some(parser.value()?.into()),
            Long("svg") => all.svg = Some(parser.value()?.into()),
            Long("nodes") => all.plan.nodes = list(&parser.value()?)?,
            Long("sizes") => all.plan.sizes = list(&parser.value()?)?,
            Long("latencies") => all.plan.latency_sizes = list(&parser.value()?)?,
            Long("variants") => all.plan.variants = list(&parser.value()?)?,
            Long("rounds") => all.plan.rounds = parser.value()?.parse::<usize>()?.max(1),
            Long("messages") => all.messages = parser.value()?.parse::<usize>()?.max(2),
            Long("seconds") => all.plan.duration = parser.value()?.parse_with(seconds)?,
            Value(word) => {
                let words = parser.raw_args()?.map(ValueExt::string).collect::<Result<_, _>>()?;
                all.mode = match word.string()?.as_str() {
                    WORKER => Mode::Worker(words),
                    RECEIVER => Mode::Receiver(words),
                    CASE => Mode::CostOf(words),
                    DECODER => Mode::Decoder,
                    other => return Err(format!("there is no mode {other}").into()),
                };
            }
            other => return Err(other.unexpected()),
        }
    }
    let sizes = all.plan.sizes.iter().chain(&all.plan.latency_sizes);
    if sizes.copied().min().is_some_and(|size| size < 16) {
        return Err("a message has at least 16 bytes".into());
    }
    Ok(all)
}

fn list<T: std::str::FromStr>(words: &OsString) -> Result<Vec<T>, lexopt::Error>
where
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let one = |word: &str| word.parse::<T>().map_err(|error| lexopt::Error::Custom(error.into()));
    let words = words.to_str().ok_or("not UTF-8")?;
    words.split(',').filter(|word| !word.is_empty()).map(one).collect()
}

fn seconds(text: &str) -> Result<Duration, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Duration::try_from_secs_f64(text.parse()?)?)
}
