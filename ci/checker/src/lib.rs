//! A checker of the promises of corosync and of the crate `cpg`, for processes in closed process groups.
//!
//! The checker uses neither corosync nor the crate. It reads [records](record::Record) that the processes wrote about
//! everything that they sent, delivered and saw, in any number of groups. It needs memory for each message and each
//! ring, but not for each delivery.
//!
//! # The part of history that two clients have in common
//!
//! Views of CPG have no names, and the same set of members can form a view many times. But each *ring* of totem, the
//! protocol under corosync, has a name, and clients get an event for each new ring. This event comes right after the
//! views that the ring causes. All nodes on a ring deliver the same events in the same order (messages, single joins
//! and single leaves) until the next ring is formed. So the history of a client consists of **stretches**, each from
//! the event about one ring to the event about the next. The stretches of two clients, with their views, can be
//! compared if they belong to the same group and both clients went *from the same ring to the same next ring, by the
//! same way*:
//!
//! - The way is the list of rings that the daemon was on in between, taken from its log. Clients get no event for a
//!   ring that ended before its services had agreed, so two nodes can separate and merge again unnoticed.
//! - The views at the end of a stretch belong to the next ring. They depend on the members that each side knew, and
//!   are not compared.
//! - A client that joined on the ring has only a part of the stretch: from its join, which the others see as well. A
//!   client that left or was killed also has a part, and is compared with clients of the same daemon.
//! - The last stretch ends with the last messages. Each client sends one when nothing else happens any more.
//!
//! # The five properties
//!
//! 1. **Order.** There is one order of all messages that contains the order of each client, over all its
//!    memberships. (This is more than that all clients deliver any two messages in the same order: it also excludes
//!    cycles of three and more messages.)
//! 2. **Views.** Stretches that can be compared are equal. Each view is the view before, without the members that
//!    left and with those that joined. The first view lists the client as joining, and later views have the client as a
//!    member until it leaves.
//! 3. **Delivery.** Each message is delivered to a client at most once, with the bytes that were sent, after the
//!    earlier messages of its sender, and with the right sender. The sender is in the view, or has left since the last
//!    ring. Nothing else is delivered.
//! 4. **Fate.** The answers that a sender gets about a message are true:
//!    - if a ticket says that it was delivered, it was delivered to its sender, and to each client whose stretch can
//!      be compared with the sender's;
//!    - if a ticket says that it failed, it was not delivered to its sender;
//!    - if it was refused, or handed back as not sent or as dropped, it was delivered to no client;
//!    - if a queue accepted it, and the sender ended in order, it was either delivered to the sender or handed back,
//!      and its ticket is resolved. Without a queue, it was delivered to the sender unless the connection was lost.
//! 5. **Convergence.** The program that runs the processes checks this; the report of the checker has a place for
//!    its result.
//!
//! Three kinds of events at a process or its node must not change any of this:
//!
//! - A **fork**. The process goes on as before. Its child has the connection as well; if it took or sent anything,
//!   the records of the parent would have too little or too much (properties 2 to 4). The child tries to use the
//!   connection, and the parent records the result. A child that could use the connection violates property 3; one that
//!   did not end violates property 5.
//! - A **signal**. It interrupts calls, which go on or are refused.
//! - A **full `/dev/shm`**. No process can connect, so a membership begins later. Connected processes go on.
//!
//! # The exceptions, which corosync itself causes
//!
//! The report counts each of these separately ([`Known`]), and its texts say where it happened. There are no other
//! exceptions.
//!
//! - [`UnderWay`](Known::UnderWay). A message that does not fit into one frame travels in pieces. When two parts
//!   merge while pieces are under way, a daemon that has not received the first piece drops all frames of the sending
//!   node up to the end of the message (`exec/totempg.c`, `THROW_AWAY_ACTIVE`), together with the small messages in
//!   these frames. The sender, and the nodes that were with it, deliver all of them, after the view that has both
//!   parts. libcpg puts a message above the atomic size together in the same way, so a client that joins in the middle
//!   of such a message does not get it.
//!   - Excused, for a node that came with a ring: the messages before the first one that is received from this node;
//!     and one message above the atomic size per sender, for each time that the sender and the client met. The nodes
//!     that came with a ring are taken from the logs of the daemons, because a client that joins right after the merge
//!     has not seen it, and because clients get no event for a ring that ends before services have agreed.
//!   - Not excused: a message that was delivered to another client of the same daemon, and later messages of that node.
//!   - Joins and leaves are small messages of daemons, and are lost in the same way. On nodes that missed a leave,
//!     the process stays in the views until the next ring, and its next join is not reported (`exec/cpg.c`,
//!     `do_proc_join`). Excused is such a loss from a node that came with the ring, before the first message that is
//!     received from the node; views on that ring may then differ in this process.
//! - [`PartedUnseen`](Known::PartedUnseen). Nodes went from one ring to another on two different ways, and no view
//!   says so, because services had not agreed in between (`exec/sync.c`). The list of the members that left is made
//!   only from the last step (`exec/cpg.c`, `cpg_sync_init`).
//! - [`BeforeJoining`](Known::BeforeJoining). A daemon delivers messages of a node as soon as it knows a member on
//!   that node. While two parts merge, a process that joins on the other side makes its node known. Then messages of
//!   other processes there come before the view that has these processes.
//! - [`EarlierSelf`](Known::EarlierSelf). corosync identifies a member by node and pid. If a process gives up joining
//!   while a ring is formed, and joins again, its new handle also gets the views of the first attempt: the process has
//!   joined, is gone (with the reason that a process has ended), has joined. Other nodes may still have the first
//!   membership, from a list that was made before it ended. Their clients are not told of the second join
//!   (`exec/cpg.c`, `do_proc_join` knows the process already).
//! - [`GoneBeforeItsMessages`](Known::GoneBeforeItsMessages). While services agree about a new ring, a daemon sends
//!   from a separate queue (`exec/totemsrp.c`, `new_message_queue_trans`); the earlier messages of its clients wait in
//!   another queue. If a process ends in this time, the report of its end overtakes its messages (`exec/cpg.c`,
//!   `cpg_lib_exit_fn`). Clients on its node are told of the end, and then get the messages. Clients on other nodes are
//!   told of the end; then that the process has come, because it is in the list of members that its daemon has sent
//!   (`joinlist_inform_clients`); and at the next ring again of its end (`joinlist_remove_zombie_pi_entries`).
//!   - Excused: messages of a process whose end was reported between the last message of one ring and the event about
//!     the next. This holds only on that next ring, only if the node of the process came to it, and only if neither
//!     these nor later messages were delivered to the process itself. It holds for clients on other nodes only if the
//!     process came back nowhere.
//!   - Excused as well: on that ring, views of clients on the node of the process may lack the process, while views
//!     on other nodes have it.
//! - [`Damaged`](Known::Damaged). Nodes that separate and merge again unseen, as at `PartedUnseen`, lose parts of long
//!   messages as at `UnderWay`, and no view tells libcpg to give up what it has of such a message. With the last part it
//!   delivers the whole length, also if a part in the middle is missing (`lib/cpg.c`, `PARTIAL_DELIVER` does not compare
//!   the lengths). Then the end of the bytes is memory that nobody has written (B31).
//!   - Excused: bytes that are not a message, if the sender has sent a message above the atomic size of this length (or
//!     shorter by what a sealed packet has beside it), and its node came to the ring by another way than the client's. Not excused if they came as a message of a packet: its
//!     seals have to show that a part is missing.
//! - [`Released`](Known::Released). A daemon keeps a message until all daemons have it. A token that comes twice makes it
//!   release messages too early (`exec/totemsrp.c`, `message_handler_orf_token` calls `messages_free` before it discards
//!   such a token). If the node of the sender leaves then, a daemon that lacks the message cannot get it from anybody, and
//!   passes over all later messages of that node (`messages_deliver_to_app`, `skip`; B32).
//!   - Excused: a message of a node that was not on the next ring, which the logs show. It came to no client of the
//!     daemon, and no later message of the node came to the client on that ring.
//! - [`Dropped`](Known::Dropped). A daemon accepted a message, and dropped it while its ring re-formed (B17). Excused
//!   only if the message was delivered to no client, and either the log of a daemon reports dropped messages or the
//!   sender was told.
#![forbid(unsafe_code)]

mod again;
mod astray;
mod compare;
mod damaged;
mod fates;
mod gone;
pub mod linearizable;
mod live;
pub mod log;
mod messages;
mod order;
mod reading;
pub mod record;
mod released;
mod report;
mod rings;
mod same;
mod scan;
mod sight;
mod source;
mod stretch;

use std::collections::BTreeMap;
use std::io;

use record::Ring;

pub use report::{Counts, Found, Known, Property, Report};
pub use source::{Reader, Source};

/// The records of one process.
#[derive(Debug, Clone)]
pub struct Process {
    /// The name of the process in the report.
    pub name: String,
    /// Its records.
    pub source: Source,
}

/// The records of all processes, and the logs of the daemons.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The processes; those of one client in the order in which they were started.
    pub processes: Vec<Process>,
    /// The rings that each node was on, in order, from the [logs](log::rings) of the daemons. Without them, the checker
    /// notices that nodes have separated and merged again only by their views, which do not always show it.
    pub rings: BTreeMap<u32, Vec<Ring>>,
    /// True if the logs report [dropped messages](log::drops). `None` without logs.
    pub logged_drops: Option<bool>,
}

/// Reads the whole history, and checks the properties.
///
/// # Errors
/// Those of reading.
pub fn check(history: &History) -> io::Result<Report> {
    let mut report = Report::default();
    let mut scan = scan::scan(history, &mut report)?;
    gone::check(history, &scan, &mut report);
    damaged::check(history, &scan, &mut report);
    fates::check(history, &scan, &mut report);
    same::check(history, &scan, &mut report)?;
    order::check(history, &mut scan, &mut report)?;
    Ok(report)
}
