//! The command line.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use lexopt::prelude::*;
use testcluster::{NodeId, Transport};

pub(crate) const HELP: &str = "\
Runs a private corosync cluster on this machine for the duration of a command.

Usage: {name} run [OPTIONS] [--] [COMMAND [ARGUMENT...]]

Starts a cluster, waits until all nodes are members, and runs COMMAND (default:
your shell) on node 1. When COMMAND ends, the cluster ends too. The exit status
is that of COMMAND, or 125 if the cluster could not be started.

Options:
  -n, --nodes N           the number of nodes: 1 to 32 (default: 1)
  -t, --transport NAME    the transport: udpu (default, fast to start) or knet
  -e, --encrypted         encrypt the traffic between the daemons, over knet,
                          with a new key for this cluster
      --token MILLISECONDS
                          the longest silence of a node before the others go on
                          without it (default: 1000)
  -h, --help              print this
  -V, --version           print the version

Inside the cluster, which is in COMMAND and in programs that it starts, on any
node, use these commands instead of run:
  on K [--] COMMAND [ARGUMENT...]
                          runs COMMAND on node K
  partition GROUPS        cuts the network: 1,2/3 cuts node 3 off from 1 and 2.
                          Nodes that are not named form one more group
  heal                    ends the partition
  kill K                  kills the daemon of node K
  restart K               starts that daemon again; ends it first if it runs
  pause K                 pauses the daemon of node K (SIGSTOP)
  resume K                lets a paused daemon go on
  settle                  waits until the nodes have agreed, for use after a pause
  status                  shows the nodes, and the members that each node sees
  log K                   prints the log of the daemons of node K

partition, heal, kill and restart return when every running node has the new
membership. The cluster needs root or user namespaces, corosync,
iproute2 and util-linux. It leaves nothing behind, not even when it is killed.

Example:
  {name} run --nodes 3 -- sh -c '
      {name} partition 1,2/3 && {name} status'
";

/// Returns the name under which this program was called: packages install it under another name.
pub(crate) fn name() -> String {
    let called = std::env::args_os().next();
    let called = called.as_deref().and_then(|path| Path::new(path).file_name()?.to_str());
    called.unwrap_or("testcluster").to_owned()
}

/// A task of the command.
#[derive(Debug)]
pub(crate) enum Action {
    Help,
    Version,
    Run(Options),
    /// Be the first process in the process namespace of the cluster. The command starts itself again with this task.
    Init {
        lifeline: i32,
        options: Options,
    },
    /// Be the process that owns the cluster. The command starts itself again with this task.
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
    /// Returns arguments from which [`parse`] makes the same options.
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
