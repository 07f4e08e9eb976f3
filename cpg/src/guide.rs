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
//! | [`building`] | leaders, state for new members (with a drawing), the format of messages |
//! | [`replicated_state`] | state that is the same on all nodes, and changes that survive once they are acknowledged |
//! | [`security`] | the right to connect, the harm that a hostile member can do, encryption |
//! | [`from_c`] | call by call, from `corosync/cpg.h` |
//! | [`from_rust_corosync`] | call by call, from `rust-corosync` |
//! | [`codes`] | each code of libcpg, function by function, and its cure |
//! | [`troubleshooting`] | each error by its text, and faults without an error |
//!
//! The source of each claim stands beside it: a file and a function of corosync, an entry of [`facts`](crate::facts) such as
//! [B16](crate::facts#b16), or a test of this repository. The examples are run against a real daemon.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | the daemon | the process `corosync` of this machine, through which all its programs are in groups |
//! | CPG | closed process groups: the service of corosync, and its library libcpg, that this crate binds |
//! | node | a machine with a daemon |
//! | member | a process that is in a group: a node and a process id |
//! | view | the members of a group after a change, with those who left and joined ([`View`](crate::View)) |
//! | ring | the nodes whose daemons form a cluster at the moment. A *token*, a small message between daemons, goes round among them, and gives each message its place in the order. The protocol is called *totem* |
//! | the ring re-forms | nodes came or went, and the daemons agree on a new ring. Until then nothing is ordered |
//! | token | that of totem, see *ring*. The value [`Sent`](crate::Sent) that a session returns for each message is called a token too; it has nothing to do with totem |
//! | token timeout | the time after which a silent node is taken for dead, some seconds. In detail: after the time `token` of `corosync.conf` without a token the daemons begin to form a new ring. A node that is silent for the time `consensus` after that (by default 1.2 times `token`) is not in the new ring |
//! | partition, merge | the network parts the nodes into two rings; the two become one ring again |
//! | quorum | a majority of the nodes. CPG works without it. Another library of corosync, libquorum, tells programs if this part of the cluster has it |
//! | fencing | making sure that a node that was cut off does no more harm, for example by switching its power off |
//! | agreed, safe | two promises about order. *Agreed*: all members get the messages in one order. *Safe*: all members get the messages in one order, and a message is delivered only when all nodes have it. corosync promises agreed order only ([B28](crate::facts#b28)) |
//! | self-delivery | a message that comes back to its sender, at its place in the order: the only acknowledgement |
//! | in flight, window | a message is *in flight* from its sending to its self-delivery. The *window* is the number of bytes that a session lets be in flight at once |
//! | generation | the number of a session's membership: 1, and one more after each reconnect |
//! | flow control | the daemon takes no more messages for the moment. The code is `CS_ERR_TRY_AGAIN` ([B7](crate::facts#b7)) |
//! | atomic size | the size up to which a message goes to the daemon in one piece, about 1 MiB. A longer (*long*) message is sent in parts |
//! | ghost | a member that is still in the views although its node is gone. It stays there until the ring changes again ([B26](crate::facts#b26)) |
//! | paused, dead, lost | a daemon that is stopped (SIGSTOP) or starved is *paused*; one that has ended is *dead*; a connection to a dead daemon is *lost* |
//! | libqb | the library under corosync that connects programs to the daemon, through a socket and memory in `/dev/shm` |
//! | cmap | corosync's own list of settings and statistics (`corosync-cmapctl`) |
//! | DLM | the lock manager of the Linux kernel for clusters. Its daemon, `dlm_controld`, is a program on CPG |

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
#[doc = "```"]
#[doc = include_str!("../snippets/quorum.rs")]
#[doc = "```"]
#[doc = ""]
#[doc = include_str!("guide/promises-end.md")]
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
#[doc = include_str!("guide/transfer.svg")]
#[doc = ""]
#[doc = include_str!("guide/transfer-end.md")]
#[doc = ""]
#[doc = "```"]
#[doc = include_str!("../snippets/transfer.rs")]
#[doc = "```"]
#[doc = ""]
#[doc = include_str!("guide/building-end.md")]
#[doc = ""]
#[doc = "Next: [replicated state](crate::guide::replicated_state)."]
pub mod building {}

#[doc = include_str!("guide/replicated_state.md")]
#[doc = ""]
#[doc = "```"]
#[doc = include_str!("../snippets/primary.rs")]
#[doc = "```"]
#[doc = ""]
#[doc = include_str!("guide/replicated_state-end.md")]
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
