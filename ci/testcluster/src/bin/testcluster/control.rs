//! The requests of processes inside a cluster. A request is one line; the answer is `ok` or `error`, and a text.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use testcluster::{Cluster, Error, NodeId, State};

use crate::{Failure, arguments};

/// The separator between the arguments of the command in the answer of [`enter`].
pub(crate) const SEPARATOR: u8 = 0;

/// Answers requests until the process ends.
pub(crate) fn serve(cluster: &Cluster, listener: &UnixListener) {
    thread::scope(|scope| {
        for stream in listener.incoming() {
            scope.spawn(move || match stream.and_then(|stream| converse(cluster, stream)) {
                // The client did not wait for the answer.
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
                Err(error) => eprintln!("{}: answering a command: {error}", arguments::name()),
                Ok(()) => {}
            });
        }
    });
}

fn converse(cluster: &Cluster, stream: UnixStream) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let (word, text) = match answer(cluster, line.trim_end()) {
        Ok(text) => ("ok", text),
        Err(error) => ("error", error.to_string().into_bytes()),
    };
    let mut stream = stream;
    writeln!(stream, "{word}")?;
    stream.write_all(&text)
}

fn answer(cluster: &Cluster, request: &str) -> Result<Vec<u8>, Failure> {
    // A request may have no operand.
    let (name, operand) = request.split_once(' ').unwrap_or((request, ""));
    match name {
        "enter" => return Ok(enter(cluster, node(cluster, operand)?)),
        "log" => return Ok(cluster.log(node(cluster, operand)?).into_bytes()),
        "status" => return Ok(status(cluster)?.into_bytes()),
        "partition" => {
            let groups = groups(operand)?;
            let groups: Vec<&[NodeId]> = groups.iter().map(Vec::as_slice).collect();
            cluster.partition(&groups)?;
        }
        "heal" => cluster.heal()?,
        "settle" => cluster.settle()?,
        "kill" => cluster.kill(node(cluster, operand)?)?,
        "restart" => cluster.restart(node(cluster, operand)?)?,
        "pause" => cluster.pause(node(cluster, operand)?)?,
        "resume" => cluster.resume(node(cluster, operand)?)?,
        _ => return Err(format!("not understood: {request}").into()),
    }
    Ok(Vec::new())
}

fn node(cluster: &Cluster, text: &str) -> Result<NodeId, Failure> {
    let last = cluster.nodes();
    let node = text.parse().ok().filter(|node| (1..=last).contains(node));
    node.ok_or_else(|| format!("there is no node {text:?}: the nodes are 1 to {last}").into())
}

/// Parses groups of nodes such as `1,2/3`.
fn groups(text: &str) -> Result<Vec<Vec<NodeId>>, Failure> {
    let group = |group: &str| group.split(',').map(|node| node.trim().parse()).collect();
    let groups: Result<_, std::num::ParseIntError> = text.split('/').map(group).collect();
    groups.map_err(|_| format!("{text:?} is not a partition such as 1,2/3").into())
}

/// Returns a command that enters a node. The command to run there is to be added as its last arguments.
fn enter(cluster: &Cluster, node: NodeId) -> Vec<u8> {
    let command = cluster.command_on(node, "--");
    let mut words: Vec<&[u8]> = vec![command.get_program().as_bytes()];
    words.extend(command.get_args().map(OsStrExt::as_bytes));
    words.pop();
    words.join(&SEPARATOR)
}

fn status(cluster: &Cluster) -> Result<String, Failure> {
    let mut text = format!("{:<5} {:<11} {:>8}  {:<8} {}\n", "node", "address", "pid", "state", "members");
    for node in 1..=cluster.nodes() {
        let state = cluster.state(node);
        let pid = if state == State::Dead { "-".to_owned() } else { cluster.daemon_pid(node).to_string() };
        let members = match state {
            State::Running => match cluster.members(node) {
                Ok(members) => list(&members),
                // The error must not hide the other nodes. It has to fit into one line, as each node has one line.
                Err(Error::Unanswered { reason, .. }) => {
                    format!("? ({})", reason.split_whitespace().collect::<Vec<_>>().join(" "))
                }
                Err(error) => return Err(error.into()),
            },
            State::Paused | State::Dead => "-".to_owned(),
        };
        writeln!(text, "{node:<5} {:<11} {pid:>8}  {state:<8} {members}", cluster.address(node))
            .expect("a String takes everything");
    }
    Ok(text)
}

fn list(members: &[NodeId]) -> String {
    members.iter().map(NodeId::to_string).collect::<Vec<_>>().join(",")
}
