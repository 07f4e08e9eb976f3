//! The report of the checker.

use std::collections::BTreeMap;
use std::fmt;

/// The number of texts that are kept of one kind. Further ones are only counted.
const KEPT: usize = 20;

/// A property that was promised. The documentation of this crate defines each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// 1: one order.
    Order,
    /// 2: the same messages between two views, and views that follow from one another.
    Views,
    /// 3: each message once, unchanged, in its sender's order, from a member.
    Delivery,
    /// 4: the sender got an answer about each message, and the answer is true.
    Fate,
    /// 5: all clients get one view in the end, and none hangs.
    Convergence,
}

impl Property {
    /// All properties, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Order, Self::Views, Self::Delivery, Self::Fate, Self::Convergence];

    /// Returns a name of one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Views => "views",
            Self::Delivery => "delivery",
            Self::Fate => "fate",
            Self::Convergence => "convergence",
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An exception that corosync itself causes, so that no client can avoid it. The documentation of this crate explains
/// each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Known {
    /// Nodes separated and merged again on rings that no view shows. So between two views that they have in common,
    /// they were not together.
    PartedUnseen,
    /// A message was under way when two parts merged, or a long message when a member joined. Members that had not
    /// received its first piece do not get the message, nor others in the same frames, although they are in the view in
    /// which the others deliver it. The lost message can also be the report of a join or a leave.
    UnderWay,
    /// A message came before the view that has its sender as joined.
    BeforeJoining,
    /// A long message came with a part missing, because nodes had separated and merged again unseen while it was under way
    /// (B31).
    Damaged,
    /// The last messages of a node that left came to some daemons and not to others, which could not get them any more (B32).
    Released,
    /// The daemon accepted a message and dropped it while its ring re-formed (B17).
    Dropped,
    /// A process that joins while its earlier membership is still ending also gets the views of the earlier one,
    /// because corosync does not distinguish memberships of one process. It is told that it has gone, and then that it
    /// has come.
    EarlierSelf,
    /// A process ended while a ring was formed, and its end was reported before its last messages, which its daemon had
    /// accepted.
    GoneBeforeItsMessages,
}

impl Known {
    /// Returns a name of a few words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PartedUnseen => "parted unseen",
            Self::UnderWay => "under way at a joining or a merge",
            Self::BeforeJoining => "message before its sender's joining",
            Self::Damaged => "long message with a part missing",
            Self::Released => "last messages of a node that left",
            Self::Dropped => "dropped by the daemon",
            Self::GoneBeforeItsMessages => "end of a process before its last messages",
            Self::EarlierSelf => "views of an earlier membership of the same process",
        }
    }
}

/// The number of findings of one kind, with the texts of the first ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The number of findings.
    pub count: u64,
    /// The texts of the first findings.
    pub texts: Vec<String>,
}

impl Found {
    fn add(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.texts.len() < KEPT {
            self.texts.push(text());
        }
    }
}

/// The amounts that were checked. A check of nothing finds nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// The processes whose records were read.
    pub processes: u64,
    /// Memberships.
    pub incarnations: u64,
    /// Messages that clients tried to send.
    pub sent: u64,
    /// Deliveries.
    pub delivered: u64,
    /// Views.
    pub views: u64,
    /// Events about a new ring.
    pub rings: u64,
    /// Tickets that said that their message was delivered.
    pub resolved: u64,
    /// Tickets that said that their message was not delivered.
    pub failed: u64,
    /// Messages that were handed back.
    pub handed_back: u64,
    /// Messages that were refused.
    pub refused: u64,
    /// Stretches of the history of one client that were compared with those of another.
    pub compared: u64,
    /// Messages and views in these stretches.
    pub compared_events: u64,
    /// Forked children that have ended.
    pub forks: u64,
    /// Messages that came after their sender had left.
    pub late: u64,
}

/// The verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The amounts that were checked.
    pub counts: Counts,
    /// The violations.
    pub violations: BTreeMap<Property, Found>,
    /// The exceptions that corosync causes.
    pub known: BTreeMap<Known, Found>,
}

impl Report {
    /// Notes a violation of a property.
    pub fn violation(&mut self, property: Property, text: impl FnOnce() -> String) {
        self.violations.entry(property).or_default().add(text);
    }

    /// Notes an exception that corosync causes.
    pub fn known(&mut self, known: Known, text: impl FnOnce() -> String) {
        self.known.entry(known).or_default().add(text);
    }

    /// Returns true if all properties hold.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}
