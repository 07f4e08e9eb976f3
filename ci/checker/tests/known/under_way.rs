//! What was under way at a merge is known, and a history that differs from it in one respect is not excused.

use crate::report;
use crate::story::{JOIN, NODE_UP, Story, ring};
use cpg_checker::record::Ring;
use cpg_checker::{Known, Property, Report};

const LAST: u64 = 12;

fn is_only(report: &Report, known: Known, times: u64) -> bool {
    report.is_good() && report.known.len() == 1 && report.known[&known].count == times
}

/// Who joined before a node comes to a ring, and who sends what after that.
struct Merge {
    /// The ring that node 2 was on before.
    alone: Ring,
    /// Those of node 3 before it.
    third: Vec<Ring>,
    /// Whether there is a ring between that and the merge of which no client is told.
    unseen: bool,
    /// The node of the sender, and of which of the messages the one that joins lacks.
    sender: u32,
    lacks: usize,
    /// How many come before it joins, and to whom else on its node.
    before: usize,
    mate: bool,
}

impl Default for Merge {
    fn default() -> Self {
        Self {
            alone: ring(8),
            third: vec![ring(4), ring(LAST)],
            unseen: false,
            sender: 1,
            lacks: 0,
            before: 0,
            mate: false,
        }
    }
}

/// Client 0 on node 1 sees the merge; client 1 on node 2 joins after it, and lacks one of four messages of client 2.
fn joined_after(merge: &Merge) -> Story {
    let mut story = Story::new(&[1, 2, merge.sender, 2]);
    let mut seconds = vec![merge.alone, ring(LAST)];
    let mut firsts = vec![ring(4), ring(LAST)];
    if merge.unseen {
        // Node 2 comes with a ring that breaks at once.
        seconds.insert(1, ring(10));
        firsts.insert(1, ring(10));
    }
    story.rings = [(1, firsts), (2, seconds), (3, merge.third.clone())].into();
    story.join(0, &[0], 4);
    story.join(2, &[0, 2], 4);
    story.view(&[0], &[], &[(2, JOIN)]);
    let mut there = vec![0, 2];
    if merge.mate {
        story.join(3, &[3], merge.alone.seq);
        story.view(&[0, 2], &[], &[(3, NODE_UP)]);
        story.view(&[3], &[], &[(0, NODE_UP), (2, NODE_UP)]);
        there.push(3);
    }
    // Something has happened on the ring before.
    story.totem(&there, LAST);
    for _ in 0..merge.before {
        story.message(2, &there);
    }
    let all: Vec<usize> = there.iter().copied().chain([1]).collect();
    story.join(1, &all, LAST);
    story.view(&there, &[], &[(1, JOIN)]);
    for which in 0..4 {
        let hear = if which == merge.lacks { &there } else { &all };
        story.message(2, hear);
    }
    story.settle(&all);
    story
}

#[test]
fn what_was_under_way_when_the_node_came_is_known_to_one_who_joins_then() {
    assert!(is_only(&report(&joined_after(&Merge::default())), Known::UnderWay, 1));
    let unseen = report(&joined_after(&Merge { unseen: true, ..Merge::default() }));
    assert!(is_only(&unseen, Known::UnderWay, 1), "{unseen:#?}");
    // Nobody says that the daemon had the earlier ones.
    assert!(is_only(&report(&joined_after(&Merge { before: 2, ..Merge::default() })), Known::UnderWay, 1));
}

#[test]
fn what_was_not_under_way_is_no_excuse() {
    let cases = [
        ("the nodes came together", Merge { alone: ring(4), ..Merge::default() }),
        ("an earlier message was heard", Merge { lacks: 1, ..Merge::default() }),
        (
            "the sender's node came with this one",
            Merge { sender: 3, third: vec![ring(8), ring(LAST)], ..Merge::default() },
        ),
        (
            "the sender's daemon has just begun",
            Merge { sender: 3, third: vec![ring(LAST)], ..Merge::default() },
        ),
        ("another client of the daemon has it", Merge { mate: true, ..Merge::default() }),
        ("the daemon has heard an earlier one", Merge { mate: true, before: 1, ..Merge::default() }),
    ];
    for (why, merge) in cases {
        let found = report(&joined_after(&merge));
        assert!(found.violations.contains_key(&Property::Views), "{why}: {found:#?}");
    }
}
