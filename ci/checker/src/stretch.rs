//! The pieces of histories that are compared.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{Member, Ring};

/// How a stretch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the event about its ring.
    Ring,
    /// With the first view of a membership.
    Join,
}

/// How a stretch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With the event about the next ring.
    Ring(Ring),
    /// With the last message of the run.
    Settled,
    /// In the middle: the client left, or was killed, or lost its daemon.
    Cut {
        /// Whether its daemon went on.
        daemon: bool,
    },
}

/// What a client saw on one ring: from the event about it, or its own joining, to the event about the next.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) process: usize,
    pub(crate) group: u8,
    pub(crate) me: Member,
    pub(crate) start: Start,
    pub(crate) ring: Option<Ring>,
    pub(crate) end: End,
    /// Where its first event is, where the one after its last message, and where the one that ends it.
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) until: u64,
    /// Nodes whose members the views of the next ring say have left.
    pub(crate) lost_nodes: BTreeSet<u32>,
    /// Nodes whose members have come with this ring or one before, of which nothing has been heard since.
    pub(crate) met_nodes: BTreeSet<u32>,
    /// How often the members of a node have come since the membership began.
    pub(crate) meetings: BTreeMap<u32, u32>,
    /// Which membership of the process.
    pub(crate) membership: usize,
    /// Who was in the view when the ring began.
    pub(crate) members: BTreeSet<Member>,
}
