//! The state of a membership while its records are read.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::record::{Member, MessageId, Ring};
use crate::stretch::Start;

/// The knowledge of a client at one place in its records.
pub(crate) struct Live {
    pub(crate) me: Member,
    pub(crate) view: Option<BTreeSet<Member>>,
    pub(crate) ring: Option<Ring>,
    pub(crate) start: Start,
    /// The members of the view when the ring began.
    pub(crate) members: BTreeSet<Member>,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// True if there was an event since `from`.
    pub(crate) any: bool,
    /// An earlier membership of the same process has ended, and this one has not begun for the others.
    pub(crate) absent: bool,
    /// The members that left since the last ring.
    pub(crate) departed: HashSet<Member>,
    /// The members that ended since the last message, and have not joined again.
    pub(crate) ended: BTreeSet<Member>,
    /// The nodes that went down since the last message.
    pub(crate) lost_nodes: BTreeSet<u32>,
    /// The nodes that came since the last message, and those that came with this ring.
    pub(crate) up_nodes: BTreeSet<u32>,
    pub(crate) met_nodes: BTreeSet<u32>,
    pub(crate) unheard: BTreeSet<u32>,
    pub(crate) meetings: BTreeMap<u32, u32>,
    /// The messages whose senders are not in the view.
    pub(crate) early: Vec<(Member, MessageId)>,
}

impl Live {
    /// Returns the state of a membership that begins.
    pub(crate) fn new(me: Member, at: u64) -> Self {
        Self {
            me,
            view: None,
            ring: None,
            start: Start::Join,
            members: BTreeSet::new(),
            from: at,
            to: at,
            any: false,
            absent: false,
            departed: HashSet::new(),
            ended: BTreeSet::new(),
            lost_nodes: BTreeSet::new(),
            up_nodes: BTreeSet::new(),
            met_nodes: BTreeSet::new(),
            unheard: BTreeSet::new(),
            meetings: BTreeMap::new(),
            early: Vec::new(),
        }
    }
}
