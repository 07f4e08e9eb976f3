//! The command line.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use lexopt::prelude::*;
use testcluster::{NodeId, Transport};

pub(crate) const HELP: &str = "\
A private corosync cluster on this machine, for the length of a command.

Usage: {name} run [OPTIONS] [--] [COMMAND [ARGUMENT...]]

Starts a cluster, waits until all nodes are members, runs COMMAND (your shell,
when there is none) on node 1, and ends the cluster with it. The exit status is
that of COMMAND, or 125 when there is no cluster to run it in.

Options:
  -n, --nodes N           number of nodes: 1 to 32, 1 by default
  -t, --transport NAME    udpu (the default, fast to start) or knet
  -e, --encrypted         the daemons encrypt what they send each other, over
                          knet, with a key of this cluster's own
      --token MILLISECONDS
                          how long a node may be silent before the others go on
                          without it: 1000 by default
  -h, --help              this text
  -V, --version           the version

Inside, that is in COMMAND and what it starts, on any node, instead of run:
  on K [--] COMMAND [ARGUMENT...]
                          runs COMMAND on node K
  partition GROUPS        parts the network: 1,2/3 parts node 3 from 1 and 2.
                          Nodes that are not named form one more group
  heal                    ends the partition
  kill K                  kills the daemon of node K
  restart K               starts it again, after stopping it if it runs
  pause K                 stops the process of node K's daemon (SIGSTOP)
  resume K                lets it go on
  settle                  waits until the nodes have agreed, after a pause, say
  status                  shows the nodes and which members each of them sees
  log K                   prints what node K's daemons have logged

partition, heal, kill and restart return when every running node has the
membership that follows. The cluster needs root or user namespaces, corosync,
iproute2 and util-linux. It leaves nothing behind, not even when it is killed.

Example:
  {name} run --nodes 3 -- sh -c '
      {name} partition 1,2/3 && {name} status'
";

/// What this program was called as: packages install it under another name.
pub(crate) fn name() -> String {
    let called = std::env::args_os().next();
    let called = called.as_deref().and_then(|path| Path::new(path).file_name()?.to_str());
    called.unwrap_or("testcluster").to_owned()
}

/// What the command is to do.
#[derive(Debug)]
pub(crate) enum Action {
    Help,
    Version,
    Run(Options),
    /// The first process of the cluster's process namespace. The command runs itself as that.
    Init {
        lifeline: i32,
        options: Options,
    },
    /// The process that has the cluster. The command runs itself as that.
    Session(Options),
    On {
        node: String,
        command: Vec<OsString>,
    },
    Request(String),
}

/// The options of `run`.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) nodes: NodeId,
    pub(crate) transport: Transport,
    pub(crate) token: Duration,
    pub(crate) encrypted: bool,
    pub(crate) command: Vec<OsString>,
}

impl Options {
    /// Arguments that [`parse`] makes the same options of.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let Self { nodes, transport, token, encrypted, command } = self;
        let token = token.as_millis();
        let options =
            [format!("--nodes={nodes}"), format!("--transport={transport}"), format!("--token={token}")];
        options
            .into_iter()
            .chain(encrypted.then(|| "--encrypted".to_owned()))
            .chain(["--".to_owned()])
            .map(OsString::from)
            .chain(command.iter().cloned())
            .collect()
    }
}

pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Action, lexopt::Error> {
    let name = match parser.next()? {
        None | Some(Short('h') | Long("help")) => return Ok(Action::Help),
        Some(Short('V') | Long("version")) => return Ok(Action::Version),
        Some(Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected()),
    };
    match name.as_str() {
        "help" => Ok(Action::Help),
        "run" => run(parser, Action::Run),
        "internal-init" => {
            let lifeline = parser.value()?.parse()?;
            run(parser, |options| Action::Init { lifeline, options })
        }
        "internal-session" => run(parser, Action::Session),
        "on" => on(parser),
        "heal" | "status" | "settle" => request(parser, name, None),
        "partition" => request(parser, name, Some("GROUPS, such as 1,2/3")),
        "kill" | "restart" | "pause" | "resume" | "log" => request(parser, name, Some("a node")),
        _ => Err(format!("there is no command `{name}`").into()),
    }
}

fn run(mut parser: lexopt::Parser, action: impl FnOnce(Options) -> Action) -> Result<Action, lexopt::Error> {
    let mut nodes = 1;
    let mut transport = Transport::default();
    let mut token = Duration::from_secs(1);
    let mut encrypted = false;
    let mut command = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('n') | Long("nodes") => nodes = parser.value()?.parse()?,
            Short('t') | Long("transport") => transport = parser.value()?.parse()?,
            Long("token") => token = Duration::from_millis(parser.value()?.parse()?),
            Short('e') | Long("encrypted") => encrypted = true,
            Short('h') | Long("help") => return Ok(Action::Help),
            Value(program) => {
                command.push(program);
                command.extend(parser.raw_args()?);
            }
            other => return Err(other.unexpected()),
        }
    }
    if command.is_empty() {
        command.push(std::env::var_os("SHELL").unwrap_or_else(|| "sh".into()));
    }
    Ok(action(Options { nodes, transport, token, encrypted, command }))
}

fn on(mut parser: lexopt::Parser) -> Result<Action, lexopt::Error> {
    let node = match parser.next()? {
        Some(Value(node)) => node.string()?,
        Some(Short('h') | Long("help")) => return Ok(Action::Help),
        Some(other) => return Err(other.unexpected()),
        None => return Err("`on` needs a node and a command".into()),
    };
    let mut command: Vec<OsString> = parser.raw_args()?.collect();
    if command.first().is_some_and(|first| first == "--") {
        command.remove(0);
    }
    if command.is_empty() {
        return Err("`on` needs a command".into());
    }
    Ok(Action::On { node, command })
}

fn request(mut parser: lexopt::Parser, name: String, operand: Option<&str>) -> Result<Action, lexopt::Error> {
    let mut request = name;
    if let Some(operand) = operand {
        match parser.next()? {
            Some(Value(value)) => {
                request.push(' ');
                request.push_str(&value.string()?);
            }
            Some(Short('h') | Long("help")) => return Ok(Action::Help),
            Some(other) => return Err(other.unexpected()),
            None => return Err(format!("`{request}` needs {operand}").into()),
        }
    }
    match parser.next()? {
        None => Ok(Action::Request(request)),
        Some(Short('h') | Long("help")) => Ok(Action::Help),
        Some(other) => Err(other.unexpected()),
    }
}
