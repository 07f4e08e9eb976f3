//! The guide: promises of groups, ways to build programs on them, and remedies when something goes wrong.
//!
//! The pages are in the order in which to read them. Each page leads to the next at its end.
//!
//! | page | subject |
//! |---|---|
//! | [`choosing`] | the types, by the kind of program, with an example of each |
//! | [`life`] | the life of a handle and of a message, with drawings |
//! | [`promises`] | promises and their limits: order, views, large messages, flow control, slow members |
//! | [`partitions`] | the events of both sides when a cluster parts and merges, with a drawing |
//! | [`losing_the_daemon`] | a daemon that dies or restarts |
//! | [`building`] | leaders, state for new members, the format of messages |
//! | [`replicated_state`] | state that is the same on all nodes, and changes that survive once they are acknowledged |
//! | [`security`] | the right to connect, the harm that a hostile member can do, encryption |
//! | [`from_c`] | call by call, from `corosync/cpg.h` |
//! | [`from_rust_corosync`] | call by call, from `rust-corosync` |
//! | [`codes`] | each code of libcpg, function by function, and its cure |
//! | [`troubleshooting`] | each error by its text, and faults without an error |
//!
//! Claims have their source beside them: a file and a function of corosync, a letter and a number of [`facts`](crate::facts), or a
//! test of this repository. The examples are run against a real daemon.

#[doc = include_str!("guide/choosing.md")]
#[doc = ""]
#[doc = "Next: [the life of a handle and of a message](crate::guide::life)."]
pub mod choosing {}

#[doc = include_str!("guide/life.md")]
#[doc = include_str!("guide/life.svg")]
#[doc = ""]
#[doc = include_str!("guide/life-end.md")]
#[doc = ""]
#[doc = include_str!("guide/message.md")]
#[doc = include_str!("guide/message.svg")]
#[doc = ""]
#[doc = include_str!("guide/message-end.md")]
#[doc = ""]
#[doc = "Next: [promises](crate::guide::promises)."]
pub mod life {}

#[doc = include_str!("guide/promises.md")]
#[doc = ""]
#[doc = "Next: [partitions](crate::guide::partitions)."]
pub mod promises {}

#[doc = include_str!("guide/partitions.md")]
#[doc = include_str!("guide/partitions.svg")]
#[doc = ""]
#[doc = include_str!("guide/partitions-end.md")]
#[doc = ""]
#[doc = "Next: [losing the daemon](crate::guide::losing_the_daemon)."]
pub mod partitions {}

#[doc = include_str!("guide/losing_the_daemon.md")]
#[doc = ""]
#[doc = "Next: [building on groups](crate::guide::building)."]
pub mod losing_the_daemon {}

#[doc = include_str!("guide/building.md")]
#[doc = ""]
#[doc = "Next: [replicated state](crate::guide::replicated_state)."]
pub mod building {}

#[doc = include_str!("guide/replicated_state.md")]
#[doc = ""]
#[doc = "Next: [security](crate::guide::security)."]
pub mod replicated_state {}

#[doc = include_str!("guide/security.md")]
#[doc = ""]
#[doc = "Next: [coming from C](crate::guide::from_c)."]
pub mod security {}

#[doc = include_str!("guide/from_c.md")]
#[doc = ""]
#[doc = "Next: [coming from `rust-corosync`](crate::guide::from_rust_corosync)."]
pub mod from_c {}

#[doc = include_str!("guide/from_rust_corosync.md")]
#[doc = ""]
#[doc = "Next: [the codes of libcpg](crate::guide::codes)."]
pub mod from_rust_corosync {}

#[doc = include_str!("guide/codes.md")]
#[doc = ""]
#[doc = "Next: [troubleshooting](crate::guide::troubleshooting)."]
pub mod codes {}

#[doc = include_str!("guide/troubleshooting.md")]
#[doc = ""]
#[doc = "Back to [the first page](crate::guide)."]
pub mod troubleshooting {}
