//! Waiting until the daemons have the expected membership.

use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, LogReader};
use crate::error::{Error, Result};
use crate::node::{Node, NodeId};

const POLL: Duration = Duration::from_millis(5);

/// The time between two questions to a daemon whose log does not change.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// A node that is expected to have a membership.
struct Watched<'a> {
    node: &'a Node,
    log: LogReader,
    members: Vec<NodeId>,
    /// The reason why the daemon did not tell its members at the last question.
    unanswered: Option<Error>,
    asked: Option<Instant>,
}

impl<'a> Watched<'a> {
    fn new(node: &'a Node) -> Self {
        let start = node.daemon().as_ref().map_or(0, |daemon| daemon.log_start);
        Self { node, log: LogReader::new(start), members: Vec::new(), unanswered: None, asked: None }
    }

    /// Updates the knowledge about the daemon. Asking it takes a process, so it is asked only when its log has changed
    /// or some time has passed. The log also distinguishes a finished membership from one that is not yet agreed on.
    fn look(&mut self, deadline: Instant) -> Result<()> {
        let node = self.node;
        if let Some(status) = node.with_daemon(Daemon::ended)? {
            return Err(Error::DaemonEnded { node: node.id, status: status.to_string(), log: node.log() });
        }
        let news = self.log.read(&node.log).map_err(Error::system("a daemon's log"))?;
        if news {
            self.asked = None;
        }
        if self.log.synchronized && self.asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN) {
            (self.members, self.unanswered) = match node.members(deadline) {
                Ok(members) => (members, None),
                // A daemon that is starting refuses. Other errors do not end by waiting.
                Err(error @ Error::Unanswered { .. }) => (Vec::new(), Some(error)),
                Err(error) => return Err(error),
            };
            self.asked = Some(Instant::now());
        }
        Ok(())
    }
}

/// Waits until all nodes of each group see exactly the nodes of the group, and are in one ring.
///
/// The ring matters: the others may lose a node and take it back between two looks, and then the node would count too
/// early.
pub(crate) fn wait(groups: &[Vec<&Node>], deadline: Instant) -> Result<()> {
    for group in groups {
        let members: Vec<NodeId> = group.iter().map(|node| node.id).collect();
        wait_group(group, &members, deadline)?;
    }
    Ok(())
}

/// Waits until all of `nodes` are in one ring that has exactly these members, in order.
pub(crate) fn wait_group(nodes: &[&Node], members: &[NodeId], deadline: Instant) -> Result<()> {
    let mut watched: Vec<Watched<'_>> = nodes.iter().map(|node| Watched::new(node)).collect();
    loop {
        for node in &mut watched {
            node.look(deadline)?;
        }
        let ring = watched.first().and_then(|node| node.log.ring.as_ref());
        if watched
            .iter()
            .all(|node| node.log.synchronized && node.members == members && node.log.ring.as_ref() == ring)
        {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(timeout(&watched, members));
        }
        thread::sleep(POLL);
    }
}

fn timeout(watched: &[Watched<'_>], members: &[NodeId]) -> Error {
    let seen: Vec<String> = watched
        .iter()
        .map(|Watched { node, log, members, unanswered, .. }| {
            let ring = log.ring.as_deref().unwrap_or("none");
            let reason = unanswered.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            format!("node {} sees {members:?} (ring {ring}){reason}", node.id)
        })
        .collect();
    let logs: Vec<String> = watched
        .iter()
        .map(|Watched { node, .. }| format!("The log of node {}:\n{}", node.id, node.log()))
        .collect();
    Error::Timeout {
        what: format!(
            "the nodes did not agree in time that the members are {members:?}: {}.",
            seen.join(", ")
        ),
        log: logs.concat(),
    }
}
