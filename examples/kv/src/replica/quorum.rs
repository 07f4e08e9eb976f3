//! The members that count, and the changes that are acknowledged.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use cpg::Member;

/// The number of all nodes, whether they run or not. The operator gives it. The
/// length of a view cannot replace it, because a view shrinks with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nodes(pub u32);

impl Nodes {
    /// Returns the least number of nodes that is more than half. Any two sets of
    /// that many nodes have a node in common.
    pub fn majority(self) -> usize {
        self.0 as usize / 2 + 1
    }

    /// Returns the number of changes that are acknowledged. `held` has one number
    /// per voter: the number of changes that this voter has said it holds.
    pub fn acknowledged(self, held: impl IntoIterator<Item = u64>) -> u64 {
        let mut held: Vec<u64> = held.into_iter().collect();
        held.sort_unstable_by_key(|&count| Reverse(count));
        // The first `majority()` voters all hold at least this number.
        held.get(self.majority() - 1).copied().unwrap_or(0)
    }
}

/// Returns the members of a view that count. A node has one vote. It has none
/// while two of its processes are members.
pub fn voters(view: &[Member]) -> BTreeSet<Member> {
    let on_node = |node| view.iter().filter(move |member| member.node() == node);
    let counts = |member: &&Member| on_node(member.node()).count() == 1;
    view.iter().filter(counts).copied().collect()
}
