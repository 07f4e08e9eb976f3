//! The torture test of the store of `examples/kv`: breaks a cluster all the time, and checks that the history of its clients is
//! linearizable.
#![forbid(unsafe_code)]

mod clients;
mod members;
mod plan;
mod run;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clients::History;
use cpg_checker::linearizable;
use cpg_faults::Result;
use run::Ended;

const HELP: &str = "\
Usage: ci/kv-torture [--nodes N] [--clients N] [--seconds N] [--seed N] [--unconfirmed] [--verbose] [--plan]

Starts a private corosync cluster, a member of the store on each node, and clients of each member. Breaks daemons, network and
members for so long as it goes on, and starts what it has killed; every few seconds it takes the node of the sequencer from the
others, by a pause or a cut. Then mends all, reads all keys, and decides whether what
the clients heard is linearizable, key by key: whether there is an order of all that they did, in which each read has what was
written last, and what was acknowledged is.

  --nodes N       the nodes (3)
  --clients N     the clients of each node (8)
  --seconds N     how long things break (60)
  --seed N        what breaks, and when, is a function of it (the time of day)
  --unconfirmed   members acknowledge without a majority, which is wrong: the status is to be 1
  --plan          what would break, and when
  --verbose       what breaks

The status is 0 if all is well, 1 if something is wrong, 2 and 3 if it could not be found out. Unless all is well, the directory in
the last line has what was done, what clients heard, and what members and daemons said.
";

/// The options of the command line.
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
        Ok(Verdict::Well) => ExitCode::SUCCESS,
        Ok(Verdict::Wrong) => ExitCode::FAILURE,
        Ok(Verdict::Undecided) => ExitCode::from(3),
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
        clients: 8,
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

/// The verdict of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Well,
    Wrong,
    /// The run did not come to its end.
    Undecided,
}

fn run(options: &Options) -> Result<Verdict> {
    if options.plan {
        for (time, act) in plan::make(options.seed, options.nodes, options.length) {
            println!("{:8.3}  {act}", time.as_secs_f64());
        }
        return Ok(Verdict::Well);
    }
    let directory = std::env::temp_dir().join(format!("kv-torture-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    eprintln!(
        "kv-torture: seed {}, {} nodes, {} clients on each, {} seconds; records in {}",
        options.seed,
        options.nodes,
        options.clients,
        options.length.as_secs(),
        directory.display()
    );
    let Ended { history, counts, exits, failure } = run::run(options, &directory)?;
    for (what, count) in &counts {
        println!("{count:>12}  {what}");
    }
    println!("{:>12}  members that ended by themselves and were started again", exits.len());
    exits.iter().take(5).for_each(|exit| println!("              {exit}"));
    let verdict = match (is_linearizable(&history), &failure) {
        (false, _) => Verdict::Wrong,
        (true, None) => Verdict::Well,
        (true, Some(_)) => Verdict::Undecided,
    };
    if let Some(failure) = failure {
        println!("the run did not come to its end: {failure}");
    }
    let text = match verdict {
        Verdict::Well => "all is well",
        Verdict::Wrong => "something is wrong",
        Verdict::Undecided => "nothing wrong was heard, and the rest could not be found out",
    };
    println!("seed {}: {text}", options.seed);
    if verdict == Verdict::Well {
        std::fs::remove_dir_all(&directory)?;
    } else {
        history.write(&directory.join("history"))?;
        println!("what was done and heard, and what members and daemons said: {}", directory.display());
    }
    Ok(verdict)
}

/// Prints a summary of the history. Returns true if the history is linearizable.
fn is_linearizable(history: &History) -> bool {
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

/// Returns the path of the program `kv`, which is beside this program.
fn kv() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("kv");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is not there: build cpg-kv", path.display()).into())
    }
}
