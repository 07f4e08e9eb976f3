//! Who counts, and what is acknowledged.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use cpg::Member;

/// The number of nodes that there are, whether they run or not, as the operator
/// says. The length of a view is no such number: it shrinks with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nodes(pub u32);

impl Nodes {
    /// Returns the least number of nodes that is more than half. Two sets of so
    /// many nodes share one.
    pub fn majority(self) -> usize {
        self.0 as usize / 2 + 1
    }

    /// Returns the number of changes that are acknowledged, from the number that
    /// each voter has said that it holds.
    pub fn acknowledged(self, held: impl IntoIterator<Item = u64>) -> u64 {
        let mut held: Vec<u64> = held.into_iter().collect();
        held.sort_unstable_by_key(|&count| Reverse(count));
        // The first so many hold as much as the last of them.
        held.get(self.majority() - 1).copied().unwrap_or(0)
    }
}

/// Returns the members of a view that count. A node has one voice, and none while
/// two of its processes are members.
pub fn voters(view: &[Member]) -> BTreeSet<Member> {
    let on_node = |node| view.iter().filter(move |member| member.node() == node);
    let counts = |member: &&Member| on_node(member.node()).count() == 1;
    view.iter().filter(counts).copied().collect()
}
