//! Stretches: the pieces of histories that are compared.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Member, Ring};

/// The beginning of a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the event about its ring.
    Ring,
    /// With the first view of a membership.
    Join,
}

/// The end of a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With the event about the next ring.
    Ring(Ring),
    /// With the last message of the run.
    Settled,
    /// In the middle: the client left, or was killed, or lost its daemon.
    Cut {
        /// True if the daemon of the client went on.
        daemon: bool,
    },
}

/// The events of a client on one ring: from the event about the ring, or from the client's join, to the event about the
/// next ring.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) process: usize,
    pub(crate) group: u8,
    pub(crate) me: Member,
    pub(crate) start: Start,
    pub(crate) ring: Option<Ring>,
    pub(crate) end: End,
    /// The places of its first event, of the event after its last message, and of the event that ends it.
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) until: u64,
    /// The nodes whose members have left according to the views of the next ring.
    pub(crate) lost_nodes: BTreeSet<u32>,
    /// The nodes whose members have come with this ring or an earlier one, and from which no message has come since.
    pub(crate) met_nodes: BTreeSet<u32>,
    /// The number of times that the members of a node have come since the membership began.
    pub(crate) meetings: BTreeMap<u32, u32>,
    /// The number of the membership in the process.
    pub(crate) membership: usize,
    /// The members of the view when the ring began.
    pub(crate) members: BTreeSet<Member>,
}
