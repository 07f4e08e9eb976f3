//! A private corosync cluster on this machine, for tests.
//!
//! Each node is a corosync daemon in separate network and mount namespaces. A bridge connects the nodes. A thread or a
//! process that has entered the namespaces of a node talks to the daemon of that node. Nothing is written outside the
//! namespaces, so nothing is left when the cluster is dropped or when the process that started it dies.
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
//! A cluster needs Linux, corosync, iproute2 and util-linux, and the right to make namespaces, which root has, and any
//! user in a user namespace. A process with threads cannot enter a user namespace by itself. Therefore `cargo test` and
//! `cargo run` start programs through `ci/as-root`, which makes one if necessary. The command `testcluster` makes one
//! by itself.

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
