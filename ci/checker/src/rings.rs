//! The rings that nodes were on, from the logs of their daemons.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::record::Ring;
use crate::stretch::{End, Stretch};

/// The rings of each node, and those of which clients were told.
pub(crate) struct Rings<'a> {
    of: &'a BTreeMap<u32, Vec<Ring>>,
    told: HashSet<Ring>,
}

impl<'a> Rings<'a> {
    pub(crate) fn new(of: &'a BTreeMap<u32, Vec<Ring>>, stretches: &[Stretch]) -> Self {
        let mut told = HashSet::new();
        for stretch in stretches {
            told.extend(stretch.ring);
            if let End::Ring(ring) = stretch.end {
                told.insert(ring);
            }
        }
        Self { of, told }
    }

    /// Returns true if there are logs.
    pub(crate) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Returns the rings that a node was on, from one to another.
    pub(crate) fn path(&self, node: u32, from: Ring, to: Option<Ring>) -> Option<&'a [Ring]> {
        let rings = self.of.get(&node)?;
        let first = rings.iter().position(|&ring| ring == from)?;
        let last = match to {
            Some(to) => first + rings[first..].iter().position(|&ring| ring == to)?,
            None => rings.len() - 1,
        };
        Some(&rings[first..=last])
    }

    /// Returns true if two nodes went from this ring to different ones.
    pub(crate) fn part_after(&self, ring: Ring, one: u32, other: u32) -> bool {
        let next = |node| {
            let mut rings = self.of.get(&node)?.iter().skip_while(|&&of| of != ring);
            rings.nth(1)
        };
        next(other).is_some_and(|next_of_other| next(one) != Some(next_of_other))
    }

    /// Returns the nodes that a node met with a ring: they were on another ring before. Messages that a daemon has
    /// accepted wait until services agree, so the nodes that came with earlier rings of which no client was told count
    /// as well.
    pub(crate) fn met(&self, node: u32, ring: Ring) -> BTreeSet<u32> {
        let mut met = BTreeSet::new();
        let Some(rings) = self.of.get(&node) else { return met };
        let Some(last) = rings.iter().position(|&other| other == ring) else { return met };
        for at in (0..=last).rev() {
            if at < last && self.told.contains(&rings[at]) {
                break;
            }
            let before = at.checked_sub(1).map(|before| rings[before]);
            for (&other, others) in
                self.of.iter().filter(|(other, others)| **other != node && others.contains(&ring))
            {
                // A daemon that has just been started has no messages under way.
                let from =
                    others.iter().position(|&other| other == rings[at]).and_then(|at| at.checked_sub(1));
                if from.is_some_and(|from| before != Some(others[from])) {
                    met.insert(other);
                }
            }
        }
        met
    }
}
