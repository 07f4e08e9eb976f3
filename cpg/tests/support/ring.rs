//! A ring that stands still.

use std::time::{Duration, Instant};

use super::{deadline, join, pump, views};
use testcluster::Cluster;

/// The time for which the token may still be on its way from a paused node. A daemon has priority over other programs.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

/// Pauses the daemon of node 2 in a ring of two nodes, and returns when the token is there. From then on nothing is ordered,
/// until the node resumes or the time of the token is over.
pub fn stand_still(cluster: &Cluster) {
    let mut probe = join("a probe of the ring");
    pump(&mut probe, |events| views(events).next().is_some());
    cluster.pause(2).unwrap();
    // A token that is on its way orders what it finds. So a probe that comes back has used it up.
    loop {
        probe.send_until(b"", deadline()).unwrap();
        if probe.recv_until(Instant::now() + ON_ITS_WAY).unwrap().is_none() {
            break;
        }
    }
}
