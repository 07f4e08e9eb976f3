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
Usage: ci/kv-torture [OPTIONS]

Tests if the key-value store of examples/kv loses acknowledged writes or returns wrong values on a cluster that is
broken all the time.

Starts a private corosync cluster on this machine, a member of the store on each node, and clients of each member. Then
it kills and pauses daemons and members and cuts the network, and lets each of them work again after a while. Every few
seconds it separates the node of the sequencer, the member that orders the writes, from the other nodes. In the end it
mends everything, reads all keys, and checks for each key if the answers to the clients are linearizable: if there is
one order of the operations in which every read returns the value written last, every acknowledged write has its place,
and an operation that ended before another one began comes first.

      --nodes N        the number of nodes [3]
      --clients N      the number of clients on each node [8]
      --seconds N      the time during which things break [60]
      --seed X         the seed that determines what breaks and when [the time of day]
      --unconfirmed    test the test: members acknowledge a write before a majority has it, so writes are lost, and the
                       exit status should be 1
      --plan           only print what would break, and when
      --verbose        print what happens
  -h, --help           print this

Exit status: 0 all is well, 1 something is wrong, 2 wrong arguments, 3 it could not be found out. Unless all is well,
the directory in the last line has the faults and their times ('faults'), the calls of the clients ('history'), and the
logs of members and daemons.
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
            eprintln!("kv-torture: {error}\nTry `ci/kv-torture --help`.");
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
    /// The answers are right, but the run did not reach its end.
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
        println!("the run did not reach its end: {failure}");
    }
    let text = match verdict {
        Verdict::Well => "all is well",
        Verdict::Wrong => "something is wrong: the answers to the clients are not linearizable",
        Verdict::Undecided => {
            "it could not be found out: the answers are linearizable, but the run did not reach its end"
        }
    };
    println!("seed {}: {text}", options.seed);
    if verdict == Verdict::Well {
        std::fs::remove_dir_all(&directory)?;
    } else {
        history.write(&directory.join("history"))?;
        println!("records and logs: {}", directory.display());
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
    println!(
        "{done:>12}  operations done, {refused} refused, {unknown} with an unknown outcome, on {} keys",
        keys.len()
    );
    let mut wrong = 0;
    for (key, calls) in keys {
        if let Err(why) = linearizable::check(&calls) {
            wrong += 1;
            if wrong <= 5 {
                println!("key {key}, {} calls: {}", calls.len(), explain(key, &why));
            }
        }
    }
    println!("{wrong:>12}  keys whose answers are not linearizable");
    wrong == 0
}

/// Returns the reason why the calls of a key are not linearizable, with calls as lines of the file `history`.
fn explain(key: u32, why: &linearizable::Wrong) -> String {
    let value = |value: linearizable::Value| value.map_or("no value".to_owned(), |value| value.to_string());
    let mut lines = vec![format!(
        "{} of them have an order, after which the key has {}. The last of these, as in 'history':",
        why.ordered,
        value(why.value)
    )];
    lines.extend(why.last.iter().map(|call| format!("              {}", clients::line(key, call))));
    if let Some(stuck) = &why.stuck {
        lines.push(format!("            no place for\n              {}", clients::line(key, stuck)));
    }
    lines.join("\n")
}

/// Returns the path of the program `kv`, which is beside this program.
fn kv() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("kv");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is missing: build the package cpg-kv first", path.display()).into())
    }
}
