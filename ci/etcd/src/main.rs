//! The store of `examples/kv` beside etcd, on one machine in one run: `ci/kv-bench`.

mod etcd;
mod joiner;
mod store;

use std::num::NonZero;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use cpg_kv::bench::Measured;
use testcluster::Cluster;

use etcd::Etcd;
use store::Store;

const HELP: &str = "\
Usage: ci/kv-bench [OPTIONS]

Measures the acknowledged writes of the key-value store of examples/kv and of etcd, with one client and with many, on
private clusters of 1 and of 3 nodes on this machine. Then measures how long a new member of the store takes to receive
the state while clients write.

Both stores get the same conditions. Each node runs a member of the store, with corosync, and an etcd with its data in
memory (on tmpfs, so fsync costs nothing). Clients are spread evenly over the nodes, and each talks to the member on its
own node; a single client talks to the leader. A client has one write under way: it writes a value, waits for the
answer, and writes the next. All clients write to the same 10000 keys. Several clients share a connection, as etcd
recommends: a unix socket of the store, or a gRPC connection of etcd. The stores are measured in turn, each after a
second of writes that are not counted.

      --clients N      the number of clients when there are many [1000]
      --sharing N      the number of clients that share a connection [10]
      --size BYTES     the length of each value [100]
      --seconds N      the duration of each measurement [5]
      --rounds N       the measurements of each case, whose writes are counted together [3]
      --joiner MB      the megabytes that the new member receives; 0 for no new member [100]
  -h, --help           print this
";

/// An error that ends the program.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The time limit for something to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time for which clients write before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// The options of the command line.
struct Options {
    clients: usize,
    sharing: usize,
    size: usize,
    length: Duration,
    rounds: u32,
    joiner: usize,
}

/// Clients on one node that write for as long as the closure returns true.
type Load<'a> = Box<dyn FnOnce(&(dyn Fn() -> bool + Sync)) -> Result<Measured> + Send + 'a>;

fn main() -> ExitCode {
    match arguments().and_then(|options| options.map_or(Ok(()), |options| run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kv-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let mut options = Options {
        clients: 1000,
        sharing: 10,
        size: 100,
        length: Duration::from_secs(5),
        rounds: 3,
        joiner: 100,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            // A member of the store, which this program starts on a node.
            Value(word) if word == "member" => {
                store::serve(arguments.raw_args()?)?;
                return Ok(None);
            }
            Long("clients") => options.clients = arguments.value()?.parse()?,
            Long("sharing") => options.sharing = arguments.value()?.parse::<NonZero<usize>>()?.get(),
            Long("size") => options.size = arguments.value()?.parse()?,
            Long("seconds") => options.length = Duration::from_secs(arguments.value()?.parse()?),
            Long("rounds") => options.rounds = arguments.value()?.parse()?,
            Long("joiner") => options.joiner = arguments.value()?.parse()?,
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(None);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}

fn run(options: &Options) -> Result<()> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{} processors, load average before the run: {}",
        thread::available_parallelism()?,
        load.split(' ').next().unwrap_or("unknown")
    );
    println!(
        "{:>5} {:>7}  {:5} {:>10} {:>9} {:>9} {:>9}  failed",
        "nodes", "clients", "store", "writes/s", "p50 us", "p99 us", "p99.9 us"
    );
    for nodes in [1, 3] {
        let cluster = Cluster::builder().nodes(nodes).start()?;
        let store = Store::start(&cluster, nodes)?;
        let etcd = Etcd::start(&cluster)?;
        for clients in [1, options.clients] {
            let (mut of_store, mut of_etcd) = (Measured::default(), Measured::default());
            for _ in 0..options.rounds {
                add(
                    &mut of_store,
                    measure(options.length, || store.loads(clients, options.sharing, options.size))?,
                );
                add(
                    &mut of_etcd,
                    measure(options.length, || etcd.loads(clients, options.sharing, options.size))?,
                );
            }
            for (name, measured) in [("kv", &of_store), ("etcd", &of_etcd)] {
                let [median, p99, p999] =
                    measured.percentiles([500, 990, 999]).map(|latency| latency.as_micros());
                println!(
                    "{nodes:>5} {clients:>7}  {name:5} {:>10.0} {median:>9} {p99:>9} {p999:>9}  {}",
                    measured.rate(),
                    measured.failed
                );
            }
            println!(
                "{:13}  kv beside etcd: {:.1} times the writes per second, {:.2} times the median latency",
                "",
                of_store.rate() / of_etcd.rate(),
                of_store.percentiles([500])[0].as_secs_f64() / of_etcd.percentiles([500])[0].as_secs_f64()
            );
        }
    }
    if options.joiner > 0 {
        joiner::measure(options.joiner, options.clients, options.sharing, options.size)
    } else {
        Ok(())
    }
}

/// Runs clients for this time, after a warm-up.
fn measure<'a>(length: Duration, loads: impl Fn() -> Vec<Load<'a>>) -> Result<Measured> {
    for_so_long(WARM_UP, loads())?;
    for_so_long(length, loads())
}

fn for_so_long(length: Duration, loads: Vec<Load<'_>>) -> Result<Measured> {
    let end = Instant::now() + length;
    together(loads, &|| Instant::now() < end)
}

/// Runs the clients of all nodes at the same time.
fn together(loads: Vec<Load<'_>>, goes_on: &(dyn Fn() -> bool + Sync)) -> Result<Measured> {
    let start = Instant::now();
    let mut all = Measured::default();
    thread::scope(|scope| {
        let threads: Vec<_> = loads.into_iter().map(|load| scope.spawn(move || load(goes_on))).collect();
        for thread in threads {
            let of_node = thread.join().map_err(|_| "the clients of a node panicked")??;
            all.latencies.extend(of_node.latencies);
            all.failed += of_node.failed;
        }
        Result::Ok(())
    })?;
    all.time = start.elapsed();
    Ok(all)
}

/// Adds the measurement of a round to that of the rounds before.
fn add(all: &mut Measured, round: Measured) {
    all.latencies.extend(round.latencies);
    all.failed += round.failed;
    all.time += round.time;
}

/// Divides clients among nodes, the leader's first.
fn divide(clients: usize, nodes: u32, leader: u32) -> Vec<(u32, usize)> {
    let others = (1..=nodes).filter(|&node| node != leader);
    let count = nodes as usize;
    let share = |index: usize| clients / count + usize::from(index < clients % count);
    let shares = std::iter::once(leader).chain(others).enumerate().map(|(index, node)| (node, share(index)));
    shares.filter(|(_, clients)| *clients > 0).collect()
}

/// Calls `probe` until it returns a value.
fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match probe() {
            Some(value) => return Ok(value),
            None if Instant::now() > deadline => return Err(format!("timed out waiting for {what}").into()),
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
}
