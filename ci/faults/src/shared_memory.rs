//! A full `/dev/shm`, which each node has of its own: nobody can connect any more, and who is connected goes on (B21).

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::statvfs;
use testcluster::Cluster;

use crate::Result;

const PLACE: &str = "/dev/shm";

/// As the cluster makes it; it is a limit, and nothing is taken.
const WHOLE: &str = "size=16g,nr_inodes=0";

/// Leaves no room on a node.
pub fn fill(cluster: &Cluster, node: u32) -> Result<()> {
    cluster.on(node, || {
        // A limit below what is used is refused: somebody may have taken more meanwhile.
        for _ in 0..20 {
            let now = statvfs(PLACE)?;
            let used = (now.blocks() - now.blocks_free()) * now.fragment_size();
            if limit(&format!("size={}", used.max(now.fragment_size()))).is_ok() {
                return Ok(());
            }
        }
        Err(format!("{PLACE} of node {node} could not be filled").into())
    })
}

/// Gives it back.
pub fn free(cluster: &Cluster, node: u32) -> Result<()> {
    cluster.on(node, || Ok(limit(WHOLE)?))
}

fn limit(options: &str) -> nix::Result<()> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(None::<&str>, PLACE, None::<&str>, flags, Some(options))
}
