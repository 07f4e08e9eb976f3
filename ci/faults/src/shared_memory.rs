//! A full `/dev/shm` of a node: no process can connect, and connected processes go on (B21). Each node has a separate
//! `/dev/shm`.

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::statvfs;
use testcluster::Cluster;

use crate::Result;

const PLACE: &str = "/dev/shm";

/// The size of `/dev/shm` that the cluster sets. It is a limit, and no memory is reserved.
const WHOLE: &str = "size=16g,nr_inodes=0";

/// Fills the `/dev/shm` of a node.
///
/// # Errors
/// The system refuses it.
pub fn fill(cluster: &Cluster, node: u32) -> Result<()> {
    cluster.on(node, || {
        // The kernel refuses a limit below the used size, and a process may have used more meanwhile.
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

/// Makes room again.
///
/// # Errors
/// The system refuses it.
pub fn free(cluster: &Cluster, node: u32) -> Result<()> {
    cluster.on(node, || Ok(limit(WHOLE)?))
}

fn limit(options: &str) -> nix::Result<()> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(None::<&str>, PLACE, None::<&str>, flags, Some(options))
}
