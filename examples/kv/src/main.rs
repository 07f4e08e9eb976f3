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
Usage: {name} serve GROUP --nodes N [--timeout SECONDS] [--socket PATH]
       {name} get KEY [--local]
       {name} put KEY VALUE
       {name} delete KEY
       {name} cas KEY (OLD | --absent) (NEW | --remove)
       {name} list [PREFIX] [--local]
       {name} status
       {name} begin
       {name} bench [--clients N] [--size BYTES] [--seconds N]

A store of keys and values that is the same on all nodes of a cluster, in memory. 'serve' runs on each of the N nodes of
the cluster, as a member of GROUP, until SIGINT or SIGTERM, and waits for corosync; the rest talks to the member on this
node.

What a write has acknowledged survives any minority of the nodes. Without a majority writes and reads are refused after
5 seconds, or what --timeout says; --local reads what this member has, and says on standard error if that may be old.
'bench' has clients (1) write values (of 100 bytes), each when the one before is acknowledged.

At the first start, and when a majority of the nodes has lost its state, the store waits for 'begin': the
statement of an operator that no member with more state comes back. It begins with the latest state that is there, or
with none.

  --socket PATH   where clients find their member: $KV_SOCKET, or kv.socket in $XDG_RUNTIME_DIR or /run

The status is 0 if it was done, 1 if it was not, or the key is not there or has another value, 2 if it was called wrongly, and 3
if nobody knows whether it was done.
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
            // For the proof that the confirmation is needed.
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
            let nodes = nodes
                .filter(|&nodes| nodes > 0)
                .ok_or_else(|| End::Usage("how many --nodes are there?".to_owned()))?;
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
            let measured = bench(&socket, clients, size, || Instant::now() < end);
            return report(&measured.map_err(|error| no_member(&socket, &error))?);
        }
        _ if what.is_empty() => return Err(End::Usage("what is to be done?".to_owned())),
        _ => return Err(End::Usage(format!("'{}' is nothing that it does", what.to_string_lossy()))),
    };
    none_left(words)?;
    let called = |error: io::Error| no_member(&socket, &error);
    let mut client = Client::connect(&socket).map_err(called)?;
    let reply =
        client.ask(&request).inspect_err(|_| *unknown = matches!(request, Request::Do(_))).map_err(called)?;
    *unknown = matches!(reply, Reply::Unknown(_));
    tell(&reply)
}

fn no_member(socket: &Path, error: &io::Error) -> End {
    End::Failed(format!("{}: {error}. Does 'kv serve' run on this node, and corosync?", socket.display()))
}

fn report(measured: &Measured) -> Result<(), End> {
    let [median, p99, p999] = measured.percentiles([500, 990, 999]).map(|latency| latency.as_micros());
    writeln!(
        io::stdout(),
        "{:.0} acknowledged writes a second, {} failed; latency in microseconds: {median} median, {p99} p99, {p999} p99.9",
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
        Some(word) => Err(End::Usage(format!("'{}' is too much", word.to_string_lossy()))),
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
            writeln!(io::stderr(), "this may be old: the member is not in the primary component")?;
            outcome
        }
    };
    let line =
        |mut output: io::Stdout, line: &[u8]| output.write_all(line).and_then(|()| output.write_all(b"\n"));
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Value(Some(value)) => Ok(line(output, value)?),
        Outcome::Value(None) => Err(End::Failed("the key is not there".to_owned())),
        Outcome::Differs(None) => Err(End::Failed("not done: the key is not there".to_owned())),
        Outcome::Differs(Some(value)) => {
            Err(End::Failed(format!("not done: the value is '{}'", String::from_utf8_lossy(value))))
        }
        Outcome::Keys(keys) => Ok(keys.iter().try_for_each(|key| line(io::stdout(), key))?),
        Outcome::Malformed => {
            Err(End::Failed("the member did not understand it: is it of another version?".to_owned()))
        }
    }
}
