//! What groups of corosync promise, how programs are built on them, and what to do when something goes wrong.
//!
//! | page | for |
//! |---|---|
//! | [`promises`] | what holds and what does not: order, views, large messages, flow control, slow members |
//! | [`life`] | the life of a handle, with a drawing |
//! | [`partitions`] | what both sides hear when a cluster parts and merges, with a drawing |
//! | [`losing_the_daemon`] | corosync dies or restarts |
//! | [`building`] | leaders, state for those who join, the format of messages |
//! | [`choosing`] | which type fits |
//! | [`security`] | who may connect, what a hostile member can do, encryption |
//! | [`from_c`] | call by call, from `corosync/cpg.h` |
//! | [`from_rust_corosync`] | call by call, from `rust-corosync` |
//! | [`codes`] | each code of libcpg, function by function, and what mends it |
//! | [`troubleshooting`] | each error by its text, and what goes wrong without one |
//!
//! Claims have their source beside them: a file and a function of corosync, a letter and a number of [`facts`](crate::facts), a
//! test of this repository. The examples are run against a real daemon.

#[doc = include_str!("guide/building.md")]
pub mod building {}

#[doc = include_str!("guide/choosing.md")]
pub mod choosing {}

#[doc = include_str!("guide/codes.md")]
pub mod codes {}

#[doc = include_str!("guide/from_c.md")]
pub mod from_c {}

#[doc = include_str!("guide/from_rust_corosync.md")]
pub mod from_rust_corosync {}

#[doc = include_str!("guide/life.md")]
#[doc = include_str!("guide/life.svg")]
#[doc = ""]
#[doc = include_str!("guide/life-end.md")]
pub mod life {}

#[doc = include_str!("guide/losing_the_daemon.md")]
pub mod losing_the_daemon {}

#[doc = include_str!("guide/partitions.md")]
#[doc = include_str!("guide/partitions.svg")]
#[doc = ""]
#[doc = include_str!("guide/partitions-end.md")]
pub mod partitions {}

#[doc = include_str!("guide/promises.md")]
pub mod promises {}

#[doc = include_str!("guide/security.md")]
pub mod security {}

#[doc = include_str!("guide/troubleshooting.md")]
pub mod troubleshooting {}
