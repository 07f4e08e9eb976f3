//! The faults of daemons and network.

use testcluster::{Cluster, State};

use crate::plan::Fault;
use crate::{Result, shared_memory};

/// Applies the fault. Returns false if the fault does not concern daemons or network.
///
/// # Errors
/// The errors of the cluster.
pub fn apply(cluster: &Cluster, fault: &Fault) -> Result<bool> {
    match fault {
        Fault::Partition(groups) => {
            let groups: Vec<&[u32]> = groups.iter().map(Vec::as_slice).collect();
            cluster.partition(&groups)?;
        }
        Fault::Heal => cluster.heal()?,
        Fault::Kill(node) | Fault::KillYoung(node) if cluster.state(*node) != State::Dead => {
            cluster.kill(*node)?;
        }
        Fault::Restart(node) => cluster.restart(*node)?,
        Fault::Pause(node) if cluster.state(*node) == State::Running => cluster.pause(*node)?,
        Fault::Resume(node) if cluster.state(*node) == State::Paused => cluster.resume(*node)?,
        // The error of a daemon that has ended by itself is reported.
        Fault::Kill(_) | Fault::KillYoung(_) | Fault::Pause(_) | Fault::Resume(_) => {}
        Fault::FillShm(node) => shared_memory::fill(cluster, *node)?,
        Fault::FreeShm(node) => shared_memory::free(cluster, *node)?,
        _ => return Ok(false),
    }
    Ok(true)
}
