//! `recv` and the iterator: they take one event at a time, and lose none.

use std::iter::FusedIterator;
use std::time::Instant;

use crate::support::{deadline, join, join_with, messages, payloads, pump, views};
use cpg::{Group, Limits, OwnedEvent, Result, Session};
use testcluster::Cluster;

fn bytes(event: OwnedEvent) -> Vec<u8> {
    if let OwnedEvent::Deliver(message) = event { message.into_payload() } else { panic!("{event:?}") }
}

/// Returns a group whose first view has been handled, with `count` messages on the way.
fn with_messages(name: &str, count: u8) -> Group {
    let mut group = join(name);
    pump(&mut group, |events| views(events).next().is_some());
    for byte in 0..count {
        group.send_until(&[byte], deadline()).unwrap();
    }
    group
}

#[test]
fn events_come_in_order_and_can_be_kept() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("kept");
        group.send(b"one").unwrap();
        group.send_until(&vec![7; 3_000_000], deadline()).unwrap();
        let mut events = vec![group.recv().unwrap()];
        let me = group.me();
        events.push(group.recv_until(deadline()).unwrap().unwrap());
        events.extend(group.events().take(1).map(Result::unwrap));
        group.leave().unwrap();
        let OwnedEvent::ConfChg(view) = &events[0] else { panic!("{events:?}") };
        assert!(view.is_first() && view.members() == [me]);
        let long = vec![7; 3_000_000];
        let heard: Vec<_> = messages(&events).map(|message| (message.sender(), message.payload())).collect();
        assert_eq!(heard, [(me, &b"one"[..]), (me, &long[..])]);
    });
}

#[test]
fn a_deadline_ends_the_wait_and_a_waiting_event_is_still_taken() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = with_messages("deadline", 0);
        for _ in 0..3 {
            assert_eq!(group.recv_until(Instant::now()).unwrap(), None);
        }
        group.send(b"there").unwrap();
        let event = crate::support::wait_for("the message", || group.recv_until(Instant::now()).unwrap());
        assert_eq!(bytes(event), b"there");
        assert_eq!(group.recv_until(Instant::now()).unwrap(), None);
    });
}

#[test]
fn no_event_is_taken_before_the_program_asks_for_it() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = with_messages("dropped", 40);
        let mut heard = Vec::new();
        for round in 1..=4 {
            // Each iterator is dropped while more events wait.
            heard.extend(group.events().take(round).map(|event| bytes(event.unwrap())));
            heard.push(bytes(group.events().next().unwrap().unwrap()));
            // Another style finds all remaining events, and takes no more than it should.
            heard.push(bytes(group.recv().unwrap()));
            let one = |_: &cpg::Link, event: cpg::Event<'_>| heard.push(bytes(event.into_owned()));
            assert_eq!(group.dispatch(Limits::one().until(deadline()), one).unwrap(), 1);
        }
        let rest = 40 - heard.len();
        heard.extend(payloads(&mut group, rest));
        assert_eq!(heard, (0..40).map(|byte| vec![byte]).collect::<Vec<_>>());
        assert_eq!(group.recv_until(Instant::now()).unwrap(), None);
    });
}

fn assert_ends_after_the_error(mut events: impl FusedIterator<Item = Result<OwnedEvent>> + Send) {
    assert!(events.next().unwrap().unwrap_err().is_connection_lost());
    assert!(events.next().is_none() && events.next().is_none());
}

#[test]
fn an_iterator_ends_after_the_error() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = with_messages("lost", 0);
        let mut session = join_with(Session::options(), "lost session");
        assert!(matches!(session.recv().unwrap(), OwnedEvent::ConfChg(_)));
        cluster.kill(1).unwrap();
        // Each new iterator returns the error again.
        for _ in 0..2 {
            assert_ends_after_the_error(group.events());
            assert_ends_after_the_error(session.events());
        }
        let (_sender, mut receiver) = session.split();
        assert_ends_after_the_error(receiver.events());
    });
}

#[test]
fn a_session_also_gives_its_events_one_by_one() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(Session::options(), "session");
        assert!(matches!(session.recv().unwrap(), OwnedEvent::ConfChg(_)));
        assert_eq!(session.recv_until(Instant::now()).unwrap(), None);
        for byte in 0..10 {
            session.send(&[byte]).unwrap();
        }
        let mut heard = vec![bytes(session.recv().unwrap())];
        heard.push(bytes(session.recv_until(deadline()).unwrap().unwrap()));
        heard.extend(session.events().take(2).map(|event| bytes(event.unwrap())));
        let one = |_: &cpg::Sender, event: cpg::Event<'_>| heard.push(bytes(event.into_owned()));
        assert_eq!(session.dispatch(Limits::one().until(deadline()), one).unwrap(), 1);
        let (_sender, mut receiver) = session.split();
        heard.push(bytes(receiver.recv().unwrap()));
        heard.push(bytes(receiver.recv_until(deadline()).unwrap().unwrap()));
        heard.extend(receiver.events().take(3).map(|event| bytes(event.unwrap())));
        assert_eq!(heard, (0..10).map(|byte| vec![byte]).collect::<Vec<_>>());
        assert_eq!(receiver.recv_until(Instant::now()).unwrap(), None);
    });
}
