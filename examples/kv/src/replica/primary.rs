//! The state that the primary component begins with.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use cpg::Member;

/// The identity of an epoch, which is one life of the primary component: the
/// ballot that it was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch {
    /// The time of the operator's command `begin`, in milliseconds since 1970.
    pub begun: u64,
    /// One more than the highest number that the opener had heard of.
    pub number: u64,
    /// The process that opened the epoch: a number that no other process has.
    pub opener: u64,
}

/// The state that a member holds, named by its number of changes and the epoch of
/// the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The epoch.
    pub epoch: Epoch,
    /// The number of changes.
    pub position: u64,
    /// The hash of the changes of that epoch up to this position. It is determined
    /// by the epoch and the position.
    pub chain: u64,
}

/// Returns the place that an epoch begins with, and a member that holds it, from
/// the places of the members that have promised to take part. `None` if these are
/// too few.
///
/// An acknowledged change is held on a majority of the nodes. So one of the members
/// counted here holds it, and the greatest place contains it.
///
/// A member that holds nothing does not count: it may have been started again, on
/// a node that held the change. At an operator's command (`by_command`) all count.
pub fn begins_with(
    promises: &BTreeMap<Member, Option<Place>>,
    voters: &BTreeSet<Member>,
    majority: usize,
    by_command: bool,
) -> Option<(Option<Place>, Member)> {
    let places = promises.iter().map(|(&member, &held)| (held, Reverse(member)));
    let counted =
        places.filter(|(held, Reverse(member))| voters.contains(member) && (held.is_some() || by_command));
    let (held, Reverse(member)) = counted.clone().max()?;
    (counted.count() >= majority).then_some((held, member))
}
