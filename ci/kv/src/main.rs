//! The store of `examples/kv` on a cluster that breaks all the time, and whether what its clients heard is linearizable.
#![forbid(unsafe_code)]

mod clients;
mod members;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use clients::{Clients, History};
use cpg_checker::linearizable;
use cpg_faults::plan::{self, Fault};
use cpg_faults::{Result, cluster};
use members::Members;
use testcluster::{Cluster, State};

const HELP: &str = "\
Usage: ci/kv-torture [--nodes N] [--clients N] [--seconds N] [--seed N] [--unconfirmed] [--verbose] [--plan]

Starts a private corosync cluster, a member of the store on each node, and clients of each member. Breaks daemons, network and
members for so long as it goes on, and starts what it has killed. Then mends all, reads all keys, and decides whether what
the clients heard is linearizable, key by key: whether there is an order of all that they did, in which each read has what was
written last, and what was acknowledged is.

  --nodes N       the nodes (3)
  --clients N     the clients of each node (4)
  --seconds N     how long things break (60)
  --seed N        what breaks, and when, is a function of it (the time of day)
  --unconfirmed   members acknowledge without a majority, which is wrong: the status is to be 1
  --plan          what would break, and when
  --verbose       what breaks

The status is 0 if all is well, 1 if something is wrong, 2 and 3 if it could not be found out.
";

/// How long a node may be silent before the others go on without it.
const TOKEN: Duration = Duration::from_millis(500);

/// How long there may be no majority.
const WITHOUT: Duration = Duration::from_secs(3);

/// How long all may take to come together when all is mended.
const MENDED: Duration = Duration::from_secs(60);

/// What is asked for.
struct Options {
    nodes: u32,
    clients: usize,
    length: Duration,
    seed: u64,
    confirm: bool,
    verbose: bool,
    plan: bool,
}

fn main() -> ExitCode {
    let options = match arguments(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("kv-torture: {error}\nTry 'ci/kv-torture --help'.");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kv-torture: {error}");
            ExitCode::from(3)
        }
    }
}

fn arguments(mut arguments: lexopt::Parser) -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let mut options = Options {
        nodes: 3,
        clients: 4,
        length: Duration::from_secs(60),
        seed: now.as_secs(),
        confirm: true,
        verbose: false,
        plan: false,
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("nodes") => options.nodes = arguments.value()?.parse()?,
            Long("clients") => options.clients = arguments.value()?.parse()?,
            Long("seconds") => options.length = Duration::from_secs(arguments.value()?.parse()?),
            Long("seed") => options.seed = arguments.value()?.parse()?,
            Long("unconfirmed") => options.confirm = false,
            Long("verbose") => options.verbose = true,
            Long("plan") => options.plan = true,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}

/// Runs it, and says whether all was well.
fn run(options: &Options) -> Result<bool> {
    let members = usize::try_from(options.nodes)?;
    let plan = plan::make(options.seed, options.nodes, members, options.length);
    if options.plan {
        for (time, fault) in plan {
            println!("{:8.3}  {fault}", time.as_secs_f64());
        }
        return Ok(true);
    }
    let directory = std::env::temp_dir().join(format!("kv-torture-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    eprintln!(
        "kv-torture: seed {}, {} nodes, {} seconds",
        options.seed,
        options.nodes,
        options.length.as_secs()
    );
    let cluster = Cluster::builder().nodes(options.nodes).token(TOKEN).start()?;
    cluster.wait_after_changes(false);
    let mut members = Members::start(&cluster, &directory, options.nodes, options.confirm)?;
    members.begin(Instant::now() + MENDED)?;
    let clients = Clients::start(&members.sockets(), options.clients, options.seed);
    let faults = break_things(&cluster, &mut members, &plan, options)?;
    mend(&cluster, &mut members, options.nodes)?;
    cluster.settle()?;
    let whole = members.wait_in_step(Instant::now() + MENDED)?;
    clients.stop.store(true, Ordering::Relaxed);
    let history = clients.end(&members.sockets(), whole)?;
    for (fault, count) in &faults {
        println!("{count:>12}  {fault}");
    }
    let good = tell(&history);
    if !whole {
        println!("state was lost, and nobody was told anything else");
    }
    drop(members);
    println!("seed {}: {}", options.seed, if good { "all is well" } else { "something is wrong" });
    if good {
        std::fs::remove_dir_all(&directory)?;
    } else {
        println!("what the members said: {}", directory.display());
    }
    Ok(good)
}

fn break_things(
    cluster: &Cluster,
    members: &mut Members<'_>,
    plan: &[plan::Step],
    options: &Options,
) -> Result<BTreeMap<&'static str, u64>> {
    let start = Instant::now();
    let mut faults = BTreeMap::new();
    let mut groups: Vec<Vec<u32>> = Vec::new();
    let mut last_majority = Instant::now();
    for (time, fault) in plan {
        thread::sleep((start + *time).saturating_duration_since(Instant::now()));
        let done = cluster::apply(cluster, fault)? || members.apply(fault)?;
        if done {
            *faults.entry(fault.name()).or_default() += 1;
        }
        if options.verbose {
            let what = if done { "" } else { " (not done)" };
            eprintln!("{:8.3}  {fault}{what}", start.elapsed().as_secs_f64());
        }
        members.look()?;
        match fault {
            Fault::Partition(parts) => groups.clone_from(parts),
            Fault::Heal => groups.clear(),
            _ => {}
        }
        // Without a majority nobody writes, and there is little to find out.
        if is_majority(cluster, members, &groups, options.nodes) {
            last_majority = Instant::now();
        } else if last_majority.elapsed() > WITHOUT {
            mend(cluster, members, options.nodes)?;
            groups.clear();
            *faults.entry("all is mended").or_default() += 1;
        }
    }
    thread::sleep((start + options.length).saturating_duration_since(Instant::now()));
    Ok(faults)
}

/// True if a part of the cluster has a majority of nodes that run, with members that run.
fn is_majority(cluster: &Cluster, members: &Members<'_>, groups: &[Vec<u32>], nodes: u32) -> bool {
    let runs = |node: &u32| cluster.state(*node) == State::Running && members.runs(*node);
    let all: Vec<u32> = (1..=nodes).collect();
    let groups = if groups.is_empty() { vec![&all] } else { groups.iter().collect() };
    groups.iter().any(|group| 2 * group.iter().filter(|node| runs(node)).count() > all.len())
}

fn mend(cluster: &Cluster, members: &mut Members<'_>, nodes: u32) -> Result<()> {
    cluster.heal()?;
    for node in 1..=nodes {
        cluster::apply(cluster, &Fault::FreeShm(node))?;
        match cluster.state(node) {
            State::Paused => cluster.resume(node)?,
            State::Dead => cluster.restart(node)?,
            State::Running => {}
        }
    }
    members.mend()
}

/// Prints what was heard, and says whether all of it fits.
fn tell(history: &History) -> bool {
    let History { calls, done, refused, unknown } = history;
    let mut keys: BTreeMap<u32, Vec<linearizable::Call>> = BTreeMap::new();
    for (key, call) in calls {
        keys.entry(*key).or_default().push(*call);
    }
    println!("{done:>12}  operations done, {refused} refused, {unknown} unknown, on {} keys", keys.len());
    let mut wrong = 0;
    for (key, calls) in keys {
        if let Err(why) = linearizable::check(&calls) {
            wrong += 1;
            if wrong <= 5 {
                println!("key {key}, {} calls: {why:#?}", calls.len());
            }
        }
    }
    println!("{wrong:>12}  keys whose history is not linearizable");
    wrong == 0
}

/// Where the member's program is: beside this one.
fn kv() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("kv");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is not there: build cpg-kv", path.display()).into())
    }
}
