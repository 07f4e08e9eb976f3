//! What the checker found.

use std::collections::BTreeMap;
use std::fmt;

/// Texts that are kept of one kind; the rest is counted.
const KEPT: usize = 20;

/// What was promised; the crate's documentation says it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// 1: one order.
    Order,
    /// 2: the same messages between two views, and views that follow from each other.
    Views,
    /// 3: each message once, unchanged, in its sender's order, from a member.
    Delivery,
    /// 4: what the sender was told of a message is true, and it was told something.
    Fate,
    /// 5: all come to one view, and nothing hangs.
    Convergence,
}

impl Property {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Order, Self::Views, Self::Delivery, Self::Fate, Self::Convergence];

    /// One word.
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

/// What corosync itself does not keep, so that no client can: each is explained in the crate's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Known {
    /// Nodes parted and came together again on rings that no view tells of; between the two views that they have in common
    /// they were not together.
    PartedUnseen,
    /// A message that was under way when two parts merged, or a long one when a member joined: those who had not heard its first
    /// piece do not get it, nor what came in one frame with the pieces, although they are in the view in which the others
    /// deliver it. That can be the news that a process joined or left, too.
    UnderWay,
    /// A message of a member that the next view says has joined.
    BeforeJoining,
    /// The daemon took a message and dropped it while its ring re-formed (B17).
    Dropped,
    /// A process that joins while an earlier membership of it is still ending gets the views of that one, too: corosync tells
    /// memberships of one process not apart. It is told that it has gone, and then that it has come.
    EarlierSelf,
    /// A process ended while a ring was formed, and its end was told before the last messages that its daemon had taken from it.
    GoneBeforeItsMessages,
}

impl Known {
    /// A few words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PartedUnseen => "parted unseen",
            Self::UnderWay => "under way at a joining or a merge",
            Self::BeforeJoining => "message before its sender's joining",
            Self::Dropped => "dropped by the daemon",
            Self::GoneBeforeItsMessages => "end of a process before its last messages",
            Self::EarlierSelf => "views of an earlier membership of the same process",
        }
    }
}

/// How often something was found, and the first texts about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How often.
    pub count: u64,
    /// What exactly, for the first ones.
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

/// How much was looked at. A check of nothing finds nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Processes whose records were read.
    pub processes: u64,
    /// Memberships.
    pub incarnations: u64,
    /// Messages that were to be sent.
    pub sent: u64,
    /// Deliveries.
    pub delivered: u64,
    /// Views.
    pub views: u64,
    /// Events about a new ring.
    pub rings: u64,
    /// Tickets that said that their message was delivered.
    pub resolved: u64,
    /// Tickets that said that it was not.
    pub failed: u64,
    /// Messages that were handed back.
    pub handed_back: u64,
    /// Messages that were not taken.
    pub refused: u64,
    /// Stretches of the history of one client that were compared with those of another.
    pub compared: u64,
    /// Messages and views in them.
    pub compared_events: u64,
    /// Forks whose child has ended.
    pub forks: u64,
    /// Messages that came after their sender had left.
    pub late: u64,
}

/// The verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What was looked at.
    pub counts: Counts,
    /// What was broken.
    pub violations: BTreeMap<Property, Found>,
    /// What corosync does not keep.
    pub known: BTreeMap<Known, Found>,
}

impl Report {
    /// Notes that a property does not hold.
    pub fn violation(&mut self, property: Property, text: impl FnOnce() -> String) {
        self.violations.entry(property).or_default().add(text);
    }

    /// Notes what corosync does not keep.
    pub fn known(&mut self, known: Known, text: impl FnOnce() -> String) {
        self.known.entry(known).or_default().add(text);
    }

    /// Whether all properties hold.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}
