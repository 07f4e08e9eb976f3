//! A benchmark of the cluster that this node is in: the time until a message is delivered, and, if asked for, the
//! throughput.
//!
//!     cpg-bench [--seconds N] [--size BYTES] [--rate N] [--flood]
//!     cpg-bench --listen
//!
//! The program shows the same loop on a group, on a session and on a session that coalesces, and a member that notices
//! lost messages.

mod measure;
mod program;
mod signals;
mod wait;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cpg::{Event, Limits, Member, Session};
use measure::{Kind, Message, Outcome, PATIENCE, Run};
use nix::poll::PollFlags;
use program::End;
use signals::Signals;
use wait::wait;

const HELP: &str = "\
Usage: {name} [--seconds N] [--size BYTES] [--rate N] [--flood] [--listen]

Measures the corosync cluster that this node is in. The program joins the group cpg-bench, which no other program uses,
sends messages at a low rate, prints how long they took to come back, and leaves. A message has come back when it is
delivered to its sender in the order that all nodes agree on. So this is the latency of the whole cluster, also when
no other node has a member. Nothing is changed on the cluster, but other programs share it with these messages.

With --flood the program then sends as many messages as the cluster takes, in three ways: plain, as C programs do;
queued, with a limited number of undelivered messages; and coalesced, with many messages per packet. Use it on a cluster
without other work, or on one whose work may be slower meanwhile.

  --seconds N   the duration of each measurement: 1 to 60 (default: 5)
  --size BYTES  the size of a message: 8 to 1000000 (default: 64)
  --rate N      the messages per second, except with --flood: 1 to 10000 (default: 100)
  --flood       also measure the throughput
  --listen      send nothing; report for each run of another node if all its messages have come, until SIGINT or
                SIGTERM
  --help        print this
  --version     print the version

Example:
  {name} --listen &          # on each other node
  {name} --size 1000 --flood
";

const GROUP: &str = "cpg-bench";

struct Options {
    seconds: u64,
    size: usize,
    rate: u64,
    flood: bool,
    listen: bool,
}

fn main() -> ExitCode {
    program::main("cpg-bench", HELP, |arguments| {
        let options = parse(arguments)?;
        let signals = Signals::new()?;
        if options.listen { listen(&signals) } else { measure(&options, &signals) }
    })
}

fn parse(mut arguments: lexopt::Parser) -> Result<Options, End> {
    use lexopt::prelude::*;
    let mut options = Options { seconds: 5, size: 64, rate: 100, flood: false, listen: false };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("seconds") => options.seconds = number(&mut arguments, "seconds", 1..=60)?,
            Long("size") => {
                let size = number(&mut arguments, "size", 8..=1_000_000)?;
                options.size = usize::try_from(size).expect("the limit is one");
            }
            Long("rate") => options.rate = number(&mut arguments, "rate", 1..=10_000)?,
            Long("flood") => options.flood = true,
            Long("listen") => options.listen = true,
            Long("help") | Short('h') => return Err(End::Help),
            Long("version") | Short('V') => return Err(End::Version),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn number(arguments: &mut lexopt::Parser, option: &str, range: RangeInclusive<u64>) -> Result<u64, End> {
    use lexopt::ValueExt as _;
    let number = arguments.value()?.parse()?;
    if range.contains(&number) {
        return Ok(number);
    }
    Err(End::Usage(format!("--{option}: {} to {}", range.start(), range.end())))
}

fn measure(options: &Options, signals: &Signals) -> Result<(), End> {
    let &Options { seconds, size, rate, .. } = options;
    let time = Duration::from_secs(seconds);
    let group = GROUP.parse()?;
    let run = Run::join(&group, Kind::Plain, size, signals)?;
    let members = run.members()?;
    let mut nodes: Vec<_> = members.iter().map(Member::node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    say(&format!("group      {GROUP}: {} members on {} nodes", members.len(), nodes.len()))?;
    say(&format!("sending    messages of {size} bytes, {rate} a second for {seconds} s"))?;
    let Some(outcome) = run.paced(rate, time)? else { return Ok(()) };
    say(&latencies(&outcome))?;
    if !options.flood {
        return Ok(());
    }
    say(&format!("sending    as many as the cluster takes, 3 times for {seconds} s"))?;
    for (name, kind) in [("plain", Kind::Plain), ("queued", Kind::Queued), ("coalesced", Kind::Coalesced)] {
        let run = Run::join(&group, kind, size, signals)?;
        let Some(outcome) = run.flood(time)? else { return Ok(()) };
        say(&throughput(name, size, &outcome))?;
    }
    Ok(())
}

fn latencies(outcome: &Outcome) -> String {
    let part = |thousandths| milliseconds(outcome.latency(thousandths));
    format!(
        "latency    {} in ms: least {}, half {}, 90 % {}, 99 % {}, 99.9 % {}, all {}{}",
        outcome.messages,
        part(0),
        part(500),
        part(900),
        part(990),
        part(999),
        part(1000),
        lost(outcome.lost)
    )
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn throughput(name: &str, size: usize, outcome: &Outcome) -> String {
    let rate = outcome.messages as f64 / outcome.time.as_secs_f64();
    let bytes = rate * size as f64 / 1e6;
    format!("{name:<9}  {rate:.0} messages/s, {bytes:.2} MB/s{}", lost(outcome.lost))
}

fn lost(messages: u64) -> String {
    if messages == 0 { String::new() } else { format!(", {messages} LOST") }
}

/// The messages that have come from a member that measures.
#[derive(Default)]
struct Heard {
    messages: u64,
    lost: u64,
    next: u64,
    size: usize,
}

fn listen(signals: &Signals) -> Result<(), End> {
    let mut session = Session::options().coalesce().join_until(GROUP, Instant::now() + PATIENCE)?;
    say(&format!("listening  as {}", session.me()))?;
    let stdout = io::stdout();
    let mut heard = BTreeMap::new();
    let mut lines = Vec::new();
    loop {
        session.dispatch(Limits::available(), |_, event| hear(&mut heard, &event, &mut lines))?;
        for line in lines.drain(..) {
            say(&line)?;
        }
        let [signal, reader, _] = wait(
            [
                Some((signals.as_fd(), PollFlags::POLLIN)),
                Some((stdout.as_fd(), PollFlags::empty())),
                Some((session.as_fd(), PollFlags::POLLIN)),
            ],
            None,
        )?;
        if !reader.is_empty() || (!signal.is_empty() && signals.take()?) {
            return Ok(session.leave()?);
        }
    }
}

/// Adds a line when the last message of a member has come, or when a member is gone before that.
fn hear(heard: &mut BTreeMap<Member, Heard>, event: &Event<'_>, lines: &mut Vec<String>) {
    match event {
        Event::Deliver(message) => {
            let Some(Message { number, is_last }) = Message::of(message.payload()) else { return };
            let sender = message.sender();
            let from = heard.entry(sender).or_default();
            // The numbers begin again with each run, and this program may have joined in the middle of one.
            if number == 0 || from.messages == 0 {
                *from = Heard { next: number, size: message.payload().len(), ..Heard::default() };
            }
            from.messages += 1;
            from.lost += number.saturating_sub(from.next);
            from.next = number + 1;
            if is_last {
                let Heard { messages, lost: missing, size, .. } = *from;
                heard.remove(&sender);
                lines.push(format!("{sender}\t{messages} messages of {size} bytes{}", lost(missing)));
            }
        }
        Event::ConfChg(view) => {
            for gone in view.left() {
                if let Some(Heard { messages, .. }) = heard.remove(gone) {
                    lines.push(format!("{gone}\tgone after {messages} messages"));
                }
            }
        }
        _ => (),
    }
}

fn say(line: &str) -> Result<(), End> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}
