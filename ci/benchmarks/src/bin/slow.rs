//! The memory that a daemon uses for a member that does not dispatch (fact B14): `ci/bench --slow`.
//!
//! On node 1 a process joins and handles no events; on node 2 another one sends. The memory of the daemon on node 1 is
//! measured as the kernel counts it. Then the member goes on, or is killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cpg::{Event, Group, Limits, OwnedEvent, Session};
use testcluster::Cluster;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const MEGABYTE: usize = 1_000_000;
/// The lengths of messages, and the megabytes that are sent of each.
const RUNS: [(usize, usize); 4] = [(100, 10), (1000, 50), (10_000, 200), (1_000_000, 200)];

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("member") => return member(),
        Some("-V" | "--version") => {
            println!("slow {}", env!("CARGO_PKG_VERSION"));
            return Ok(());
        }
        Some("-h" | "--help") => {
            println!(
                "Measures the memory that a daemon uses for a member that does not dispatch. It has no options: `ci/bench --slow`"
            );
            return Ok(());
        }
        Some(other) => {
            return Err(format!("there is no option {other}: the options are --help and --version").into());
        }
    }
    println!("message    sent   daemon grew by    of the sent    member goes on        then   killed: then");
    for (len, megabytes) in RUNS {
        let grown = Run::new(len, megabytes)?.measure()?;
        println!("{grown}");
    }
    Ok(())
}

/// Joins, waits for a line, and handles all events up to the last message.
fn member() -> Result<()> {
    let mut group = Group::join("slow")?;
    println!("joined");
    std::io::stdin().lock().read_line(&mut String::new())?;
    let mut messages = 0_u64;
    group.run(Limits::forever(), |_, event| match event {
        Event::Deliver(message) if message.payload() == b"end" => std::ops::ControlFlow::Break(()),
        Event::Deliver(_) => {
            messages += 1;
            std::ops::ControlFlow::Continue(())
        }
        _ => std::ops::ControlFlow::Continue(()),
    })?;
    println!("{messages}");
    // The process stays a member until it is told to end.
    std::io::stdin().lock().read_to_end(&mut Vec::new())?;
    Ok(())
}

struct Run {
    cluster: Cluster,
    len: usize,
    count: usize,
}

impl Run {
    fn new(len: usize, megabytes: usize) -> Result<Self> {
        Ok(Self { cluster: Cluster::start(2)?, len, count: megabytes * MEGABYTE / len })
    }

    fn start(&self) -> Result<(Child, BufReader<std::process::ChildStdout>)> {
        let mut command = self.cluster.command_on(1, std::env::current_exe()?);
        let mut child = command.arg("member").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut out = BufReader::new(child.stdout.take().ok_or("no output")?);
        read(&mut out)?;
        Ok((child, out))
    }

    /// Sends all messages, and waits until they have been delivered on node 2.
    fn send(&self) -> Result<()> {
        let send = || -> Result<()> {
            let (sender, mut receiver) = Session::join("slow")?.split();
            let message = vec![0; self.len];
            std::thread::scope(|scope| -> Result<()> {
                let sending = scope.spawn(|| -> cpg::Result<()> {
                    for _ in 0..self.count {
                        sender.send(&message)?;
                    }
                    sender.send(b"end").map(drop)
                });
                while !matches!(receiver.recv()?, OwnedEvent::Deliver(last) if last.payload() == b"end") {}
                Ok(sending.join().map_err(|_| "the sender has panicked")??)
            })?;
            receiver.leave()?;
            Ok(())
        };
        self.cluster.on(2, || send().map_err(|error| error.to_string()))?;
        Ok(())
    }

    /// Waits until the memory of the daemon on node 1 no longer changes, and returns it in megabytes.
    fn memory(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.cluster.daemon_pid(1));
        let (mut last, mut since) = (0, Instant::now());
        while since.elapsed() < Duration::from_millis(500) {
            let status = std::fs::read_to_string(&path)?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
            let now: u64 = line.trim().trim_end_matches(" kB").parse()?;
            if now != last {
                (last, since) = (now, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(last as f64 * 1024.0 / MEGABYTE as f64)
    }

    fn measure(&self) -> Result<String> {
        let (mut member, mut out) = self.start()?;
        let before = self.memory()?;
        self.send()?;
        let grown = self.memory()? - before;

        let start = Instant::now();
        writeln!(member.stdin.as_mut().ok_or("no input")?)?;
        let messages: usize = read(&mut out)?.parse()?;
        assert_eq!(messages, self.count, "messages are lost");
        let took = start.elapsed().as_secs_f64();
        let after = self.memory()? - before;
        drop(member.stdin.take());
        let status = member.wait()?;
        if !status.success() {
            return Err(format!("the member: {status}").into());
        }

        let (mut member, _out) = self.start()?;
        self.send()?;
        member.kill()?;
        member.wait()?;
        let killed = self.memory()? - before;
        let sent = self.count * self.len / MEGABYTE;
        Ok(format!(
            "{:7} {sent:4} MB {grown:13.1} MB {:13.2} {took:13.1} s {after:8.1} MB {killed:11.1} MB",
            self.len,
            grown / sent as f64,
        ))
    }
}

fn read(out: &mut impl std::io::BufRead) -> Result<String> {
    let mut line = String::new();
    out.read_line(&mut line)?;
    if line.is_empty() { Err("the member has ended".into()) } else { Ok(line.trim_end().to_owned()) }
}
