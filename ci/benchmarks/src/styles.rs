//! The cost of each style of receiving, compared with a plain C loop, on one node.
//!
//! A C program (`c/cpgbench.c`) sends. In each round and for each size, the styles receive in turn, so that a change in
//! the speed of the machine affects all of them. A line of the result has the median of messages per second and of CPU
//! time per message, and the ratios to C.

use std::io::{BufRead, BufReader, Write as _};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use cpg::{Event, Group, Limits, OwnedEvent, Session};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use testcluster::Cluster;

use crate::Result;
use crate::clock::cpu;
use crate::field::{compile, well};
use crate::stats::Spread;

/// The name of the mode in which this program receives.
pub const RECEIVER: &str = "receive";

const STYLES: [&str; 8] =
    ["c", "dispatch-all", "run", "recv", "session", "tokio-dispatch", "tokio-recv", "c again"];
const SIZES: [usize; 2] = [64, 8192];

/// Measures with so many messages of the smaller size, and fewer of the larger one. Prints the result.
pub fn run(rounds: usize, messages: usize) -> Result<()> {
    let baseline = compile("cpgbench", &["-lcpg"])?;
    let cluster = Cluster::start(1)?;
    for size in SIZES {
        let count = messages / (1 + size / 4096);
        let mut figures = vec![Vec::new(); STYLES.len()];
        for _ in 0..rounds {
            for (style, figures) in STYLES.iter().zip(&mut figures) {
                figures.push(measure(&cluster, &baseline, style, count, size)?);
            }
        }
        report(size, count, &figures);
    }
    Ok(())
}

/// Measures one receiver: messages per second, and nanoseconds of CPU time per message.
fn measure(cluster: &Cluster, baseline: &Path, style: &str, count: usize, size: usize) -> Result<(f64, f64)> {
    let mut receiver = match style {
        "c" | "c again" => {
            let mut command = cluster.command_on(1, baseline);
            command.args([RECEIVER, "bench", &count.to_string()]);
            command
        }
        style => {
            let mut command = cluster.command_on(1, std::env::current_exe()?);
            command.args([RECEIVER, style, &count.to_string()]);
            command
        }
    };
    let mut receiver = receiver.stdout(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(receiver.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    said.read_line(&mut line)?;
    let mut sender: Child = sender(cluster.command_on(1, baseline), count, size)?;
    BufReader::new(sender.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    sender.stdin.take().ok_or("no input")?.write_all(b"g")?;
    line.clear();
    said.read_line(&mut line)?;
    well("the sender", sender.wait()?)?;
    well(style, receiver.wait()?)?;
    let (wall, cpu) = line.trim().split_once(' ').ok_or_else(|| format!("{style} said {line:?}"))?;
    let count = count as f64;
    Ok((count / wall.parse::<f64>()? * 1e9, cpu.parse::<f64>()? / count))
}

fn sender(mut command: Command, count: usize, size: usize) -> Result<Child> {
    command.args(["send", "bench", &count.to_string(), &size.to_string()]);
    Ok(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

fn report(size: usize, count: usize, figures: &[Vec<(f64, f64)>]) {
    println!("{size} bytes, {count} messages, {} rounds", figures[0].len());
    println!("{:<16} {:>12} {:>8} {:>12} {:>8}", "style", "messages/s", "/ C", "CPU ns/msg", "/ C");
    let median =
        |figures: &mut dyn Iterator<Item = f64>| Spread::of(figures).map_or(f64::NAN, |all| all.median);
    for (style, own) in STYLES.iter().zip(figures) {
        // Round by round, so that each ratio is of neighbours in time.
        let ratio = |part: fn(&(f64, f64)) -> f64| {
            median(&mut own.iter().zip(&figures[0]).map(|(own, c)| part(own) / part(c)))
        };
        let rate = median(&mut own.iter().map(|figure| figure.0));
        let cpu = median(&mut own.iter().map(|figure| figure.1));
        println!(
            "{style:<16} {rate:>12.0} {:>8.3} {cpu:>12.0} {:>8.3}",
            ratio(|figure| figure.0),
            ratio(|figure| figure.1)
        );
    }
    println!();
}

/// Counts messages, and the time from the first to the last.
struct Count {
    wanted: usize,
    delivered: usize,
    began: Option<(Instant, u64)>,
}

impl Count {
    fn hear(&mut self) -> ControlFlow<()> {
        if self.delivered == 0 {
            self.began = Some((Instant::now(), cpu()));
        }
        self.delivered += 1;
        if self.delivered == self.wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        if matches!(event, Event::Deliver(_)) { self.hear() } else { ControlFlow::Continue(()) }
    }

    fn owned(&mut self, event: &OwnedEvent) {
        if matches!(event, OwnedEvent::Deliver(_)) {
            let _ = self.hear();
        }
    }

    fn done(&self) -> bool {
        self.delivered == self.wanted
    }
}

/// Receives in one of the styles, and prints the time and the CPU time that it took, in nanoseconds.
pub fn receive(arguments: &[String]) -> Result<()> {
    let [style, wanted] = arguments else { return Err("a style and a number of messages".into()) };
    let mut count = Count { wanted: wanted.parse()?, delivered: 0, began: None };
    match style.as_str() {
        "dispatch-all" => {
            let mut group = join()?;
            while !count.done() {
                poll(&mut [PollFd::new(group.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
                group.dispatch(Limits::available(), |_, event| {
                    let _ = count.event(&event);
                })?;
            }
        }
        "run" => {
            join()?.run(Limits::forever(), |_, event| count.event(&event))?;
        }
        "recv" => {
            let mut group = join()?;
            while !count.done() {
                count.owned(&group.recv()?);
            }
        }
        "session" => {
            join_session()?.run(Limits::forever(), |_, event| count.event(&event))?;
        }
        style => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(receive_by_task(style, &mut count))?;
        }
    }
    let (began, began_cpu) = count.began.ok_or("nothing came")?;
    println!("{} {}", began.elapsed().as_nanos(), cpu() - began_cpu);
    Ok(())
}

fn join() -> cpg::Result<Group> {
    let group = Group::join("bench")?;
    println!("ready");
    Ok(group)
}

fn join_session() -> cpg::Result<Session> {
    let session = Session::join("bench")?;
    println!("ready");
    Ok(session)
}

async fn receive_by_task(style: &str, count: &mut Count) -> cpg::Result<()> {
    let mut session = cpg::tokio::Session::new(join_session()?)?;
    while !count.done() {
        if style == "tokio-dispatch" {
            let hear = |_: &cpg::tokio::Sender, event: Event<'_>| {
                let _ = count.event(&event);
            };
            session.dispatch(hear).await?;
        } else {
            count.owned(&session.recv().await?);
        }
    }
    Ok(())
}
