//! A private corosync cluster on this machine, for tests.
//!
//! Each node is a corosync daemon in network and mount namespaces of its own. A bridge connects
//! the nodes, and a thread or a process talks to the daemon of the node whose namespaces it has
//! entered. Nothing is written outside these namespaces, so nothing is left when the cluster is
//! dropped or the process that started it dies.
//!
//! ```no_run
//! use testcluster::Cluster;
//!
//! # fn main() -> Result<(), testcluster::Error> {
//! let cluster = Cluster::start(3)?;
//! cluster.on(2, || {
//!     // This thread is on node 2: libcpg connects to the daemon of node 2.
//! });
//! testcluster::child::succeed(&mut cluster.command_on(3, "corosync-cpgtool"));
//!
//! cluster.partition(&[&[1, 2], &[3]])?;
//! assert_eq!(cluster.members(3)?, [3]);
//! cluster.heal()?;
//! assert_eq!(cluster.members(3)?, [1, 2, 3]);
//! # Ok(())
//! # }
//! ```
//!
//! # What it needs
//!
//! Linux, corosync, iproute2 and util-linux, and the capability to make namespaces: root, or a
//! user namespace. A process with threads cannot enter a user namespace by itself, therefore
//! `cargo test` and `cargo run` start their programs through `ci/as-root`, which makes one. The
//! command `testcluster` does that by itself.

#![forbid(unsafe_code)]

mod builder;
pub mod child;
mod cluster;
mod conf;
mod daemon;
mod directory;
mod error;
mod features;
mod key;
mod namespace;
mod network;
mod node;
mod programs;
pub mod rights;
#[doc(hidden)]
pub mod root;
mod settle;
mod tools;
mod watchdog;
mod worker;

pub use builder::{Builder, Transport};
pub use cluster::Cluster;
pub use error::{Error, Result};
pub use node::{NodeId, State};
pub use programs::find;
