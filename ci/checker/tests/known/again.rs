//! A process that gave a membership up and joins again while a ring is formed: other clients may see it as a member all
//! the time.

use crate::report;
use crate::story::{LEAVE, NODE_UP, Story, ring};
use cpg_checker::record::Ending;
use cpg_checker::{Known, Property};

/// The difference from the known exception.
#[derive(Clone, Copy, PartialEq, Eq)]
enum But {
    Nothing,
    /// Its first membership ended otherwise.
    Ended(Ending),
    /// There was no first membership.
    First,
    /// It is on the node of the other.
    SameNode,
    /// The other did not have it in its view.
    NotThere,
    /// It lacks a message since it joined.
    Lacks,
    /// The other is told that it leaves, after it has joined, or before.
    Leaves,
    LeftBefore,
}

/// Client 1 gives up and joins again; client 0 is told of the ring that brings it, and of nothing else.
fn again(but: But) -> Story {
    let mut story = Story::new(&[1, if but == But::SameNode { 1 } else { 2 }]);
    story.rings = [(1, vec![ring(4), ring(12)]), (2, vec![ring(8), ring(12)])].into();
    story.join(0, &[0], 4);
    if but != But::First {
        story.join(1, &[1], 8);
        story.end(1, if let But::Ended(how) = but { how } else { Ending::GivenUp });
    }
    if but != But::NotThere {
        story.view(&[0], &[], &[(1, NODE_UP)]);
    }
    story.totem(&[0], 12);
    story.message(0, &[0]);
    if but == But::LeftBefore {
        story.view(&[0], &[(1, LEAVE)], &[]);
    }
    story.join(1, &[0, 1], 12);
    story.message(0, &[0, 1]);
    story.message(0, if but == But::Lacks { &[0] } else { &[0, 1] });
    if but == But::Leaves {
        story.view(&[0], &[(1, LEAVE)], &[]);
    }
    story.message(0, &[0, 1]);
    story.settle(&[0, 1]);
    story
}

#[test]
fn a_join_that_is_not_reported_is_a_known_exception() {
    let report = report(&again(But::Nothing));
    assert!(report.is_good(), "{report:?}");
    assert_eq!(report.known[&Known::EarlierSelf].count, 1);
}

#[test]
fn a_history_that_differs_is_no_exception() {
    let all = [
        But::Ended(Ending::Left),
        But::Ended(Ending::Lost),
        But::First,
        But::SameNode,
        But::NotThere,
        But::Lacks,
        But::Leaves,
        But::LeftBefore,
    ];
    for but in all {
        let report = report(&again(but));
        assert!(report.violations.contains_key(&Property::Views), "{report:?}");
        assert!(!report.known.contains_key(&Known::EarlierSelf), "{report:?}");
    }
}
