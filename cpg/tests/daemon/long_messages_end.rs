//! Long messages of a session that ends, whose daemon dies, or whose receiver is dropped.

use std::ops::ControlFlow::{Break, Continue};
use std::time::{Duration, Instant};

use crate::long_messages::{SIZES, assert_counts_up, of};
use crate::support::process::own_process;
use crate::support::{Members, deadline, join_with, name, split_with, wait_for};
use cpg::{Error, Event, Flow, Group, Limits, Reconnect, Session, Ticket};
use testcluster::Cluster;

#[test]
fn leaving_waits_until_long_messages_are_sent() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for flow in [Flow::new(), Flow::coalesced()] {
            let (sender, receiver) = split_with(flow.queue_size(100 << 20), "leaves");
            let tickets: Vec<_> = (0..9)
                .map(|number| {
                    sender.ticket(sender.send(&of(number, SIZES[usize::from(number) % 3])).unwrap())
                })
                .collect();
            let mut heard = Vec::new();
            receiver
                .leave_until(deadline(), |_, event| match event {
                    Event::Deliver(message) => heard.push(message.payload().to_vec()),
                    Event::Undelivered(message) => panic!("{message:?}"),
                    _ => {}
                })
                .unwrap();
            assert_eq!(heard.len(), 9);
            assert_counts_up(&heard, 0);
            assert!(tickets.iter().all(|ticket| ticket.outcome() == Some(Ok(()))));
        }
    });
}

/// Returns a session whose daemon is paused while the first of three messages is sent, and their tickets.
fn paused_half_way(
    cluster: &Cluster,
    options: cpg::SessionOptions,
) -> (cpg::Sender, cpg::Receiver, [Ticket; 3]) {
    let (sender, mut receiver) =
        join_with(options.flow(Flow::new().queue_size(100 << 20)), "half-way").split();
    receiver.dispatch(Limits::one().until(deadline()), |_, _| ()).unwrap();
    cluster.pause(1).unwrap();
    let tickets = [1, 2, 4].map(|number| {
        let message = of(number, SIZES[usize::from(number) % 3]);
        sender.ticket(sender.send(&message).unwrap())
    });
    let lag = sender.lag().unwrap();
    assert_eq!((lag.in_flight(), lag.waiting()), (1, 2));
    (sender, receiver, tickets)
}

/// Returns the numbers of the messages that were handed back, each with true if it was sent.
fn returned(event: &Event<'_>) -> Option<(u8, bool)> {
    let Event::Undelivered(message) = event else { return None };
    Some((message.payload()[0], message.was_sent()))
}

#[test]
fn a_leave_past_its_deadline_hands_back_messages_under_way_and_waiting_ones() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, receiver, tickets) = paused_half_way(&cluster, Session::options());
        let (mut back, soon) = (Vec::new(), Instant::now() + Duration::from_millis(20));
        let late = receiver.leave_until(soon, |_, event| back.extend(returned(&event))).unwrap_err();
        assert!(matches!(late, Error::TimedOut { .. }), "{late}");
        assert_eq!(back, [(1, true), (2, false), (4, false)]);
        assert!(tickets.iter().all(|ticket| ticket.outcome() == Some(Err(Error::Left))));
        // The thread closes the connection when the daemon goes on.
        drop(sender);
        cluster.resume(1).unwrap();
        wait_for("the end of the membership", || Group::join("half-way").ok()).leave().unwrap();
    });
}

#[test]
fn after_the_daemons_death_only_the_message_under_way_may_have_been_sent() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for keep in [None, Some(false), Some(true)] {
            let how = |keep| if keep { Reconnect::new().keep_queue() } else { Reconnect::new() };
            let options = keep.map_or(Session::options(), |keep| Session::options().reconnect(how(keep)));
            let (sender, mut receiver, tickets) = paused_half_way(&cluster, options);
            cluster.kill(1).unwrap();
            let mut back = Vec::new();
            let mut heard = |receiver: &mut cpg::Receiver, until: fn(&Event<'_>) -> bool| {
                receiver.run(Limits::forever().until(deadline()), |_, event| {
                    back.extend(returned(&event));
                    if until(&event) { Break(()) } else { Continue(()) }
                })
            };
            if keep.is_none() {
                assert!(heard(&mut receiver, |_| false).unwrap_err().is_connection_lost());
            } else {
                heard(&mut receiver, |event| matches!(event, Event::Lost(_))).unwrap();
            }
            let kept = keep == Some(true);
            assert_eq!(back, [(1, true), (2, false), (4, false)][..if kept { 1 } else { 3 }]);
            let outcomes = tickets.each_ref().map(Ticket::outcome);
            assert!(outcomes[0].clone().unwrap().unwrap_err().is_connection_lost());
            assert!(outcomes[1..].iter().all(|outcome| outcome.is_none() == kept), "{outcomes:?}");
            cluster.restart(1).unwrap();
            if kept {
                assert_eq!(crate::support::receive(&mut receiver, 2), [of(2, SIZES[2]), of(4, SIZES[1])]);
            }
            if keep.is_some() {
                wait_for("the session", || {
                    receiver.dispatch(Limits::available(), |_, _| ()).unwrap();
                    (receiver.generation() == 2).then_some(())
                });
                // The thread of the old membership does not act in this one.
                sender.send(&of(7, SIZES[1])).unwrap();
                sender.send(b"last").unwrap();
                assert_eq!(crate::support::receive(&mut receiver, 2), [of(7, SIZES[1]), b"last".to_vec()]);
                receiver.leave().unwrap();
            }
        }
    });
}

#[test]
fn a_message_under_way_when_the_receiver_is_dropped_reaches_the_others() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, receiver) = split_with(Flow::new().queue_size(100 << 20), "unheard");
        let mut other = Members::start(&cluster, 1, &name("unheard"), 1);
        cluster.pause(1).unwrap();
        let ticket = sender.ticket(sender.send(&of(b'a', 3_000_000)).unwrap());
        sender.send(b"behind it").unwrap();
        drop(receiver);
        assert_eq!(ticket.outcome(), Some(Err(Error::ReceiverDropped)));
        // The message is sent at once or refused.
        assert!(sender.try_send(b"refused").unwrap_err().is_retryable());
        cluster.resume(1).unwrap();
        sender.send(b"later").unwrap();
        sender.send(&of(b'b', 2_000_000)).unwrap();
        sender.send(b"the last").unwrap();
        // Of long messages, the member prints the length and the sum.
        for text in [" 3000000 291000000", "behind it", "later", " 2000000 196000000", "the last"] {
            let line = other.expect(|line| line.starts_with("deliver ") || line.starts_with("big "));
            assert!(line.ends_with(text), "{line} in place of {text}");
        }
    });
}

#[test]
fn dropping_a_session_sends_the_messages_behind_a_long_one() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let session = join_with(Session::options(), "dropped");
        let mut other = Members::start(&cluster, 1, &name("dropped"), 1);
        session.send(&of(b'a', 1_100_000)).unwrap();
        session.send(b"behind it").unwrap();
        drop(session);
        other.expect(|line| line.ends_with(" 1100000 106700000"));
        other.expect(|line| line.ends_with("behind it"));
    });
}

#[test]
fn dropping_a_session_with_a_long_message_does_not_wait_for_a_paused_daemon() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, receiver, tickets) = paused_half_way(&cluster, Session::options());
        let begun = Instant::now();
        drop((sender, receiver));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(tickets.iter().all(|ticket| ticket.outcome() == Some(Err(Error::ReceiverDropped))));
        cluster.resume(1).unwrap();
        wait_for("the end of the membership", || Group::join("half-way").ok()).leave().unwrap();
    });
}
