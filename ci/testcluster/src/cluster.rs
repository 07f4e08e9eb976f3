//! A running cluster.

mod change;

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::builder::Builder;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::namespace;
use crate::network;
use crate::node::{Node, NodeId, State};
use crate::rights;
use crate::settle;
use crate::tools::Tools;
use crate::watchdog::Watchdog;
use crate::worker::Worker;

const CONFIGURATION: &str = "/run/testcluster/corosync.conf";

/// The longest time that a daemon may take to end by itself.
const STOP: Duration = Duration::from_secs(5);

/// The stack of threads on a node: libcpg's dispatch uses more than a megabyte of stack.
const STACK: usize = 8 << 20;

/// A shell script that enters the namespaces of a node. Entering changes to the root directory, so the script goes back
/// to the caller's directory. It adds the directories of system programs, such as corosync's tools, at the end of
/// `PATH`. Each step replaces the process, so the program has the process number of the script.
const ENTER: &str = r#"
enter=$1 mount=$2 network=$3
shift 3
PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}
for directory in /usr/local/sbin /usr/sbin /sbin; do
    case :$PATH: in *:$directory:*) ;; *) PATH=$PATH:$directory ;; esac
done
export PATH
exec "$enter" --mount="$mount" --net="$network" sh -c 'cd "$1" && shift && exec "$@"' sh "$PWD" "$@"
"#;

/// The number of words before the program in a command that enters a node: `sh -c ENTER sh`, and three arguments.
const BEFORE_PROGRAM: usize = 7;

/// Returns the program and its arguments, if the words are a command that enters a node.
pub(crate) fn without_entering<'a, 'b>(words: &'a [&'b OsStr]) -> Option<&'a [&'b OsStr]> {
    if words.get(2).is_some_and(|script| *script == ENTER) { words.get(BEFORE_PROGRAM..) } else { None }
}

/// A corosync cluster on this machine, which ends when it is dropped.
///
/// Nodes are numbered from 1. All methods can be called from several threads at once. Changes, such as partitions and
/// kills, wait for each other.
#[derive(Debug)]
pub struct Cluster {
    // Fields are dropped in this order: first the daemons end, then everything else on the nodes.
    nodes: Vec<Node>,
    _watchdog: Watchdog,
    tools: Arc<Tools>,
    wiring: Mutex<Wiring>,
    waits: AtomicBool,
    /// A thread in the namespaces that connect the nodes.
    switch: Worker,
}

/// The groups of nodes that can reach each other.
#[derive(Debug)]
struct Wiring {
    groups: Vec<Vec<NodeId>>,
    bridges: usize,
}

impl Cluster {
    /// Starts a cluster of so many nodes with UDP, and returns when every node sees all others.
    ///
    /// # Errors
    ///
    /// See [`Builder::start`].
    pub fn start(nodes: NodeId) -> Result<Self> {
        Self::builder().nodes(nodes).start()
    }

    /// Returns the options of a cluster, to change them and then start it.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn from_builder(builder: Builder) -> Result<Self> {
        rights::check()?;
        let tools = Arc::new(Tools::find()?);
        let count = builder.nodes;
        let features = Features::of(&tools.corosync)?;
        let (configuration, key) = builder.configuration(features)?;
        let switch = Worker::start("switch".to_owned()).map_err(Error::system("a thread"))?;
        let for_switch = Arc::clone(&tools);
        let (watchdog, nodes) = switch.run(move || {
            let tools = for_switch;
            namespace::make_shared()?;
            fs::write(CONFIGURATION, configuration).map_err(Error::system(CONFIGURATION))?;
            key.map_or(Ok(()), |key| key.write())?;
            let watchdog = Watchdog::start(&tools.setpriv)?;
            let nodes = (1..=count).map(|id| Node::new(id, Arc::clone(&tools)));
            let nodes: Vec<Node> = nodes.collect::<Result<_>>()?;
            network::connect(&tools.ip, count)?;
            Ok((watchdog, nodes))
        })?;
        let wiring = Wiring { groups: vec![(1..=count).collect()], bridges: 1 };
        let cluster = Self {
            nodes,
            _watchdog: watchdog,
            tools,
            wiring: Mutex::new(wiring),
            waits: AtomicBool::new(true),
            switch,
        };
        for node in &cluster.nodes {
            node.bring_up()?;
            node.start(Path::new(CONFIGURATION))?;
        }
        cluster.settle()?;
        Ok(cluster)
    }

    /// Returns the number of nodes, including those whose daemon is dead.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn nodes(&self) -> NodeId {
        self.nodes.len().try_into().expect("there are at most 32")
    }

    /// Returns the address of a node in the network of the cluster.
    ///
    /// # Panics
    ///
    /// Panics if there is no such node.
    pub fn address(&self, node: NodeId) -> Ipv4Addr {
        network::address(self.known(node).id)
    }

    /// Runs a closure on a node, in a new thread, and waits for its result.
    ///
    /// A panic in the closure propagates to the caller.
    ///
    /// # Panics
    ///
    /// Panics if there is no such node, or if no thread can be put on it.
    pub fn on<T: Send>(&self, node: NodeId, action: impl FnOnce() -> T + Send) -> T {
        self.known(node).on(STACK, action).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a thread on a node. It may outlive the cluster, but not the daemon.
    ///
    /// # Panics
    ///
    /// Panics if there is no such node, or if no thread can be made. If the thread cannot be put on the node, the
    /// thread panics.
    pub fn spawn_on<T, F>(&self, node: NodeId, action: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let node = self.known(node);
        let namespaces = Arc::clone(&node.namespaces);
        thread::Builder::new()
            .name(format!("node {}", node.id))
            .stack_size(STACK)
            .spawn(move || {
                namespaces.enter().unwrap_or_else(|error| panic!("{error}"));
                action()
            })
            .unwrap_or_else(|error| panic!("a thread: {error}"))
    }

    /// Returns a command that will run on a node.
    ///
    /// A program without a path is searched for in `PATH` and in the directories of system programs, as
    /// [`find`](crate::find) does. Add arguments, environment and working directory as usual. The process number of the
    /// child is that of the program. If there is no such program, the child ends with status 127. The child is killed
    /// when the cluster or this process ends.
    ///
    /// # Panics
    ///
    /// Panics if there is no such node.
    pub fn command_on(&self, node: NodeId, program: impl AsRef<OsStr>) -> Command {
        let [mount, network] = self.known(node).namespaces.paths();
        let mut command = Command::new("sh");
        command.args(["-c", ENTER, "sh"]).arg(&self.tools.nsenter).arg(mount).arg(network).arg(program);
        command
    }

    /// Waits until a node sees exactly these members.
    ///
    /// # Errors
    ///
    /// An error if this takes longer than the deadline, or if the daemon has ended. The error contains the log.
    pub fn wait_members(&self, node: NodeId, members: &[NodeId], deadline: Duration) -> Result<()> {
        let mut members = members.to_vec();
        members.sort_unstable();
        settle::wait_group(&[self.node(node)?], &members, Instant::now() + deadline)
    }

    /// Returns the members that a node sees, in order.
    ///
    /// # Errors
    ///
    /// An error if the node's daemon does not answer, for example because it is paused.
    pub fn members(&self, node: NodeId) -> Result<Vec<NodeId>> {
        self.node(node)?.members(Instant::now() + STOP)
    }

    /// Returns the state of a node's daemon.
    ///
    /// # Panics
    ///
    /// Panics if there is no such node, or if the system does not report the state of the daemon's process.
    pub fn state(&self, node: NodeId) -> State {
        self.known(node).state().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Returns the process number of a node's daemon.
    ///
    /// # Panics
    ///
    /// Panics if there is no such node, or if the node has no daemon.
    pub fn daemon_pid(&self, node: NodeId) -> u32 {
        let daemon = self.known(node).daemon();
        daemon.as_ref().unwrap_or_else(|| panic!("node {node} has no daemon: it was killed")).pid()
    }

    /// Returns the log of the daemons that have run on a node.
    ///
    /// # Panics
    ///
    /// Panics if there is no such node.
    pub fn log(&self, node: NodeId) -> String {
        self.known(node).log()
    }

    fn node(&self, id: NodeId) -> Result<&Node> {
        let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        index.and_then(|index| self.nodes.get(index)).ok_or_else(|| {
            Error::Invalid(format!("there is no node {id}: the nodes are 1 to {}", self.nodes.len()))
        })
    }

    fn known(&self, id: NodeId) -> &Node {
        self.node(id).unwrap_or_else(|error| panic!("{error}"))
    }
}
