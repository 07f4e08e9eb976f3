//! Members whose joining or leave was under way at a merge, and was lost on some: they are in the views of others, or lack there,
//! until the next ring.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use crate::record::{Member, Ring, View};
use crate::sight::{self, Single};
use crate::stretch::Stretch;

/// Those of which a daemon has missed it, by the daemon's node, the group and the ring.
#[derive(Debug, Default)]
pub(crate) struct Astray(RefCell<HashMap<(u32, u8, Ring), BTreeSet<Member>>>);

impl Astray {
    /// The daemon of a client has missed that a member joined or left.
    pub(crate) fn miss(&self, stretch: &Stretch, member: Member) {
        if let Some(ring) = stretch.ring {
            let key = (stretch.me.node, stretch.group, ring);
            self.0.borrow_mut().entry(key).or_default().insert(member);
        }
    }

    /// Whether it has.
    pub(crate) fn has_missed(&self, stretch: &Stretch, member: Member) -> bool {
        let missed = self.0.borrow();
        let of = |ring| missed.get(&(stretch.me.node, stretch.group, ring));
        stretch.ring.and_then(of).is_some_and(|missed| missed.contains(&member))
    }

    /// Whether the daemon is not told that a process joined, because it has missed that it left before.
    pub(crate) fn knows_already(&self, stretch: &Stretch, single: Single) -> bool {
        single.joins && self.has_missed(stretch, single.member)
    }

    /// Whether two views differ in nothing but those.
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
