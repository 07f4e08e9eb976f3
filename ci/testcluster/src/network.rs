//! The network: a virtual cable from each node to a bridge, and one bridge per group in a partition.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::namespace::SHARED;
use crate::node::NodeId;

/// The most nodes that a cluster can have.
pub(crate) const MAX_NODES: NodeId = 32;

/// Returns the address of a node.
pub(crate) fn address(node: NodeId) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + node)
}

/// Returns the file that names the network namespace of a node, for `ip` and for the watchdog.
pub(crate) fn name(node: NodeId) -> PathBuf {
    Path::new(SHARED).join(format!("net-{node}"))
}

/// Connects the nodes. The calling thread is in the namespace that they share.
pub(crate) fn connect(ip: &Path, nodes: NodeId) -> Result<()> {
    let mut script = bridge(0);
    for node in 1..=nodes {
        let network = name(node);
        writeln!(
            script,
            "link add node{node} type veth peer name eth0 netns {}\nlink set node{node} master br0 up",
            network.display(),
        )
        .expect("a String takes everything");
    }
    batch(ip, &script)
}

/// Brings up the links of a node. The calling thread is in the namespace of the node.
pub(crate) fn bring_up(ip: &Path, node: NodeId) -> Result<()> {
    batch(ip, &format!("link set lo up\naddr add {}/24 dev eth0\nlink set eth0 up\n", address(node)))
}

/// Puts each group of nodes on a separate bridge. The calling thread is in the shared namespace. `bridges` is the
/// number of bridges that exist.
pub(crate) fn part(ip: &Path, groups: &[Vec<NodeId>], bridges: usize) -> Result<()> {
    let mut script = String::new();
    for new in bridges..groups.len() {
        script.push_str(&bridge(new));
    }
    for (bridge, group) in groups.iter().enumerate() {
        for node in group {
            writeln!(script, "link set node{node} master br{bridge}").expect("a String takes everything");
        }
    }
    batch(ip, &script)
}

fn bridge(number: usize) -> String {
    format!("link add br{number} type bridge mcast_snooping 0\nlink set br{number} up\n")
}

fn batch(ip: &Path, script: &str) -> Result<()> {
    let failed = || Error::system("ip -batch -");
    let mut child = Command::new(ip)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed())?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).map_err(failed())?;
    }
    let output = child.wait_with_output().map_err(failed())?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    Err(Error::Tool {
        command: "ip -batch -".to_owned(),
        output: format!("{printed}\nThe batch was:\n{script}"),
    })
}
