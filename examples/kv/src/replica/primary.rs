//! The decisions of replicated state: who counts, which state an epoch begins with, and what is acknowledged.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use cpg::Member;

/// The identity of an epoch, one life of the primary component: the ballot that it was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch {
    /// When the operator had the state begin, in milliseconds since 1970.
    pub begun: u64,
    /// One more than any that the opener had heard of.
    pub number: u64,
    /// The process that opened it: a number that no other process has.
    pub opener: u64,
}

/// What a member holds: the state after so many changes, the last of them in this epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The epoch.
    pub epoch: Epoch,
    /// The number of changes.
    pub position: u64,
    /// The hash of the changes of that epoch up to there. It follows from the rest.
    pub chain: u64,
}

/// The number of nodes that there are, whether they run or not. It is the operator's. The length of a view is no such number: it shrinks
/// with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nodes(pub u32);

impl Nodes {
    /// True for more than half of them. Two sets of nodes that are each so large share a node.
    pub fn is_majority(self, count: usize) -> bool {
        2 * count > self.0 as usize
    }

    /// Returns the position up to which changes are acknowledged, of those that the voters hold in one epoch: a majority has come so far.
    pub fn acknowledged(self, held: impl IntoIterator<Item = u64>) -> u64 {
        let mut held: Vec<u64> = held.into_iter().collect();
        held.sort_unstable_by_key(|&position| Reverse(position));
        // The least of the smallest majority, if that comes first which holds most.
        held.get(self.0 as usize / 2).copied().unwrap_or(0)
    }

    /// Returns the place that an epoch begins with, and a member that holds it, from what the members of a view have promised to hold. `None`
    /// if too few have promised.
    ///
    /// The promises of a majority include that of a node that held what was acknowledged, and the greatest place contains it. Who holds
    /// nothing does not count: it may have been started again, and have held it before. At an operator's word all count.
    pub fn begins_with(
        self,
        promises: &BTreeMap<Member, Option<Place>>,
        voters: &BTreeSet<Member>,
        at_a_word: bool,
    ) -> Option<(Option<Place>, Member)> {
        let counts =
            |member: &Member, held: &Option<Place>| voters.contains(member) && (at_a_word || held.is_some());
        let counted = promises.iter().filter(|(member, held)| counts(member, held));
        let best = counted.clone().max_by_key(|(member, held)| (**held, Reverse(**member)));
        best.filter(|_| self.is_majority(counted.count())).map(|(member, held)| (*held, *member))
    }
}

/// Returns the members of a view that count: a node is one voice, and has none while two processes of it are members.
pub fn voters(view: &[Member]) -> BTreeSet<Member> {
    let alone = |member: &&Member| view.iter().filter(|other| other.node() == member.node()).count() == 1;
    view.iter().filter(alone).copied().collect()
}
