//! The state that the primary component begins with.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use cpg::Member;

/// The identity of an epoch, which is one life of the primary component: the
/// ballot that it was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch {
    /// When the operator had the state begin, in milliseconds since 1970.
    pub begun: u64,
    /// One more than any that the opener had heard of.
    pub number: u64,
    /// The process that opened it: a number that no other process has.
    pub opener: u64,
}

/// What a member holds: the state after so many changes, the last of them in this
/// epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The epoch.
    pub epoch: Epoch,
    /// The number of changes.
    pub position: u64,
    /// The hash of the changes of that epoch up to there. It follows from the rest.
    pub chain: u64,
}

/// Returns the place that an epoch begins with, and a member that holds it, from
/// the places of those who have promised to take part. `None` if these are too few.
///
/// A change that was acknowledged is held on a majority of the nodes. So one that
/// holds it is among those counted here, and the greatest place contains it.
///
/// A member that holds nothing does not count: it may have been started again, on a
/// node that held the change. At an operator's word all count.
pub fn begins_with(
    promises: &BTreeMap<Member, Option<Place>>,
    voters: &BTreeSet<Member>,
    majority: usize,
    at_a_word: bool,
) -> Option<(Option<Place>, Member)> {
    let places = promises.iter().map(|(&member, &held)| (held, Reverse(member)));
    let counted =
        places.filter(|(held, Reverse(member))| voters.contains(member) && (held.is_some() || at_a_word));
    let (held, Reverse(member)) = counted.clone().max()?;
    (counted.count() >= majority).then_some((held, member))
}
