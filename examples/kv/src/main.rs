//! The command: a member of a store, and its clients.
#![forbid(unsafe_code)]

#[path = "../../program.rs"]
mod program;
#[path = "../../signals.rs"]
mod signals;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cpg::GroupName;
use cpg_kv::bench::{Measured, bench};
use cpg_kv::client::Client;
use cpg_kv::serve::{Failure, Server, Settings};
use cpg_kv::store::{Command, Outcome};
use cpg_kv::wire::{Reply, Request};
use program::End;
use signals::Signals;

const HELP: &str = "\
Usage: {name} serve GROUP --nodes N [--timeout SECONDS]
       {name} get KEY [--local]
       {name} put KEY VALUE
       {name} delete KEY
       {name} cas KEY (OLD | --absent) (NEW | --remove)
       {name} list [PREFIX] [--local]
       {name} status
       {name} begin
       {name} bench [--clients N] [--size BYTES] [--seconds N]

A store of keys and values in memory, the same on all nodes of a cluster. Each node needs corosync, the daemon that
connects the nodes, and one 'serve'. The other commands talk to the 'serve' on their own node.

An acknowledged write survives the loss of any minority of the nodes, and every later read sees it. Reads and writes need
a majority of the nodes: without one, they fail after --timeout.

  serve    serve the store on this node until SIGINT or SIGTERM. GROUP is a name that no other program on the cluster
           uses, the same on all nodes. Waits for corosync if corosync does not run
  get      print the value of KEY
  put      set the value of KEY
  delete   delete KEY
  cas      compare and swap: set KEY to NEW if its value is OLD. With --absent, set KEY if it does not exist. With
           --remove, delete KEY instead
  list     print all keys, or those that begin with PREFIX
  status   print the state of the member on this node, and the members that it sees
  begin    start with the latest state that the connected members have, or with an empty store. The store waits for
           this at its first start, and when a majority of the nodes has lost its state. It is the statement of an
           operator that no member with more state comes back
  bench    measure acknowledged writes: each client writes the next value when the last write is acknowledged

  --nodes N          the number of nodes in the cluster, whether they run or not; the same on all nodes
  --timeout SECONDS  the time after which 'serve' fails a command that has no outcome (default: 5)
  --local            read what the member on this node has, without a majority. A warning on standard error says when
                     this may be old
  --clients N        the number of clients that write at the same time (default: 1)
  --size BYTES       the length of each value (default: 100)
  --seconds N        the duration of the measurement (default: 10)
  --socket PATH      the socket of 'serve' on this node, for all commands (default: $KV_SOCKET, or else kv.socket in
                     $XDG_RUNTIME_DIR, or else /run/kv.socket)
  --help             print this
  --version          print the version

Exit status: 0 done; 1 not done, or KEY does not exist, or KEY has another value than OLD; 2 wrong arguments; 3 unknown:
the command may or may not have been done.
";

fn main() -> ExitCode {
    let mut unknown = false;
    let code = program::main("kv", HELP, |arguments| run(arguments, &mut unknown));
    if unknown { ExitCode::from(3) } else { code }
}

fn run(mut arguments: lexopt::Parser, unknown: &mut bool) -> Result<(), End> {
    use lexopt::prelude::*;
    let (mut words, mut nodes, mut socket, mut timeout) = (Vec::new(), None, None, Duration::from_secs(5));
    let (mut local, mut absent, mut remove, mut confirm) = (false, false, false, true);
    let (mut clients, mut size, mut seconds) = (1, 100, 10);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("help") | Short('h') => return Err(End::Help),
            Long("version") | Short('V') => return Err(End::Version),
            Long("nodes") => nodes = Some(arguments.value()?.parse::<u32>()?),
            Long("timeout") => timeout = Duration::from_secs(arguments.value()?.parse()?),
            Long("socket") => socket = Some(PathBuf::from(arguments.value()?)),
            Long("clients") => clients = arguments.value()?.parse()?,
            Long("size") => size = arguments.value()?.parse()?,
            Long("seconds") => seconds = arguments.value()?.parse()?,
            Long("local") => local = true,
            Long("absent") => absent = true,
            Long("remove") => remove = true,
            // Not in the help: `ci/kv-torture --unconfirmed` shows with it that members must confirm writes.
            Long("unconfirmed") => confirm = false,
            Value(word) => words.push(word),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut words = words.into_iter();
    let what = words.next().unwrap_or_default();
    let mut word = |name: &str| words.next().ok_or_else(|| End::Usage(format!("which {name}?")));
    let bytes = OsString::into_vec;
    let socket = socket.unwrap_or_else(default_socket);
    let request = match what.to_str() {
        Some("serve") => {
            let group = GroupName::new(word("GROUP")?.as_bytes())?;
            let nodes = nodes.filter(|&nodes| nodes > 0).ok_or_else(|| {
                End::Usage("--nodes is missing or 0: give the number of nodes in the cluster".to_owned())
            })?;
            none_left(words)?;
            let failed = |error: Failure| End::Failed(error.to_string());
            let settings = Settings { group, nodes, socket, patience: timeout, confirm };
            // While the program waits for a daemon, a signal ends it: there is no membership to leave.
            let member = Server::join(settings).map_err(failed)?;
            let signals = Signals::new()?;
            let served = member.serve(&signals);
            signals.take()?;
            return served.map_err(failed);
        }
        Some("get") => asked(local, Command::Get(bytes(word("KEY")?))),
        Some("put") => Request::Do(Command::Put(bytes(word("KEY")?), bytes(word("VALUE")?))),
        Some("delete") => Request::Do(Command::Delete(bytes(word("KEY")?))),
        Some("cas") => {
            let key = bytes(word("KEY")?);
            let expected = if absent { None } else { Some(bytes(word("OLD")?)) };
            let value = if remove { None } else { Some(bytes(word("NEW")?)) };
            Request::Do(Command::Cas { key, expected, value })
        }
        Some("list") => asked(local, Command::List(words.next().map_or_else(Vec::new, bytes))),
        Some("status") => Request::Status,
        Some("begin") => Request::Begin,
        Some("bench") => {
            none_left(words)?;
            let end = Instant::now() + Duration::from_secs(seconds);
            let measured = bench(&socket, clients, 1, size, || Instant::now() < end);
            return report(&measured.map_err(|error| no_member(&socket, &error))?);
        }
        _ if what.is_empty() => return Err(End::Usage("which command?".to_owned())),
        _ => return Err(End::Usage(format!("unknown command '{}'", what.to_string_lossy()))),
    };
    none_left(words)?;
    let mut client = Client::connect(&socket).map_err(|error| no_member(&socket, &error))?;
    let cut_off = |error: io::Error| {
        let outcome =
            if matches!(request, Request::Do(_)) { "it may or may not have been done: " } else { "" };
        End::Failed(format!("{outcome}'kv serve' at {} gave no answer: {error}", socket.display()))
    };
    let reply = client
        .ask(&request)
        .inspect_err(|_| *unknown = matches!(request, Request::Do(_)))
        .map_err(cut_off)?;
    *unknown = matches!(reply, Reply::Unknown(_));
    tell(&reply)
}

fn no_member(socket: &Path, error: &io::Error) -> End {
    End::Failed(format!(
        "cannot reach the store at {}: {error}. Does 'kv serve' run on this node with this --socket, and does corosync run?",
        socket.display()
    ))
}

fn report(measured: &Measured) -> Result<(), End> {
    let [median, p99, p999] = measured.percentiles([500, 990, 999]).map(|latency| latency.as_micros());
    writeln!(
        io::stdout(),
        "{:.0} acknowledged writes per second, {} failed; latency: median {median} us, p99 {p99} us, p99.9 {p999} us",
        measured.rate(),
        measured.failed,
    )?;
    Ok(())
}

fn asked(local: bool, command: Command) -> Request {
    if local { Request::Local(command) } else { Request::Do(command) }
}

fn none_left(mut words: impl Iterator<Item = OsString>) -> Result<(), End> {
    match words.next() {
        Some(word) => Err(End::Usage(format!("unexpected argument '{}'", word.to_string_lossy()))),
        None => Ok(()),
    }
}

fn default_socket() -> PathBuf {
    let named = env::var_os("KV_SOCKET").map(PathBuf::from);
    named.unwrap_or_else(|| {
        env::var_os("XDG_RUNTIME_DIR").map_or_else(|| PathBuf::from("/run"), PathBuf::from).join("kv.socket")
    })
}

fn tell(reply: &Reply) -> Result<(), End> {
    let mut output = io::stdout();
    let outcome = match reply {
        Reply::Text(text) => return Ok(output.write_all(text.as_bytes())?),
        Reply::Refused(text) | Reply::Unknown(text) => return Err(End::Failed(text.clone())),
        Reply::Done(outcome) | Reply::Local(true, outcome) => outcome,
        Reply::Local(false, outcome) => {
            writeln!(
                io::stderr(),
                "this may be old: the member on this node is not in step with a majority of the nodes"
            )?;
            outcome
        }
    };
    let line =
        |mut output: io::Stdout, line: &[u8]| output.write_all(line).and_then(|()| output.write_all(b"\n"));
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Value(Some(value)) => Ok(line(output, value)?),
        Outcome::Value(None) => Err(End::Failed("the key does not exist".to_owned())),
        Outcome::Differs(None) => Err(End::Failed("not done: the key does not exist".to_owned())),
        Outcome::Differs(Some(value)) => {
            Err(End::Failed(format!("not done: the value is '{}'", String::from_utf8_lossy(value))))
        }
        Outcome::Keys(keys) => Ok(keys.iter().try_for_each(|key| line(io::stdout(), key))?),
        Outcome::Malformed => {
            Err(End::Failed("'kv serve' does not know this command: is it of another version?".to_owned()))
        }
    }
}
