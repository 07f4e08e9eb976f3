//! Messages under way at a merge are a known exception. A history that differs in one respect is not excused.

use crate::report;
use crate::story::{JOIN, LEAVE, NODE_UP, PROC_DOWN, Story, ring};
use cpg_checker::record::{Ending, Ring};
use cpg_checker::{Known, Property, Report};

fn is_only(report: &Report, known: Known, times: u64) -> bool {
    report.is_good() && report.known.len() == 1 && report.known[&known].count == times
}

/// Another client of the daemon that comes.
#[derive(PartialEq, Eq)]
enum Mate {
    No,
    Stays,
    /// It leaves before the other one joins.
    Leaves,
}

/// The merge of node 2 with nodes 1 and 3, and a client that joins on node 2.
struct Merge {
    /// The ring of node 2 before.
    alone: Ring,
    /// The rings of node 3.
    third: Vec<Ring>,
    /// True if there is a ring between that and the merge of which no client is told.
    unseen: bool,
    /// True if there has been another ring since, of which clients are told.
    later: bool,
    /// The node of the sender, and the number of its message that is missing.
    sender: u32,
    lacks: usize,
    /// The number of messages that come before.
    before: usize,
    mate: Mate,
}

impl Default for Merge {
    fn default() -> Self {
        let third = vec![ring(4), ring(12)];
        Self {
            alone: ring(8),
            third,
            unseen: false,
            later: false,
            sender: 1,
            lacks: 0,
            before: 0,
            mate: Mate::No,
        }
    }
}

/// Client 0 on node 1 sees the merge; client 1 on node 2 joins after it, and lacks one of four messages of client 2.
fn joined_after(merge: &Merge) -> Story {
    let mut story = Story::new(&[1, 2, merge.sender, 2]);
    // A ring that node 2 comes to, and that breaks at once.
    let broken = merge.unseen.then_some(ring(10));
    let next = merge.later.then_some(ring(16));
    let rings = |first: Ring| [Some(first), broken, Some(ring(12)), next].into_iter().flatten().collect();
    story.rings = [(1, rings(ring(4))), (2, rings(merge.alone)), (3, merge.third.clone())].into();
    story.join(0, &[0], 4);
    story.join(2, &[0, 2], 4);
    story.view(&[0], &[], &[(2, JOIN)]);
    let mut there = vec![0, 2];
    if merge.mate != Mate::No {
        story.join(3, &[3], merge.alone.seq);
        story.view(&[0, 2], &[], &[(3, NODE_UP)]);
        story.view(&[3], &[], &[(0, NODE_UP), (2, NODE_UP)]);
        there.push(3);
    }
    story.message(0, &[0, 2]);
    story.totem(&there, 12);
    if merge.later {
        story.message(2, &there);
        story.totem(&there, 16);
    }
    for _ in 0..merge.before {
        story.message(2, &there);
    }
    if merge.mate == Mate::Leaves {
        story.view(&there, &[(3, LEAVE)], &[]);
        there.pop();
    }
    let all: Vec<usize> = there.iter().copied().chain([1]).collect();
    story.join(1, &all, if merge.later { 16 } else { 12 });
    story.view(&there, &[], &[(1, JOIN)]);
    for which in 0..4 {
        let hear = if which == merge.lacks { &there } else { &all };
        story.message(2, hear);
    }
    story.settle(&all);
    story
}

/// Client 0 on node 1 lacks a message of client 2 on node 2, after some others; client 1 has joined there meanwhile.
fn ended_after(before: usize) -> Story {
    let mut story = Story::new(&[1, 2, 2]);
    story.rings = [(1, vec![ring(4), ring(12)]), (2, vec![ring(8), ring(12)])].into();
    story.join(0, &[0], 4);
    story.join(2, &[2], 8);
    story.view(&[0], &[], &[(2, NODE_UP)]);
    story.view(&[2], &[], &[(0, NODE_UP)]);
    story.totem(&[0, 2], 12);
    for _ in 0..before {
        story.message(2, &[0, 2]);
    }
    story.join(1, &[0, 1, 2], 12);
    story.view(&[0, 2], &[], &[(1, JOIN)]);
    story.message(2, &[1, 2]);
    story.view(&[0, 1], &[(2, PROC_DOWN)], &[]);
    story.message(0, &[0, 1]);
    story.settle(&[0, 1]);
    story
}

#[test]
fn a_message_under_way_at_a_merge_is_a_known_exception_for_a_later_join() {
    assert!(is_only(&report(&joined_after(&Merge::default())), Known::UnderWay, 1));
    let unseen = report(&joined_after(&Merge { unseen: true, ..Merge::default() }));
    assert!(is_only(&unseen, Known::UnderWay, 1), "{unseen:#?}");
    assert!(is_only(&report(&ended_after(0)), Known::UnderWay, 1));
    // Nobody says that the daemon had the earlier ones.
    assert!(is_only(&report(&joined_after(&Merge { before: 2, ..Merge::default() })), Known::UnderWay, 1));
}

#[test]
fn a_message_that_was_not_under_way_is_no_exception() {
    let cases = [
        ("the nodes came together", Merge { alone: ring(4), ..Merge::default() }),
        ("an earlier message was heard", Merge { lacks: 1, ..Merge::default() }),
        (
            "the sender's node came with this one",
            Merge { sender: 3, third: vec![ring(8), ring(12)], ..Merge::default() },
        ),
        (
            "the sender's daemon has just begun",
            Merge { sender: 3, third: vec![ring(12)], ..Merge::default() },
        ),
        ("another client of the daemon has it", Merge { mate: Mate::Stays, ..Merge::default() }),
        ("the daemon has heard an earlier one", Merge { mate: Mate::Stays, before: 1, ..Merge::default() }),
        (
            "the daemon has heard an earlier one, as one says who has left",
            Merge { mate: Mate::Leaves, before: 1, ..Merge::default() },
        ),
        ("that was a ring before", Merge { later: true, ..Merge::default() }),
        (
            "the sender's node is not on the ring",
            Merge { sender: 3, unseen: true, third: vec![ring(4), ring(10)], ..Merge::default() },
        ),
    ];
    let cases = cases.map(|(why, merge)| (why, joined_after(&merge)));
    let ended = [("it has heard an earlier one before the other joined", ended_after(1))];
    for (why, story) in cases.into_iter().chain(ended) {
        let found = report(&story);
        assert!(found.violations.contains_key(&Property::Views), "{why}: {found:#?}");
    }
}

/// The leave of client 2 on node 2 is lost on node 1, that of client 0, and so is its joining after that.
fn left_unheard(alone: Ring, before: usize, again: bool) -> Story {
    let mut story = Story::new(&[1, 2, 2, 1]);
    story.rings = [(1, vec![ring(4), ring(12)]), (2, vec![alone, ring(12)])].into();
    story.join(0, &[0], 4);
    story.join(1, &[1], alone.seq);
    story.join(2, &[1, 2], alone.seq);
    story.view(&[1], &[], &[(2, JOIN)]);
    story.view(&[0], &[], &[(1, NODE_UP), (2, NODE_UP)]);
    story.view(&[1, 2], &[], &[(0, NODE_UP)]);
    let all = [0, 1, 2];
    story.totem(&all, 12);
    for _ in 0..before {
        story.message(1, &all);
    }
    story.view(&[1, 2], &[(2, LEAVE)], &[]);
    story.end(2, Ending::Left);
    story.message(1, &[0, 1]);
    if again {
        // Node 1 still has it in its list, and reports no join.
        story.join(2, &[0, 1, 2], 12);
        story.view(&[1], &[], &[(2, JOIN)]);
        story.message(2, &all);
        story.settle(&all);
    } else {
        // To those of node 1 it is there, until the next ring.
        story.join(3, &[0, 1, 2, 3], 12);
        story.view(&[0, 1], &[], &[(3, JOIN)]);
        story.message(0, &[0, 1, 3]);
        story.settle(&[0, 1, 3]);
    }
    story
}

#[test]
fn a_leave_under_way_at_a_merge_is_a_known_exception() {
    let gone = report(&left_unheard(ring(8), 0, false));
    assert!(is_only(&gone, Known::UnderWay, 1), "{gone:#?}");
    let back = report(&left_unheard(ring(8), 0, true));
    assert!(back.is_good(), "{back:#?}");
    assert_eq!(back.known[&Known::UnderWay].count, 2, "{back:#?}");
}

#[test]
fn a_leave_that_was_not_under_way_is_no_exception() {
    for again in [false, true] {
        for (why, alone, before) in
            [("the nodes came together", ring(4), 0), ("a message was heard before", ring(8), 1)]
        {
            let found = report(&left_unheard(alone, before, again));
            assert!(found.violations.contains_key(&Property::Views), "{why}: {found:#?}");
        }
    }
}
