//! A long message that comes with a part missing after an unseen parting is a known exception. A history that differs in
//! one respect is not excused.

use crate::report;
use crate::story::{JOIN, Story, ring};
use cpg_checker::{Known, Property};

const LONG: u32 = 2_000_000;

/// Nodes 1 and 2 go from ring 4 to ring 12, node 2 by `way`. Client 1 on node 2 gets bytes of client 0 on node 1 that are not a
/// message, or bytes for which nothing is an excuse.
fn parted(way: &[u64], sent: u32, got: u32, sender: usize, excusable: bool) -> Story {
    let mut story = Story::new(&[1, 2, 2]);
    let way = way.iter().map(|&seq| ring(seq)).collect();
    story.rings = [(1, vec![ring(4), ring(12)]), (2, way)].into();
    story.join(0, &[0], 4);
    story.join(1, &[0, 1], 4);
    story.view(&[0], &[], &[(1, JOIN)]);
    story.join(2, &[0, 1, 2], 4);
    story.view(&[0, 1], &[], &[(2, JOIN)]);
    story.message(0, &[0, 1, 2]);
    story.totem(&[0, 1, 2], 12);
    story.message_of(0, &[0], sent);
    story.damaged(sender, &[1, 2], got, excusable);
    story.message(0, &[0, 1, 2]);
    story.settle(&[0, 1, 2]);
    story
}

#[test]
fn a_long_message_of_a_node_that_parted_unseen_is_a_known_exception() {
    // Without a packet, and in the smallest and the largest sealed packet.
    for around in [0, 23, 27] {
        let found = report(&parted(&[4, 8, 12], LONG, LONG + around, 0, true));
        assert!(found.is_good(), "{found:#?}");
        assert_eq!(found.known[&Known::Damaged].count, 2, "{found:#?}");
    }
}

#[test]
fn other_bytes_are_no_exception() {
    for (why, story) in [
        ("the nodes stayed together", parted(&[4, 12], LONG, LONG, 0, true)),
        ("no message has this length", parted(&[4, 8, 12], LONG + 1, LONG, 0, true)),
        ("so little is around no message", parted(&[4, 8, 12], LONG, LONG + 1, 0, true)),
        ("so much is around no message", parted(&[4, 8, 12], LONG, LONG + 28, 0, true)),
        ("a packet has vouched for it", parted(&[4, 8, 12], LONG, LONG, 0, false)),
        ("the message goes in one piece", parted(&[4, 8, 12], 50, 50, 0, true)),
        ("the sender is on the same node", parted(&[4, 8, 12], LONG, LONG, 2, true)),
    ] {
        let found = report(&story);
        assert!(found.violations.contains_key(&Property::Delivery), "{why}: {found:#?}");
    }
}

#[test]
fn a_long_message_that_a_new_member_misses_hides_no_change_that_follows() {
    let mut story = Story::new(&[1, 2, 1, 2]);
    story.rings = [(1, vec![ring(4), ring(12)]), (2, vec![ring(8), ring(12)])].into();
    story.join(0, &[0], 4);
    story.join(2, &[0, 2], 4);
    story.view(&[0], &[], &[(2, JOIN)]);
    story.totem(&[0, 2], 12);
    story.join(1, &[0, 1, 2], 12);
    story.view(&[0, 2], &[], &[(1, JOIN)]);
    // Its first part came before client 1 joined.
    story.message_of(2, &[0, 2], LONG);
    story.join(3, &[0, 1, 2, 3], 12);
    story.view(&[0, 1, 2], &[], &[(3, JOIN)]);
    story.message(2, &[0, 1, 2, 3]);
    story.settle(&[0, 1, 2, 3]);
    let found = report(&story);
    assert!(found.is_good(), "{found:#?}");
    assert_eq!(found.known.keys().collect::<Vec<_>>(), [&Known::UnderWay], "{found:#?}");
}
