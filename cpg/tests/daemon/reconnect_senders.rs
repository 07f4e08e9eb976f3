//! The fate of messages, and of their senders, when a session loses the daemon and rejoins.

use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use crate::support::returns::{returning, told, until_back, until_lost, until_received_back};
use crate::support::{asleep_after, deadline, join_with, pump_session, readable, wait_for};
use cpg::{Error, Event, Flow, Limits, OwnedEvent, Reconnect, Sender, Session};
use testcluster::Cluster;

#[test]
fn undelivered_messages_are_handed_back_before_the_event_of_the_loss() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        // Only one message at a time is in flight.
        let flow = Flow::new().window_size(1);
        let how = returning(Reconnect::new()).flow(flow);
        let (sender, mut receiver) = join_with(how, "handed back").split();
        cluster.pause(1).unwrap();
        let tickets = [b"1", b"2", b"3"].map(|message| sender.ticket(sender.send(message).unwrap()));
        cluster.kill(1).unwrap();
        cluster.restart(1).unwrap();
        let events = until_received_back(&mut receiver);
        assert_eq!(told(&events), ["sent 1", "unsent 2", "unsent 3", "lost 1", "rejoined 2"]);
        for ticket in tickets {
            let error = ticket.outcome().expect("it is known").unwrap_err();
            assert!(error.is_connection_lost() && !matches!(error, Error::NoMembership), "{error}");
            assert!(ticket.wait_until(deadline()).is_err());
        }
        assert_eq!(sender.generation(), 2);
        let ticket = sender.ticket(sender.send(b"4").unwrap());
        assert_eq!(crate::support::receive(&mut receiver, 1), [b"4"]);
        ticket.wait_until(deadline()).unwrap();
        receiver.leave().unwrap();
    });
}

#[test]
fn waiting_messages_are_kept_if_the_program_asks_for_it() {
    for flow in [Flow::new().window_size(1), Flow::coalesced().window_size(1).packet_size(1)] {
        let cluster = Cluster::start(1).unwrap();
        cluster.on(1, || {
            let how = returning(Reconnect::new().keep_queue()).flow(flow);
            let (sender, mut receiver) = join_with(how, "kept").split();
            cluster.pause(1).unwrap();
            let tickets = [b"1", b"2", b"3"].map(|message| sender.ticket(sender.send(message).unwrap()));
            cluster.kill(1).unwrap();
            let mut events = Vec::new();
            while !matches!(events.last(), Some(OwnedEvent::Lost(_))) {
                events.extend(receiver.recv_until(deadline()).unwrap());
            }
            // Further messages can be queued until the queue is full.
            let late = sender.ticket(sender.send(b"4").unwrap());
            cluster.restart(1).unwrap();
            events.append(&mut until_received_back(&mut receiver));
            assert_eq!(told(&events), ["sent 1", "lost 1", "rejoined 2"]);
            assert_eq!(crate::support::receive(&mut receiver, 3), [b"2", b"3", b"4"]);
            let fates = tickets.map(|ticket| ticket.wait_until(deadline()).is_ok());
            assert_eq!(fates, [false, true, true]);
            late.wait_until(deadline()).unwrap();
        });
    }
}

#[test]
fn senders_of_a_lost_membership_hold_none_of_its_resources() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = join_with(returning(Reconnect::new()), "closed").split();
        cluster.kill(1).unwrap();
        while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
        // A separate thread closes the old handle, and not the thread that dispatches.
        wait_for("the old handle to be closed", || {
            matches!(sender.members(), Err(Error::NoMembership)).then_some(())
        });
        cluster.restart(1).unwrap();
        until_received_back(&mut receiver);
        assert_eq!(sender.members().unwrap(), [sender.me()]);
        receiver.leave().unwrap();
    });
}

#[test]
fn messages_that_are_lost_are_no_longer_in_flight() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(returning(Reconnect::new()), "in flight");
        pump_session(&mut session, |events| crate::support::views(events).next().is_some());
        cluster.pause(1).unwrap();
        for _ in 0..3 {
            session.send(b"lost").unwrap();
        }
        assert_eq!(session.lag().unwrap().in_flight(), 3);
        cluster.kill(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        assert_eq!(session.lag().unwrap().in_flight(), 0);
        cluster.restart(1).unwrap();
        until_back(&mut session);
        session.send(b"first").unwrap();
        assert_eq!(session.lag().unwrap().in_flight(), 1);
        // If the lost messages still counted, the queue would accept fewer.
        let (sender, mut receiver) = session.split();
        let ticket = sender.ticket(sender.send(b"second").unwrap());
        assert_eq!(crate::support::receive(&mut receiver, 2), [b"first".as_slice(), b"second"]);
        ticket.wait_until(deadline()).unwrap();
        receiver.leave().unwrap();
    });
}

#[test]
fn a_full_queue_has_room_again_after_the_rejoin() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let how = returning(Reconnect::new().keep_queue()).flow(Flow::new().queue_size(100));
        let (sender, mut receiver) = join_with(how, "room").split();
        cluster.kill(1).unwrap();
        while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
        sender.try_send(&[0; 1000]).unwrap();
        assert!(matches!(sender.try_send(b"x"), Err(Error::QueueFull)));
        assert!(
            sender.send_until(b"x", Instant::now() + Duration::from_millis(20)).unwrap_err().is_retryable()
        );
        std::thread::scope(|scope| {
            let short = scope.spawn(|| sender.send_until(b"waited", deadline()));
            let long = scope.spawn(|| sender.send_until(&vec![1; 3 << 20], deadline()));
            cluster.restart(1).unwrap();
            let mut lengths: Vec<_> =
                crate::support::receive(&mut receiver, 3).iter().map(Vec::len).collect();
            lengths.sort_unstable();
            assert_eq!(lengths, [6, 1000, 3 << 20]);
            short.join().unwrap().unwrap();
            long.join().unwrap().unwrap();
        });
    });
}

#[test]
fn no_message_is_sent_in_a_membership_that_the_handler_does_not_know() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = join_with(returning(Reconnect::new()), "stale").split();
        while !matches!(receiver.recv().unwrap(), OwnedEvent::ConfChg(_)) {}
        cluster.kill(1).unwrap();
        // The sender notices the loss first, and its message is handed back. The receiver gets the event of the loss.
        let error = wait_for("the loss", || sender.try_send(b"x").err());
        assert!(error.is_connection_lost(), "{error}");
        assert!(matches!(sender.try_send(b"x"), Err(Error::NoMembership)));
        assert!(matches!(sender.send(&vec![0; 3 << 20]), Err(Error::NoMembership)));
        cluster.restart(1).unwrap();
        while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
        // The session has rejoined by now, or will rejoin. Until its handler knows this, a message could be out of
        // date.
        wait_for("the session", || readable(receiver.as_fd()).then_some(()));
        assert!(matches!(sender.try_send(b"x"), Err(Error::NoMembership)));
        let (error, inside) = receiver
            .run(Limits::forever(), |own, event| match event {
                Event::Rejoined(_) => {
                    Break((sender.try_send(b"by the sender").err(), own.try_send(b"by its own").err()))
                }
                _ => Continue(()),
            })
            .unwrap()
            .broke()
            .unwrap();
        assert!(error.is_none() && inside.is_none());
        assert_eq!(crate::support::receive(&mut receiver, 2), [&b"by the sender"[..], b"by its own"]);
    });
}

/// Starts a thread that waits until a session has rejoined. Returns the thread once it sleeps, and the result of its
/// wait.
fn waiting<'s, T: Send + 'static>(
    scope: &'s std::thread::Scope<'s, '_>,
    wait: impl FnOnce() -> T + Send + 's,
) -> std::thread::ScopedJoinHandle<'s, T> {
    let (tell, told) = std::sync::mpsc::channel();
    let waiting = scope.spawn(move || {
        // SAFETY: it has no precondition.
        tell.send(unsafe { libc::gettid() }).unwrap();
        wait()
    });
    let thread = told.recv().unwrap();
    wait_for("the wait", || asleep_after(thread));
    waiting
}

#[test]
fn a_sending_thread_can_wait_until_the_session_has_rejoined() {
    for reconnect in [Reconnect::new(), Reconnect::new().keep_queue()] {
        let cluster = Cluster::start(1).unwrap();
        cluster.on(1, || {
            let (sender, mut receiver) = join_with(returning(reconnect), "waits for").split();
            let soon = || Instant::now() + Duration::from_millis(20);
            sender.wait_joined().unwrap();
            sender.wait_joined_until(Instant::now()).unwrap();
            while !matches!(receiver.recv().unwrap(), OwnedEvent::ConfChg(_)) {}
            cluster.kill(1).unwrap();
            std::thread::scope(|scope| {
                // This thread notices the loss first, and no handler knows of it yet.
                wait_for("the loss", || {
                    sender.try_send(b"lost").err().or_else(|| sender.wait_joined_until(soon()).err())
                });
                let early = waiting(scope, || sender.wait_joined_until(deadline()));
                until_lost(&mut receiver);
                let late = waiting(scope, || sender.wait_joined_until(deadline()));
                let error = sender.wait_joined_until(soon()).unwrap_err();
                assert!(matches!(error, Error::TimedOut { .. }), "{error}");
                cluster.restart(1).unwrap();
                // The session has rejoined by now, or will rejoin. Until its handler knows this, no message is sent.
                wait_for("the session", || readable(receiver.as_fd()).then_some(()));
                assert!(matches!(sender.wait_joined_until(soon()), Err(Error::TimedOut { .. })));
                until_received_back(&mut receiver);
                early.join().unwrap().unwrap();
                late.join().unwrap().unwrap();
            });
            assert_eq!(sender.generation(), 2);
            sender.wait_joined().unwrap();
            sender.send(b"back").unwrap();
            receiver.leave().unwrap();
        });
    }
}

#[test]
fn waiting_for_a_session_that_does_not_rejoin_returns_its_error() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let split = |options, group: &str| join_with(options, group).split();
        let (leaves, mut leaving) = split(returning(Reconnect::new()), "leaves");
        let (drops, mut dropping) = split(returning(Reconnect::new()), "drops");
        let (stays, mut staying) = split(Session::options(), "has no return");
        let inside = |receiver: &mut cpg::Receiver| {
            let handler = |sender: &Sender, event: Event<'_>| {
                let joined = sender.wait_joined();
                assert_eq!(joined.is_err(), matches!(event, Event::Lost(_)), "{joined:?}");
                joined.err().map_or(Continue(()), Break)
            };
            receiver.run(Limits::forever().until(deadline()), handler).unwrap().broke().unwrap()
        };
        cluster.kill(1).unwrap();
        for receiver in [&mut leaving, &mut dropping] {
            let error = inside(receiver);
            assert!(matches!(error, Error::WouldWait { .. }), "{error}");
        }
        std::thread::scope(|scope| {
            let left = waiting(scope, || leaves.wait_joined_until(deadline()));
            let dropped = waiting(scope, || drops.wait_joined_until(deadline()));
            leaving.leave().unwrap();
            drop(dropping);
            assert!(matches!(left.join().unwrap(), Err(Error::Left)));
            assert!(matches!(dropped.join().unwrap(), Err(Error::ReceiverDropped)));
        });
        let ended = loop {
            if let Err(error) = staying.recv() {
                break error;
            }
        };
        assert_eq!(stays.wait_joined().unwrap_err(), ended);
        assert!(ended.is_connection_lost() && !matches!(ended, Error::NoMembership), "{ended}");
    });
}
