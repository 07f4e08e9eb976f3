//! The traits of the small types, as a program uses them.

use std::collections::HashSet;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::str::FromStr;
use std::time::{Duration, Instant};

use cpg::{
    ConnectOptions, CsError, Flow, FlowControl, Guarantee, Lag, Limits, Member, NodeId, Process, Reason,
    Reconnect, RingId, SessionOptions, TotemEvents, Waker,
};

const NUMBERS: [u32; 12] = [0, 1, 2, 3, 4, 5, 6, 29, 30, 77, 1000, u32::MAX];

#[test]
fn enumerations_convert_from_a_number_and_keep_it() {
    for number in NUMBERS {
        assert_eq!(u32::from(CsError::from(number)), number);
        assert_eq!(u32::from(Reason::from(number)), number);
        assert_eq!(u32::from(FlowControl::from(number)), number);
        assert_eq!(u32::from(NodeId::from(number)), number);
    }
    assert_eq!(CsError::from(6), CsError::TryAgain);
    assert_eq!(Reason::from(3), Reason::NodeDown);
    assert_eq!([0, 1].map(FlowControl::from), [FlowControl::Disabled, FlowControl::Enabled]);
    assert_eq!(FlowControl::from(2), FlowControl::Unknown(2));
}

/// Asserts that a value is read from its written form.
fn reads_what_it_writes<T: Display + FromStr<Err: Debug> + PartialEq + Debug>(value: &T) {
    assert_eq!(value.to_string().parse::<T>().unwrap(), *value);
}

#[test]
fn nodes_and_members_are_read_as_they_are_written() {
    for node in NUMBERS.map(NodeId::new) {
        reads_what_it_writes(&node);
        for pid in NUMBERS {
            reads_what_it_writes(&Member::new(node, pid));
        }
    }
}

#[test]
fn other_text_is_an_error_that_shows_the_right_form() {
    for text in ["", " 1", "1 ", "+1", "-1", "0x1", "4294967296", "one", "1:2"] {
        let error = text.parse::<NodeId>().unwrap_err();
        assert_eq!(error.to_string(), format!("{text:?} is not a node: a number from 0 to 4294967295, as 2"));
    }
    for text in ["", "1", ":", "1:", ":2", "1:2:3", "1 :2", "1:+2", "-1:2", "4294967296:1", "1:4294967296"] {
        let error = text.parse::<Member>().unwrap_err();
        let expected = "a member: the numbers of its node and process, as 2:4711";
        assert_eq!(error.to_string(), format!("{text:?} is not {expected}"));
    }
}

#[test]
fn guarantees_are_ordered_by_their_strength() {
    let ordered = [Guarantee::Unordered, Guarantee::Fifo, Guarantee::Agreed, Guarantee::Safe];
    assert!(ordered.is_sorted());
    assert_eq!(ordered.iter().max(), Some(&Guarantee::Safe));
    assert!(FlowControl::Disabled < FlowControl::Enabled);
}

#[test]
fn options_are_equal_if_they_have_the_same_settings() {
    let connect = || ConnectOptions::new().totem_events(TotemEvents::None);
    assert_eq!(connect(), connect());
    assert_ne!(connect(), ConnectOptions::new());
    assert_ne!(Flow::new().window_size(1), Flow::new().window_size(2));
    assert_ne!(Flow::new().queue_size(1), Flow::new());
    assert_ne!(Reconnect::new(), Reconnect::new().keep_queue());
    let session = || SessionOptions::new().connect_options(connect()).coalesce().reconnect(Reconnect::new());
    assert_eq!(session(), session());
    assert_ne!(session(), session().connect_options(ConnectOptions::new()));
}

#[test]
fn options_of_a_session_can_be_set_in_any_order() {
    let (options, sizes) = (SessionOptions::new(), Flow::new().window_size(1));
    assert_eq!(options.coalesce().flow(sizes), options.flow(sizes).coalesce());
    assert_eq!(options.coalesce().flow(sizes), options.flow(Flow::coalesced().window_size(1)));
    assert_ne!(options.coalesce().flow(sizes), options.flow(sizes));
    assert_ne!(options.coalesce().flow(sizes), options.coalesce());
}

#[test]
fn limits_are_equal_if_the_same_conditions_end_them() {
    let (waker, other) = (Waker::new().unwrap(), Waker::new().unwrap());
    let clone = waker.clone();
    assert_eq!(waker, clone);
    assert_ne!(waker, other);
    assert_eq!(Limits::forever().woken_by(&waker), Limits::forever().woken_by(&clone));
    assert_ne!(Limits::forever().woken_by(&waker), Limits::forever().woken_by(&other));
    assert_eq!(Limits::one(), Limits::forever().at_most(1));
    assert_ne!(Limits::one(), Limits::available().at_most(1));
    let now = Instant::now();
    assert_ne!(Limits::one().until(now), Limits::one().until(now + Duration::from_nanos(1)));
}

#[test]
fn a_waker_gives_the_number_of_its_descriptor() {
    let waker = Waker::new().unwrap();
    assert_eq!(waker.as_raw_fd(), waker.as_fd().as_raw_fd());
}

#[test]
fn rings_and_processes_return_the_parts_they_were_made_of() {
    let (node, member) = (NodeId::new(2), Member::new(NodeId::new(2), 7));
    let ring = RingId::new(9, node);
    assert_eq!((ring.seq(), ring.node()), (9, node));
    let group = cpg::GroupName::new("ledger").unwrap();
    let process = Process::new(group.clone(), member);
    assert_eq!((process.group(), process.member()), (&group, member));
    assert_eq!(process.into_group(), group);
}

#[test]
fn types_with_an_order_or_a_hash_can_be_in_a_set() {
    fn once<T: Hash + Eq + Copy>(value: T) -> bool {
        HashSet::from([value, value]).len() == 1
    }
    assert!(once(TotemEvents::Changes) && once(Lag::default()));
    assert!(once(Guarantee::Agreed) && once(FlowControl::Enabled) && once(RingId::new(1, NodeId::new(1))));
}
