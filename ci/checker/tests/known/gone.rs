//! A process whose end is reported before its messages is a known exception. A history that differs in one respect is
//! not excused.

use crate::report;
use crate::story::{JOIN, LEAVE, NODE_DOWN, NODE_UP, PROC_DOWN, Story, ring};
use cpg_checker::record::Ring;
use cpg_checker::{Known, Property};

const LAST: u64 = 12;

/// A process that ends while ring 8 is formed.
struct Ending8 {
    reason: u8,
    /// The clients that are told that it has ended, and that it has come back.
    told: Vec<usize>,
    back: Vec<usize>,
    /// The reason of its return.
    returns: u8,
    /// The node of client 4.
    other: u32,
    /// True if there is an event about the ring.
    ring: bool,
    /// True if a message comes between its end and the ring.
    between: bool,
    /// True if its message comes on the ring after that.
    later: bool,
    /// The message that is delivered to the process itself, if any: this one or the next.
    lives: Option<u32>,
    /// The client whose message comes.
    sender: usize,
    /// The reason with which client 3 joins on node 2, and its node.
    joins: u8,
    joins_on: u32,
    /// The client that has left only in the views of node 2.
    leaves: Option<usize>,
    /// The rings of the logs of node 2.
    rings: Vec<Ring>,
}

impl Default for Ending8 {
    fn default() -> Self {
        Self {
            reason: PROC_DOWN,
            told: vec![0, 1, 4],
            back: vec![0, 4],
            returns: NODE_UP,
            other: 3,
            ring: true,
            between: false,
            later: false,
            lives: None,
            sender: 2,
            joins: JOIN,
            joins_on: 1,
            leaves: None,
            rings: vec![ring(4), ring(8), ring(LAST), ring(16)],
        }
    }
}

/// Client 0 on node 1, 1 and 2 on node 2, of which 2 ends; 4 somewhere; 3 joins later, and 6. 5 has left before, and 7 says
/// nothing.
fn ends(how: &Ending8) -> Story {
    let mut story = Story::new(&[1, 2, 2, how.joins_on, how.other, 2, 1, 2]);
    story.rings =
        [1, 3].into_iter().map(|node| (node, vec![ring(4), ring(8), ring(LAST), ring(16)])).collect();
    story.rings.insert(2, how.rings.clone());
    story.join(5, &[5], 4);
    story.leave(5);
    let there = [0, 1, 2, 4];
    for (index, &client) in there.iter().enumerate() {
        story.join(client, &there[..=index], 4);
        story.view(&there[..index], &[], &[(client, JOIN)]);
    }
    story.view(&there, &[], &[(7, JOIN)]);
    story.message(2, &there);
    let rest = [0, 1, 4];
    story.view(&how.told, &[(2, how.reason)], &[]);
    if how.between {
        story.message(0, &rest);
    }
    story.view(&how.back, &[], &[(2, how.returns)]);
    if let Some(leaves) = how.leaves {
        story.view(&[1], &[(leaves, LEAVE)], &[]);
    }
    if how.ring {
        story.totem(&rest, 8);
    }
    let last = |story: &mut Story| {
        let mut hear = rest.to_vec();
        hear.extend((how.lives == Some(0)).then_some(2));
        story.message(how.sender, &hear);
        if how.lives == Some(1) {
            story.message(2, &[2]);
        }
    };
    if !how.later {
        last(&mut story);
    }
    story.view(&[0, 4], &[], &[(3, JOIN)]);
    story.view(&[1], &[], &[(3, how.joins)]);
    let members: Vec<usize> =
        [0, 1, 2, 3, 4, 7].into_iter().filter(|&member| story.sees(4, member)).collect();
    story.join(3, &members, if how.ring { 8 } else { 4 });
    let mut all = vec![0, 1, 3, 4];
    story.view(&all, &[], &[(6, JOIN)]);
    story.message(0, &all);
    if how.joins_on == 2 {
        // It is killed.
        all.retain(|&client| client != 3);
        story.view(&all, &[(3, PROC_DOWN)], &[]);
    }
    for &client in &all {
        if story.sees(client, 2) {
            story.view(&[client], &[(2, PROC_DOWN)], &[]);
        }
    }
    story.totem(&all, LAST);
    if how.later {
        last(&mut story);
    }
    story.message(0, &all);
    story.totem(&all, 16);
    story.message(1, &all);
    story.settle(&all);
    story
}

#[test]
fn an_end_before_the_last_messages_is_a_known_exception() {
    // The message comes to client 1, who does not know it, and whose views of two that join are without it.
    let gone = report(&ends(&Ending8::default()));
    assert!(gone.is_good() && gone.known.len() == 1, "{gone:#?}");
    assert_eq!(gone.known[&Known::GoneBeforeItsMessages].count, 1 + 2, "{gone:#?}");
    // Its node may have known of the end when it told the others of its members.
    let never = report(&ends(&Ending8 { back: vec![], ..Ending8::default() }));
    assert!(never.is_good() && never.known.len() == 1, "{never:#?}");
    assert_eq!(never.known[&Known::GoneBeforeItsMessages].count, 3, "{never:#?}");
}

#[test]
fn a_history_that_differs_is_no_exception() {
    use Property::{Delivery, Views};
    let base = Ending8::default;
    let cases = [
        ("it left", Delivery, Ending8 { reason: LEAVE, ..base() }),
        ("its node went", Delivery, Ending8 { reason: NODE_DOWN, ..base() }),
        ("no ring was formed", Views, Ending8 { ring: false, ..base() }),
        ("a message came before the ring", Delivery, Ending8 { between: true, ..base() }),
        ("the next ring has come", Delivery, Ending8 { later: true, ..base() }),
        ("it was delivered the message itself", Delivery, Ending8 { lives: Some(0), ..base() }),
        ("it was delivered a later one", Delivery, Ending8 { lives: Some(1), ..base() }),
        ("the message is of somebody else", Delivery, Ending8 { sender: 5, ..base() }),
        (
            "its node was not on the ring",
            Delivery,
            Ending8 { rings: vec![ring(4), ring(LAST), ring(16)], ..base() },
        ),
        ("it has come back to others, not to this one", Delivery, Ending8 { back: vec![4], ..base() }),
        ("it has come back on its own node", Views, Ending8 { other: 2, ..base() }),
        ("one on another node is without it", Views, Ending8 { back: vec![4], ..base() }),
        (
            "it did not come back to those who have it",
            Views,
            Ending8 { told: vec![1], back: vec![], ..base() },
        ),
        ("it has joined anew", Views, Ending8 { returns: JOIN, ..base() }),
        ("one who joins on its node has it", Views, Ending8 { joins_on: 2, ..base() }),
        ("the views differ in another one, too", Views, Ending8 { leaves: Some(7), ..base() }),
        ("the views differ in more than it", Views, Ending8 { joins: NODE_UP, ..base() }),
    ];
    for (why, property, how) in cases {
        let found = report(&ends(&how));
        assert!(found.violations.contains_key(&property), "{why}: {found:#?}");
    }
}
