//! Members whose join or leave was under way at a merge, and was lost on some nodes. Until the next ring, the views
//! there wrongly contain or lack these members.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use crate::record::{Member, Ring, View};
use crate::sight::{self, Single};
use crate::stretch::Stretch;

/// The members whose join or leave a daemon has missed, by the node of the daemon, the group and the ring.
#[derive(Debug, Default)]
pub(crate) struct Astray(RefCell<HashMap<(u32, u8, Ring), BTreeSet<Member>>>);

impl Astray {
    /// Notes that the daemon of a client has missed the join or the leave of a member.
    pub(crate) fn miss(&self, stretch: &Stretch, member: Member) {
        if let Some(ring) = stretch.ring {
            let key = (stretch.me.node, stretch.group, ring);
            self.0.borrow_mut().entry(key).or_default().insert(member);
        }
    }

    /// Returns true if the daemon of the client has missed the join or the leave of the member.
    pub(crate) fn has_missed(&self, stretch: &Stretch, member: Member) -> bool {
        let missed = self.0.borrow();
        let of = |ring| missed.get(&(stretch.me.node, stretch.group, ring));
        stretch.ring.and_then(of).is_some_and(|missed| missed.contains(&member))
    }

    /// Returns true if the daemon is not told that a process joined, because it has missed the earlier leave of the
    /// process.
    pub(crate) fn knows_already(&self, stretch: &Stretch, single: Single) -> bool {
        single.joins && self.has_missed(stretch, single.member)
    }

    /// Returns true if two views differ only in such members.
    pub(crate) fn explains(
        &self,
        (one, view): (&Stretch, &View),
        (other, others): (&Stretch, &View),
    ) -> bool {
        sight::astray(view, others).is_some_and(|differ| {
            differ.iter().all(|&member| self.has_missed(one, member) || self.has_missed(other, member))
        })
    }
}
