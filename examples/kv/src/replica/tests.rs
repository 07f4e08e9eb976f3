//! Tests of the rules one by one. A simulation without one of these rules may still succeed by luck.

use std::collections::{BTreeMap, BTreeSet};

use cpg::{Member, NodeId};

use super::format::Format as _;
use super::message::{Body, Message};
use super::primary::{Epoch, Place, begins_with};
use super::quorum::{Nodes, voters};
use super::transfer::{Catching, Giving, Part};
use super::{Options, Output, Replica, Standing};
use crate::store::Store;

fn on(node: u32) -> Member {
    Member::new(NodeId::new(node), 100)
}

fn place(number: u64, position: u64) -> Place {
    Place { epoch: Epoch { begun: 1, number, opener: 0 }, position, chain: 0 }
}

#[test]
fn a_node_with_two_processes_has_no_voice() {
    let twice = Member::new(NodeId::new(2), 101);
    assert_eq!(voters(&[on(1), on(2), twice, on(3)]), BTreeSet::from([on(1), on(3)]));
}

#[test]
fn a_majority_is_more_than_half_of_the_nodes_that_there_are() {
    for (nodes, majority) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
        assert_eq!(Nodes(nodes).majority(), majority);
    }
    assert_eq!(Nodes(3).acknowledged([7, 4, 2]), 4);
    assert_eq!(Nodes(4).acknowledged([7, 4, 2]), 2);
    assert_eq!(Nodes(5).acknowledged([7, 4]), 0);
}

#[test]
fn an_epoch_begins_with_the_greatest_place_of_a_majority_that_holds_something() {
    let begins = |promises: &[(u32, Option<Place>)], by_command| {
        let promises: BTreeMap<_, _> = promises.iter().map(|&(node, held)| (on(node), held)).collect();
        let voters: BTreeSet<_> = [1, 2, 3].map(on).into();
        begins_with(&promises, &voters, 2, by_command)
    };
    let (old, new) = (Some(place(1, 9)), Some(place(2, 3)));
    assert_eq!(begins(&[(1, old), (2, new)], false), Some((new, on(2))));
    assert_eq!(begins(&[(1, new), (2, old), (3, new)], false), Some((new, on(1))));
    assert_eq!(begins(&[(1, old), (2, None)], false), None);
    assert_eq!(begins(&[(1, old), (4, new)], false), None, "4 has no voice");
    assert_eq!(begins(&[(1, None), (2, old)], true), Some((old, on(2))));
    assert_eq!(begins(&[(1, None), (2, None)], true), Some((None, on(1))));
    assert_eq!(begins(&[(1, old)], true), None);
}

#[test]
fn what_was_opened_in_another_view_or_for_another_number_of_nodes_is_not_promised() {
    let options = Options { nodes: Nodes(3), confirm: true, patience: 10, expiry: 100, part: 10, parts: 1 };
    let mut replica = Replica::<Store>::new(on(2), 2, options);
    let epoch = Epoch { begun: 0, number: 1, opener: 1 };
    let mut open = |nodes: u32, members: &[u32]| {
        let members = members.iter().map(|&node| on(node)).collect();
        let open = Message { epoch, body: Body::Open { nodes, members } };
        replica.view(&[on(1), on(2)]);
        replica.deliver(on(1), &open.to_bytes());
        (replica.output(), replica.standing())
    };
    assert_eq!(open(3, &[1, 2, 3]), (None, Standing::Forming));
    assert_eq!(open(5, &[1, 2]), (None, Standing::Misfit(on(1), 5)));
    let promise = Message { epoch, body: Body::Promise(None) }.to_bytes();
    assert_eq!(open(3, &[1, 2]), (Some(Output::Send(promise)), Standing::Forming));
}

#[test]
fn state_comes_in_parts_with_the_changes_after_its_mark() {
    let [first, second, last] =
        [(0, &b"abc"[..]), (3, b"def"), (6, b"g")].map(|(offset, bytes)| Part { offset, total: 7, bytes });
    let mut giving = Giving::new(b"abcdefg".to_vec());
    let mut catching = Catching::begin();
    catching.change(1);
    assert_eq!(giving.next(3, 2), Some(first));
    assert_eq!(giving.next(3, 2), None, "the next one is not due before a tick");
    assert!(!catching.part(first), "of before the mark");
    catching.mark();
    catching.change(2);
    assert!(!catching.part(first));
    giving.tick(2);
    assert_eq!(giving.next(3, 2), Some(second));
    assert!(!catching.part(first) && !catching.part(second), "one that came twice is passed over");
    giving.tick(2);
    assert_eq!(giving.next(3, 2), None, "two are under way");
    giving.delivered();
    catching.change(3);
    assert_eq!(giving.next(3, 2), Some(last));
    assert!(giving.is_sent());
    giving.delivered();
    giving.tick(2);
    assert_eq!(giving.next(3, 2), None);
    assert!(catching.part(last));
    assert_eq!(catching.finish(), (b"abcdefg".to_vec(), vec![2, 3]));
    let mut lacking = Catching::<u8>::begin();
    lacking.mark();
    assert!(!lacking.part(last));
}

#[test]
fn a_transfer_that_was_held_up_does_not_hurry_afterwards() {
    let mut giving = Giving::new(vec![0; 100]);
    assert!(giving.next(1, 2).is_some());
    (0..50).for_each(|_| giving.tick(2));
    giving.delivered();
    let mut sent = 0;
    while giving.next(1, 2).is_some() {
        giving.delivered();
        sent += 1;
    }
    assert_eq!(sent, 2);
}
