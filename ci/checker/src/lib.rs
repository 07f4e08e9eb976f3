//! Decides whether what processes in closed process groups sent, delivered and saw was as corosync and the crate `cpg` promise.
//!
//! It knows neither of them: it reads [records](record::Record) that the processes wrote, of any number of groups. Memory is
//! needed for each message and each ring, not for each delivery.
//!
//! # What two clients have in common
//!
//! Views of CPG have no names, and the same members can make a view many times. What has a name is the *ring* of totem, the
//! protocol under corosync, and clients are told of each new one. It comes right after the views that it brings. All nodes on a
//! ring deliver the same events in the same order, messages and single joins and leaves alike, until the next ring is formed.
//! So a client's history falls into **stretches**, from the event about one ring to that about the next, and the stretches of
//! two clients can be compared as they are, views included, when they are of the same group and both clients went *from the
//! same ring to the same next ring, by the same way*:
//!
//! - The way is the list of rings that the daemon was on in between, from its log. corosync does not tell clients of a ring that
//!   ended before its services had agreed: two nodes can part and come together again unseen.
//! - The views at the end of a stretch belong to the next ring, and differ with what each side knew. They are not compared.
//! - A client that joined on the ring has a part: from its own joining, which the others see too. One that left, or was killed,
//!   has a part as well, and is compared with others on its own node, whose daemon is the same.
//! - The last stretch ends with the last message, which every client sends when all else has come to rest.
//!
//! # The five properties
//!
//! 1. **Order.** There is one order of all messages that contains the order of each client, over all its memberships. (More than
//!    that any two messages come in the same order to all: circles of three are found as well.)
//! 2. **Views.** Stretches that can be compared are equal. Each view follows from the one before by those who left and joined;
//!    the first has the client itself as joining, and the others have it as a member until it leaves.
//! 3. **Delivery.** A client delivers a message once, with the bytes that were sent, after the earlier ones of its sender and
//!    from nobody else; while its sender is in the view, or has left since the last ring. Nothing else is delivered.
//! 4. **Fate.** Of a message that
//!    - a ticket says is delivered, the sender has delivered it, and so has each client whose stretch can be compared with that of
//!      the sender;
//!    - a ticket says has failed, the sender has not delivered it;
//!    - was refused, or handed back as not sent, or as dropped, nobody has delivered;
//!    - was accepted by a queue, and whose sender came to its end: it was delivered by the sender or handed back, not both, and
//!      its ticket has spoken. Without a queue: it was delivered by the sender unless the connection was lost.
//! 5. **Convergence.** Decided by who runs the processes; the checker has a place for it in its report.
//!
//! Three things that happen to a process and its node change none of this, so that nothing is excused for them. A process that
//! **forks** goes on as before: its child has the connection too, and whatever it took from there or sent would be lacking or too much
//! in the records of its parent (properties 2 to 4). The child tries, and the parent writes down what became of that: that a child could
//! use the connection is against property 3, and that it did not end against property 5. A **signal** interrupts calls, which go
//! on or are refused. On a **full `/dev/shm`** nobody can connect, and those who are connected go on: a membership begins later.
//!
//! # What corosync does not keep
//!
//! Each is named apart in the report ([`Known`]), and its texts say where. Nothing else is excused.
//!
//! - [`UnderWay`](Known::UnderWay). A message that does not go into one frame travels in pieces. When two parts merge while the
//!   pieces are on their way, those who did not hear the first one drop all frames of that node up to the end of the message
//!   (`exec/totempg.c`, `THROW_AWAY_ACTIVE`), with the small messages that are in them. The sender and those who were with it
//!   deliver all of them, after the view that has both parts. A message above the atomic size is put together by libcpg in the
//!   same way, so that a client that joins in the middle of one does not get it. Excused are, of a node that came with a ring,
//!   the messages before the first one that is heard of it, and one message above the atomic size of each sender for each time
//!   that it and the client met. The logs of the daemons say which nodes came with a ring: a client that joins right after
//!   the merge has not seen it, and no client is told of a ring that ends before services have agreed. A message that another
//!   client of the same daemon was delivered is not excused, nor one of that node after it. Joinings and leaves are small messages of
//!   daemons, and are lost in the same way: a process that has left stays in the views of those who did not hear it, until the next
//!   ring, and they are not told that it joins again (`exec/cpg.c`, `do_proc_join`). Excused is one of a node that came with the
//!   ring before the first message that is heard of it, and then that views on that ring differ in that process.
//! - [`PartedUnseen`](Known::PartedUnseen). Nodes went from one ring to another on two ways, and no view says so, because services
//!   had not agreed in between (`exec/sync.c`): the list of those who left is made from the last step alone (`exec/cpg.c`,
//!   `cpg_sync_init`).
//! - [`BeforeJoining`](Known::BeforeJoining). A daemon hands on messages of a node that it knows a member of. While two parts merge, a
//!   process that joins on the other side makes its node known, and messages of others there come before the view that has them.
//! - [`EarlierSelf`](Known::EarlierSelf). corosync knows a member by node and pid. A process that gives up joining while a ring is
//!   formed, and joins again, gets on the new handle the views of the first attempt: that it has joined, that it has gone
//!   (with the reason that a process has ended), that it has joined. Others can still have the first one, from a list that was
//!   made before it ended; they are not told that it has joined (`exec/cpg.c`, `do_proc_join` knows it already).
//! - [`GoneBeforeItsMessages`](Known::GoneBeforeItsMessages). While the services agree about a new ring, a daemon sends from a
//!   queue of its own (`exec/totemsrp.c`, `new_message_queue_trans`), and what clients have sent before waits in another one. When a
//!   process ends in that time, the news goes before its messages (`exec/cpg.c`, `cpg_lib_exit_fn`). Its own node is told that it
//!   has ended, and gets its messages then. Others are told so as well, and then that it has come, because it is in the list of
//!   members that its daemon has sent (`joinlist_inform_clients`), and at the next ring that it has ended
//!   (`joinlist_remove_zombie_pi_entries`). Excused are messages of a process of which such a view came between the last message of
//!   one ring and the event about the next, on that next ring alone, when its node came to it, and the sender has not been
//!   delivered them itself, nor later ones; by clients on other nodes only if it came back to nobody. And of views on that
//!   ring, those of a client on its node may be without it where those of one on another node have it.
//! - [`Dropped`](Known::Dropped). A daemon said that it took a message, and dropped it while its ring re-formed (B17). Only when
//!   nobody has delivered it, and a daemon's log tells of dropped messages, or the sender was told.
#![forbid(unsafe_code)]

mod again;
mod astray;
mod compare;
mod fates;
mod gone;
mod live;
pub mod log;
mod messages;
mod order;
mod reading;
pub mod record;
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
    /// What it is called in the report.
    pub name: String,
    /// Its records.
    pub source: Source,
}

/// All that happened.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The processes; those of one client in the order in which they were started.
    pub processes: Vec<Process>,
    /// The rings that each node was on, in order, from the [logs](log::rings) of the daemons. Without it nodes that parted and
    /// came together again are told apart by their views alone, which do not always say.
    pub rings: BTreeMap<u32, Vec<Ring>>,
    /// Whether the logs tell of [dropped messages](log::drops), if there are logs.
    pub logged_drops: Option<bool>,
}

/// Reads it all, and decides.
///
/// # Errors
/// Those of reading.
pub fn check(history: &History) -> io::Result<Report> {
    let mut report = Report::default();
    let mut scan = scan::scan(history, &mut report)?;
    gone::check(history, &scan, &mut report);
    fates::check(history, &scan, &mut report);
    same::check(history, &scan, &mut report)?;
    order::check(history, &mut scan, &mut report)?;
    Ok(report)
}
