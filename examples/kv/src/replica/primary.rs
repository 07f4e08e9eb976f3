//! The state that the primary component begins with.

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

/// Returns the place that an epoch begins with, and a member that holds it, from the places that members have promised to leave for it.
/// `None` if too few have promised.
///
/// A change that was acknowledged is held on a majority of the nodes. So one that holds it is among those counted here, and the greatest
/// place contains it. Who holds nothing does not count: it may be a process that was started again, on a node that held the change. At
/// an operator's word all count.
pub fn begins_with(
    promises: &BTreeMap<Member, Option<Place>>,
    voters: &BTreeSet<Member>,
    majority: usize,
    at_a_word: bool,
) -> Option<(Option<Place>, Member)> {
    let counts =
        |member: &Member, held: &Option<Place>| voters.contains(member) && (at_a_word || held.is_some());
    let counted = promises.iter().filter(|(member, held)| counts(member, held));
    let (member, held) = counted.clone().max_by_key(|(member, held)| (**held, Reverse(**member)))?;
    (counted.count() >= majority).then_some((*held, *member))
}
