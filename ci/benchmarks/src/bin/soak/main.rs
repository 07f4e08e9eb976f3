//! A test over a long time, with traffic, joins, leaves and faults of all kinds: `ci/soak`. The resources of the process
//! must not grow.
//!
//! A session that reconnects sends from two threads all the time, long messages too, and receivers on both nodes get its
//! messages. Meanwhile, in rounds, threads and tasks join, use and leave other groups, daemon and network [break](faults),
//! and the resources of the process are counted.

mod faults;

use std::fs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cpg::{ConnectOptions, Event, Handle, Limits, OwnedEvent, Receiver, Reconnect, Sender, Session};
use testcluster::Cluster;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A deadline for something that takes a moment, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

const HELP: &str = "\
Usage: ci/soak [--minutes M]

Traffic, joins, leaves, a daemon that is killed and paused, a partition and a full
/dev/shm on a private cluster. Fails if the process's descriptors, threads,
mappings, shared memory or memory grow.

      --minutes M     the duration in minutes (default: 30)
  -h, --help          print this
  -V, --version       print the version
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}");
            if error.is::<lexopt::Error>() {
                eprintln!("Try `ci/soak --help`.");
                return ExitCode::from(2);
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    use lexopt::prelude::*;
    let mut minutes = 30.0;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("minutes") => minutes = arguments.value()?.parse()?,
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Short('V') | Long("version") => {
                println!("soak {}", env!("CARGO_PKG_VERSION"));
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let cluster = Cluster::start(2)?;
    let samples = cluster.on(1, || soak(&cluster, Duration::from_secs_f64(minutes * 60.0)));
    if is_flat(&samples) { Ok(()) } else { Err("it grows".into()) }
}

/// The resources of the process at the end of a round.
#[derive(Debug, Clone, Copy)]
struct Sample {
    after: Duration,
    held: [u64; KINDS.len()],
}

const KINDS: [&str; 5] = ["descriptors", "threads", "mappings", "shared files", "memory in KiB"];

impl Sample {
    fn now(after: Duration) -> Self {
        let entries = |path| fs::read_dir(path).unwrap().count() as u64;
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let held = [
            entries("/proc/self/fd"),
            entries("/proc/self/task"),
            fs::read_to_string("/proc/self/maps").unwrap().lines().count() as u64,
            entries("/dev/shm"),
            memory.trim().trim_end_matches(" kB").parse().unwrap(),
        ];
        Self { after, held }
    }
}

/// Returns true if no resource was, during the whole last quarter of the time, above its maximum in the second quarter.
/// The first quarter does not count, because a process takes some resources once and keeps them.
fn is_flat(samples: &[Sample]) -> bool {
    let Some(end) = samples.last().map(|sample| sample.after) else { return false };
    let quarter = |number: u32| {
        samples
            .iter()
            .filter(move |sample| (end * number / 4..=end * (number + 1) / 4).contains(&sample.after))
    };
    let mut flat = true;
    for (i, kind) in KINDS.iter().enumerate() {
        let before = quarter(1).map(|sample| sample.held[i]).max();
        let after = quarter(3).map(|sample| sample.held[i]).min();
        let (Some(before), Some(after)) = (before, after) else { return false };
        println!("{kind}: at most {before} in the second quarter, at least {after} in the last");
        flat &= after <= before;
    }
    flat
}

/// The counts of the session that reconnects.
#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    delivered: AtomicU64,
    elsewhere: AtomicU64,
    handed_back: AtomicU64,
    rejoined: AtomicU64,
    stop: AtomicBool,
}

fn soak(cluster: &Cluster, time: Duration) -> Vec<Sample> {
    let counts = Counts::default();
    let (sender, mut receiver) = join().split();
    let mut other = cluster.on(2, || join().split().1);
    std::thread::scope(|scope| {
        let counts = &counts;
        let _stop = Stops(&counts.stop);
        scope.spawn(move || hear(&mut receiver, counts, &counts.delivered));
        scope.spawn(move || hear(&mut other, counts, &counts.elsewhere));
        for _ in 0..2 {
            let sender = sender.clone();
            scope.spawn(move || load(&sender, counts));
        }
        rounds(cluster, time, counts)
    })
}

/// Ends the threads when it is dropped, also in a panic.
struct Stops<'s>(&'s AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn join() -> Session {
    let options = Session::options().coalesce().reconnect(Reconnect::new().keep_queue());
    options.join_until("load", deadline()).unwrap()
}

fn hear(receiver: &mut Receiver, counts: &Counts, delivered: &AtomicU64) {
    while !counts.stop.load(Ordering::SeqCst) {
        let soon = Instant::now() + Duration::from_millis(100);
        let heard = receiver.dispatch(Limits::forever().until(soon), |_, event| {
            let count = match event {
                Event::Deliver(_) => delivered,
                Event::Undelivered(_) => &counts.handed_back,
                Event::Rejoined(_) => &counts.rejoined,
                _ => return,
            };
            count.fetch_add(1, Ordering::SeqCst);
        });
        heard.unwrap();
    }
}

fn load(sender: &Sender, counts: &Counts) {
    let message = vec![7; 2_000_000];
    let mut len = 1;
    while !counts.stop.load(Ordering::SeqCst) {
        len = len * 31 % 2999 + 1;
        let soon = Instant::now() + Duration::from_millis(100);
        match sender.send_until(&message[..len], soon) {
            Ok(_) => drop(counts.sent.fetch_add(1, Ordering::SeqCst)),
            Err(error) => assert!(error.is_retryable() || error.is_connection_lost(), "{error}"),
        }
        // In bursts: the traffic must go on for long, and need not be fast.
        if len % 64 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        if len == 64 {
            match sender.try_send(&message) {
                Ok(_) => drop(counts.sent.fetch_add(1, Ordering::SeqCst)),
                Err(error) => assert!(error.is_retryable() || error.is_connection_lost(), "{error}"),
            }
        }
    }
}

fn rounds(cluster: &Cluster, time: Duration, counts: &Counts) -> Vec<Sample> {
    let start = Instant::now();
    let mut samples = Vec::new();
    let mut told = start;
    println!("minutes restarts      sent delivered elsewhere handed-back   fds threads  maps   shm    KiB");
    while start.elapsed() < time {
        (0..5).for_each(|_| by_hand());
        by_a_task();
        faults::fill(cluster);
        faults::pause(cluster);
        faults::partition(cluster);
        restart(cluster, counts, samples.len());
        let sample = Sample::now(start.elapsed());
        samples.push(sample);
        if samples.len() == 1 || told.elapsed() >= Duration::from_secs(60) || start.elapsed() >= time {
            told = Instant::now();
            let count = |count: &AtomicU64| count.load(Ordering::SeqCst);
            let [fds, threads, maps, shared, memory] = sample.held;
            println!(
                "{:7.1} {:8} {:9} {:9} {:9} {:11} {fds:5} {threads:7} {maps:5} {shared:5} {memory:6}",
                start.elapsed().as_secs_f64() / 60.0,
                samples.len(),
                count(&counts.sent),
                count(&counts.delivered),
                count(&counts.elsewhere),
                count(&counts.handed_back),
            );
        }
    }
    samples
}

/// Runs a membership from join to leave, with everything that a group can do.
fn by_hand() {
    let mut group = ConnectOptions::new().join_until("by hand", deadline()).unwrap();
    let handle = Handle::connect().unwrap();
    assert!(handle.groups().unwrap().contains(group.name()));
    assert_eq!(group.members().unwrap(), [group.me()]);
    for len in [0, 10, 100_000, 3_000_000] {
        group.send_until(&vec![1; len], deadline()).unwrap();
    }
    // The daemon refuses this while the ring re-forms.
    match group.zero_copy(10_000).and_then(|buffer| buffer.send()) {
        Err(error) if error.is_retryable() => {}
        sent => sent.unwrap(),
    }
    group.send_until(b"end", deadline()).unwrap();
    while !matches!(group.recv().unwrap(), OwnedEvent::Deliver(message) if message.payload() == b"end") {}
    group.leave_until(deadline(), |_, _| ()).unwrap();
    handle.close().unwrap();
}

fn by_a_task() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = cpg::tokio::Session::options();
        let mut session = options.join_until("by a task", deadline()).await.unwrap();
        let ticket = session.ticket(session.send(b"end").unwrap());
        while !matches!(session.recv().await.unwrap(), OwnedEvent::Deliver(_)) {}
        ticket.await.unwrap();
        session.leave_until(deadline(), |_, _| ()).await.unwrap();
    });
}

/// Restarts the daemon. The session must rejoin.
fn restart(cluster: &Cluster, counts: &Counts, round: usize) {
    let before = counts.rejoined.load(Ordering::SeqCst);
    faults::kill(cluster, round);
    cluster.restart(1).unwrap();
    let deadline = deadline();
    while counts.rejoined.load(Ordering::SeqCst) == before {
        assert!(Instant::now() < deadline, "the session does not rejoin");
        std::thread::sleep(Duration::from_millis(5));
    }
}
