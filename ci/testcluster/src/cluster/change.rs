//! Changes that break a cluster on purpose and mend it.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{CONFIGURATION, Cluster, STOP, Wiring};
use crate::daemon::Daemon;
use crate::error::{Error, Result};
use crate::network;
use crate::node::{Node, NodeId};
use crate::settle;

/// The longest time that the daemons may take to agree on a membership. On an idle machine they need one to three
/// seconds.
const PATIENCE: Duration = Duration::from_secs(60);

impl Cluster {
    /// Splits the network into groups of nodes that cannot reach each other. The nodes that are in no group form one
    /// more group. This replaces any earlier partition.
    ///
    /// Returns when every running node has the new membership.
    ///
    /// # Errors
    ///
    /// An error if a node is named twice or does not exist, or if the nodes do not agree in time.
    pub fn partition(&self, groups: &[&[NodeId]]) -> Result<()> {
        let mut rest: Vec<NodeId> = (1..=self.nodes()).collect();
        for &node in groups.iter().copied().flatten() {
            let Some(index) = rest.iter().position(|&other| other == node) else {
                return Err(Error::Invalid(format!(
                    "node {node} is in two groups, or does not exist: {groups:?}"
                )));
            };
            rest.remove(index);
        }
        let mut groups: Vec<Vec<NodeId>> = groups.iter().map(|group| group.to_vec()).collect();
        groups.push(rest);
        groups.retain(|group| !group.is_empty());
        for group in &mut groups {
            group.sort_unstable();
        }
        self.rewire(groups)
    }

    /// Ends any partition, and returns when every running node has the new membership.
    ///
    /// # Errors
    ///
    /// An error if the nodes do not agree in time.
    pub fn heal(&self) -> Result<()> {
        self.rewire(vec![(1..=self.nodes()).collect()])
    }

    /// Kills a node's daemon with SIGKILL, which looks like a crash, and returns when every running node has the new
    /// membership.
    ///
    /// # Errors
    ///
    /// An error if the node has no daemon, or if the other nodes do not agree in time.
    pub fn kill(&self, node: NodeId) -> Result<()> {
        let wiring = self.wiring();
        let node = self.node(node)?;
        node.with_daemon(Daemon::kill)?;
        drop(node.daemon().take());
        self.settle_after_change(&wiring)
    }

    /// Starts a node's daemon again, and returns when every running node has the new membership. If a daemon runs, it
    /// is ended first.
    ///
    /// # Errors
    ///
    /// An error if the daemon does not come up, or if the nodes do not agree in time.
    pub fn restart(&self, node: NodeId) -> Result<()> {
        let wiring = self.wiring();
        let node = self.node(node)?;
        if node.daemon().is_some() {
            node.with_daemon(|daemon| daemon.stop(Instant::now() + STOP))?;
        }
        node.start(Path::new(CONFIGURATION))?;
        self.settle_after_change(&wiring)
    }

    /// Pauses a node's daemon (SIGSTOP). Its clients wait. If it is paused for longer than the time of the token, the
    /// other nodes go on without it; [`Cluster::settle`] waits for this.
    ///
    /// # Errors
    ///
    /// An error if the node has no daemon.
    pub fn pause(&self, node: NodeId) -> Result<()> {
        let _wiring = self.wiring();
        self.node(node)?.with_daemon(Daemon::pause)
    }

    /// Lets a paused daemon go on. [`Cluster::settle`] waits until the nodes are together again.
    ///
    /// # Errors
    ///
    /// An error if the node has no daemon.
    pub fn resume(&self, node: NodeId) -> Result<()> {
        let _wiring = self.wiring();
        self.node(node)?.with_daemon(Daemon::resume)
    }

    /// Waits until every running node sees exactly the running nodes that it can reach.
    ///
    /// # Errors
    ///
    /// An error if a daemon has ended by itself, or if this takes too long. The error contains the logs.
    pub fn settle(&self) -> Result<()> {
        self.settle_in(&self.wiring())
    }

    fn rewire(&self, groups: Vec<Vec<NodeId>>) -> Result<()> {
        let mut wiring = self.wiring();
        let bridges = wiring.bridges;
        let tools = Arc::clone(&self.tools);
        let wanted = groups.clone();
        self.switch.run(move || network::part(&tools.ip, &wanted, bridges))?;
        wiring.bridges = bridges.max(groups.len());
        wiring.groups = groups;
        self.settle_after_change(&wiring)
    }

    /// Sets if changes wait until the nodes have agreed on the new membership. They do so by default. After `false`, a
    /// change can come while the nodes still react to an earlier one. [`Cluster::settle`] waits in any case.
    pub fn wait_after_changes(&self, wait: bool) {
        self.waits.store(wait, Ordering::Relaxed);
    }

    fn settle_after_change(&self, wiring: &Wiring) -> Result<()> {
        if self.waits.load(Ordering::Relaxed) { self.settle_in(wiring) } else { Ok(()) }
    }

    fn settle_in(&self, wiring: &Wiring) -> Result<()> {
        let running = |group: &Vec<NodeId>| {
            group.iter().map(|&id| self.known(id)).filter(|node| node.expected()).collect()
        };
        let groups: Vec<Vec<&Node>> = wiring.groups.iter().map(running).collect();
        settle::wait(&groups, Instant::now() + PATIENCE)
    }

    fn wiring(&self) -> MutexGuard<'_, Wiring> {
        // After a panic, this still is the state of the bridges.
        self.wiring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
