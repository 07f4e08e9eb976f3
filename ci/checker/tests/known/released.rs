//! The last messages of a node that left, which some of the others lack, are a known exception. A history that differs in one respect is
//! not excused.

use crate::report;
use crate::story::{JOIN, NODE_DOWN, Story, ring};
use cpg_checker::{Known, Property};

/// What is different from an excused history.
#[derive(PartialEq, Eq)]
enum But {
    Nothing,
    /// The sender's node goes on with the others.
    Stays,
    /// A later message of the node that left does come.
    Later,
    /// The message comes to another client of the daemon.
    Mate,
    /// There are no logs.
    NoLogs,
}

/// Client 0 on node 1 sends a message that client 1 on node 2 gets, and client 2 on node 3 does not. Then the nodes 2 and 3 go on
/// without node 1. Client 3 is on node 3 too.
fn left(but: &But) -> Story {
    let mut story = Story::new(&[1, 2, 3, 3]);
    let alone = if *but == But::Stays { ring(8) } else { ring(9) };
    if *but != But::NoLogs {
        let rings = |next| vec![ring(4), next];
        story.rings = [(1, rings(alone)), (2, rings(ring(8))), (3, rings(ring(8)))].into();
    }
    for client in 0..4 {
        let before: Vec<usize> = (0..client).collect();
        let members: Vec<usize> = (0..=client).collect();
        story.join(client, &members, 4);
        story.view(&before, &[], &[(client, JOIN)]);
    }
    story.message(0, &[0, 1, 2, 3]);
    let lacking: &[usize] = if *but == But::Mate { &[0, 1, 3] } else { &[0, 1] };
    story.message(0, lacking);
    story.message(1, &[0, 1, 2, 3]);
    if *but == But::Later {
        story.message(0, &[0, 1, 2, 3]);
    }
    if *but == But::Stays {
        story.totem(&[0, 1, 2, 3], 8);
    } else {
        story.view(&[1, 2, 3], &[(0, NODE_DOWN)], &[]);
        story.totem(&[1, 2, 3], 8);
        story.view(&[0], &[(1, NODE_DOWN), (2, NODE_DOWN), (3, NODE_DOWN)], &[]);
        story.totem(&[0], 9);
    }
    story.message(1, if *but == But::Stays { &[0, 1, 2, 3] } else { &[1, 2, 3] });
    story.settle(&[0, 1, 2, 3]);
    story
}

#[test]
fn the_last_messages_of_a_node_that_left_are_a_known_exception() {
    let found = report(&left(&But::Nothing));
    assert!(found.is_good(), "{found:#?}");
    assert_eq!(found.known[&Known::Released].count, 2, "{found:#?}");
}

#[test]
fn other_messages_are_no_exception() {
    for (why, but) in [
        ("the node went on with the others", But::Stays),
        ("a later message came", But::Later),
        ("another client of the daemon got it", But::Mate),
        ("nobody knows where the node went", But::NoLogs),
    ] {
        let found = report(&left(&but));
        assert!(found.violations.contains_key(&Property::Views), "{why}: {found:#?}");
    }
}
