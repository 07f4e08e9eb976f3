//! A node: its namespaces, and its daemon if it has one.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::child;
use crate::conf::STATE_DIRECTORY;
use crate::daemon::Daemon;
use crate::error::{Error, Result};
use crate::namespace::{self, Namespaces, SHARED};
use crate::network;
use crate::tools::Tools;
use crate::worker::Worker;

/// The number of a node. The first is 1.
pub type NodeId = u32;

/// The state of a node's daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The daemon runs.
    Running,
    /// The daemon is paused by [`Cluster::pause`](crate::Cluster::pause).
    Paused,
    /// There is no daemon.
    Dead,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Dead => "dead",
        })
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) namespaces: Arc<Namespaces>,
    pub(crate) log: Arc<File>,
    tools: Arc<Tools>,
    worker: Worker,
    daemon: Mutex<Option<Daemon>>,
}

impl Node {
    /// Makes the namespaces of a node. The calling thread is in those of the cluster.
    pub(crate) fn new(id: NodeId, tools: Arc<Tools>) -> Result<Self> {
        let worker = Worker::start(format!("node {id}")).map_err(Error::system("a thread"))?;
        let namespaces = worker.run(|| {
            let namespaces = namespace::make_node()?;
            fs::create_dir(STATE_DIRECTORY).map_err(Error::system(STATE_DIRECTORY))?;
            Ok(namespaces)
        })?;
        namespace::name_network(&namespaces, &network::name(id))?;
        let log = Path::new(SHARED).join(format!("node{id}.log"));
        let log = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&log)
            .map_err(Error::system(log.display().to_string()))?;
        Ok(Self {
            id,
            namespaces: Arc::new(namespaces),
            log: Arc::new(log),
            tools,
            worker,
            daemon: Mutex::new(None),
        })
    }

    pub(crate) fn bring_up(&self) -> Result<()> {
        let (tools, id) = (Arc::clone(&self.tools), self.id);
        self.worker.run(move || network::bring_up(&tools.ip, id))
    }

    /// Starts the daemon of a node that has none.
    pub(crate) fn start(&self, configuration: &'static Path) -> Result<()> {
        let (tools, log) = (Arc::clone(&self.tools), Arc::clone(&self.log));
        let daemon = self.worker.run(move || {
            remove_ring_buffers()?;
            Daemon::start(&tools, configuration, &log)
        })?;
        *self.daemon() = Some(daemon);
        Ok(())
    }

    /// The daemon, unless there is none because the cluster has killed it. It may have ended by itself.
    pub(crate) fn daemon(&self) -> MutexGuard<'_, Option<Daemon>> {
        // A panic elsewhere cannot leave the value half changed.
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn with_daemon<T>(&self, action: impl FnOnce(&mut Daemon) -> io::Result<T>) -> Result<T> {
        let id = self.id;
        match self.daemon().as_mut() {
            Some(daemon) => action(daemon).map_err(Error::system(format!("the daemon of node {id}"))),
            None => Err(Error::Invalid(format!("node {id} has no daemon: it was killed"))),
        }
    }

    pub(crate) fn state(&self) -> Result<State> {
        let Some(daemon) = &mut *self.daemon() else { return Ok(State::Dead) };
        let ended = daemon.ended().map_err(Error::system(format!("the daemon of node {}", self.id)))?;
        Ok(match (ended, daemon.paused) {
            (Some(_), _) => State::Dead,
            (None, true) => State::Paused,
            (None, false) => State::Running,
        })
    }

    /// Returns true if the others should see this node. This includes a daemon that has ended by itself, so that its
    /// end is noticed.
    pub(crate) fn expected(&self) -> bool {
        self.daemon().as_ref().is_some_and(|daemon| !daemon.paused)
    }

    pub(crate) fn log(&self) -> String {
        let mut text = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            match self.log.read_at(&mut buffer, text.len() as u64) {
                Ok(0) => break,
                Ok(length) => text.extend_from_slice(&buffer[..length]),
                // The text goes into errors, and this error must not hide them.
                Err(error) => {
                    text.extend_from_slice(format!("(the log could not be read on: {error})\n").as_bytes());
                    break;
                }
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Runs a closure in a new thread on the node.
    pub(crate) fn on<T: Send>(&self, stack: usize, action: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let namespaces = &self.namespaces;
            let thread = thread::Builder::new()
                .name(format!("node {}", self.id))
                .stack_size(stack)
                .spawn_scoped(scope, || namespaces.enter().map(|()| action()))
                .map_err(Error::system("a thread"))?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Returns the members of the daemon's ring, in order.
    pub(crate) fn members(&self, deadline: Instant) -> Result<Vec<NodeId>> {
        let mut command = Command::new(&self.tools.cmapctl);
        command.args(["-b", "runtime.members."]);
        let output = self.on(256 << 10, || child::run_until(&mut command, deadline))??;
        let unanswered = |reason: String| Error::Unanswered { node: self.id, reason };
        let Some(output) = output else {
            return Err(unanswered(format!("{} did not end in time", child::name(&command))));
        };
        if !output.status.success() {
            let told = child::describe(&command, &output);
            // If the output has an error code of corosync, the daemon refused. Any other failure is the program's.
            return Err(if told.contains("CS_ERR_") {
                unanswered(told)
            } else {
                Error::Tool { command: child::name(&command), output: told }
            });
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let mut members = Vec::new();
        for line in text.lines() {
            let not_understood =
                || Error::Tool { command: child::name(&command), output: format!("not understood: {line}") };
            if let Some(node) = joined(line) {
                members.push(node.parse().map_err(|_| not_understood())?);
            }
        }
        members.sort_unstable();
        Ok(members)
    }
}

/// Returns the node in a line `runtime.members.2.status (str) = joined`, and `None` for other lines.
fn joined(line: &str) -> Option<&str> {
    let (key, value) = line.split_once(" (str) = ")?;
    let node = key.strip_prefix("runtime.members.")?.strip_suffix(".status")?;
    (value == "joined").then_some(node)
}

/// Removes the ring buffers that a killed daemon leaves behind. No daemon runs now that would use them.
fn remove_ring_buffers() -> Result<()> {
    let failed = || Error::system("/dev/shm");
    for entry in fs::read_dir("/dev/shm").map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if entry.file_name().as_encoded_bytes().starts_with(b"qb-") {
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                // A client that ends at this moment removes its files itself.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(Error::system(path.display().to_string()))?,
            }
        }
    }
    Ok(())
}
