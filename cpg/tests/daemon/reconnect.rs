//! Sessions that reconnect after they have lost the daemon.

use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use crate::support::returns::{returning, told, until_back};
use crate::support::{deadline, join, join_with, pump, pump_session, readable, wait_for};
use cpg::{Ended, Error, Event, Flow, Limits, OwnedEvent, Reconnect, Session, Waker};
use testcluster::Cluster;

#[test]
fn a_session_rejoins_each_time_that_its_daemon_is_back() {
    for flow in [Flow::new(), Flow::coalesced()] {
        let cluster = Cluster::start(1).unwrap();
        cluster.on(1, || {
            let mut session = join_with(returning(Reconnect::new()).flow(flow), "returns");
            let (fd, me) = (session.as_raw_fd(), session.me());
            assert_eq!(session.generation(), 1);
            pump_session(&mut session, |events| crate::support::views(events).next().is_some());
            for generation in 1..4 {
                cluster.kill(1).unwrap();
                // The descriptor is readable, and a send in the meantime is refused with a separate error.
                wait_for("the descriptor", || readable(session.as_fd()).then_some(()));
                assert!(session.send(b"lost").unwrap_err().is_connection_lost());
                let events = pump_session(&mut session, |events| events.len() == 1);
                assert_eq!(told(&events), [format!("lost {generation}")]);
                assert_eq!(session.dispatch(Limits::available(), |_, _| ()).unwrap(), 0);
                assert!(!readable(session.as_fd()), "there is nothing to do");
                for error in [
                    session.send(b"away").unwrap_err(),
                    session.members().unwrap_err(),
                    session.sender().send(b"away").unwrap_err(),
                    session.sender().send(&vec![0; 3 << 20]).unwrap_err(),
                ] {
                    assert!(matches!(error, Error::NoMembership), "{error}");
                    assert!(error.is_connection_lost() && !error.is_retryable());
                }
                assert_eq!(session.generation(), generation);

                cluster.restart(1).unwrap();
                wait_for("the descriptor", || readable(session.as_fd()).then_some(()));
                let mut seen = Vec::new();
                while seen.is_empty() {
                    session
                        .dispatch(Limits::one().until(deadline()), |sender, event| {
                            if let Event::Rejoined(back) = &event {
                                assert_eq!(back.generation(), sender.generation());
                                assert!(back.view().is_first() && back.view().includes_me());
                                sender.try_send(b"hello").unwrap();
                            }
                            seen.push(event.into_owned());
                        })
                        .unwrap();
                }
                assert_eq!(told(&seen), [format!("rejoined {}", generation + 1)]);
                let heard =
                    pump_session(&mut session, |events| crate::support::messages(events).count() == 1);
                assert_eq!(told(&heard), ["hello"]);
                assert_eq!(
                    (session.as_raw_fd(), session.me(), session.generation()),
                    (fd, me, generation + 1)
                );
                assert_eq!(session.members().unwrap(), [me]);
            }
            session.leave().unwrap();
        });
    }
}

#[test]
fn a_membership_that_is_lost_before_its_first_view_does_not_count() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(returning(Reconnect::new()), "lost before");
        pump_session(&mut session, |events| crate::support::views(events).next().is_some());
        cluster.kill(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        for _ in 0..3 {
            cluster.restart(1).unwrap();
            // The session has rejoined the group, and its handler has not got the event yet.
            wait_for("the search", || readable(session.as_fd()).then_some(()));
            cluster.kill(1).unwrap();
            assert_eq!(session.dispatch(Limits::available(), |_, event| panic!("{event:?}")).unwrap(), 0);
            assert_eq!(session.generation(), 1);
        }
        cluster.restart(1).unwrap();
        assert_eq!(told(&until_back(&mut session)), ["rejoined 2"]);
        assert_eq!(session.generation(), 2);
    });
}

#[test]
fn a_run_goes_on_from_one_membership_to_the_next() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let mut session = join_with(returning(Reconnect::new()), "goes on");
        let mut other = cluster.on(2, || join("goes on"));
        pump_session(&mut session, |events| {
            crate::support::views(events).any(|view| view.members().len() == 2)
        });
        let runs = std::thread::scope(|scope| {
            let runs = scope.spawn(|| {
                let mut events = Vec::new();
                session
                    .run(Limits::forever(), |_, event| {
                        let delivered = matches!(event, Event::Deliver(_));
                        events.push(event.into_owned());
                        if delivered { Break(()) } else { Continue(()) }
                    })
                    .map(|_| events)
            });
            cluster.kill(1).unwrap();
            cluster.restart(1).unwrap();
            // The node is a member again, and the run has not ended.
            pump(&mut other, |events| {
                crate::support::views(events).any(|view| view.joined().contains(&cluster_member(view, 1)))
            });
            other.send(b"after").unwrap();
            runs.join().unwrap().unwrap()
        });
        assert_eq!(told(&runs), ["lost 1", "rejoined 2", "after"]);
    });
}

/// Returns the member of a view on this node, or an invalid member.
fn cluster_member(view: &cpg::OwnedView, node: u32) -> cpg::Member {
    let node = cpg::NodeId::new(node);
    view.on_node(node).next().unwrap_or(cpg::Member::new(node, 0))
}

#[test]
fn limits_end_a_wait_without_a_membership_as_in_a_membership() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(returning(Reconnect::new()), "waits");
        cluster.kill(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        let soon = || Instant::now() + Duration::from_millis(20);
        assert_eq!(session.dispatch(Limits::one().until(soon()), |_, _| ()).unwrap(), 0);
        assert_eq!(session.dispatch(Limits::forever().until(soon()), |_, _| ()).unwrap(), 0);
        assert_eq!(session.recv_until(soon()).unwrap(), None);
        let waker = Waker::new().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| waker.wake());
            let wait = Limits::forever().until(deadline()).woken_by(&waker);
            assert_eq!(session.run(wait, |_, _| Continue::<()>(())).unwrap(), Ended::Woken);
        });
        // There is no membership that could end.
        session.leave().unwrap();
    });
}

#[test]
fn with_a_deadline_in_the_past_the_loss_and_the_rejoin_are_taken_as_events() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(returning(Reconnect::new()), "polls");
        let mut final_one = join_with(Session::options(), "polls and ends");
        for session in [&mut session, &mut final_one] {
            pump_session(session, |events| crate::support::views(events).next().is_some());
        }
        cluster.kill(1).unwrap();
        for session in [&session, &final_one] {
            wait_for("the descriptor", || readable(session.as_fd()).then_some(()));
        }
        let event = session.recv_until(Instant::now()).unwrap();
        assert!(matches!(event, Some(OwnedEvent::Lost(_))), "{event:?}");
        assert!(final_one.recv_until(Instant::now()).unwrap_err().is_connection_lost());
        cluster.restart(1).unwrap();
        wait_for("the descriptor", || readable(session.as_fd()).then_some(()));
        // The join waits until there is a first view.
        let event = loop {
            match session.recv_until(Instant::now()).unwrap() {
                Some(OwnedEvent::TotemConfChg(_)) => {}
                event => break event,
            }
        };
        assert!(matches!(event, Some(OwnedEvent::Rejoined(_))), "{event:?}");
    });
}

#[test]
fn a_loop_that_waits_for_the_descriptor_gets_all_events_of_a_rejoin() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let how = returning(Reconnect::new()).flow(Flow::new().window_size(1));
        let (sender, mut receiver) = join_with(how, "loop").split();
        let fd = receiver.as_raw_fd();
        let mut events = Vec::new();
        let mut hear = |until: &dyn Fn(&[OwnedEvent]) -> bool| {
            while !until(&events) {
                wait_for("the descriptor", || readable(receiver.as_fd()).then_some(()));
                let handler = |_: &cpg::Sender, event: Event<'_>| events.push(event.into_owned());
                receiver.dispatch(Limits::available().at_most(1), handler).unwrap();
            }
        };
        hear(&|events| crate::support::views(events).next().is_some());
        cluster.pause(1).unwrap();
        (0..3).for_each(|_| _ = sender.send(b"x").unwrap());
        cluster.kill(1).unwrap();
        hear(&|events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        cluster.restart(1).unwrap();
        hear(&|events| matches!(events.last(), Some(OwnedEvent::Rejoined(_))));
        assert_eq!(told(&events), ["sent x", "unsent x", "unsent x", "lost 1", "rejoined 2"]);
        assert_eq!(receiver.as_raw_fd(), fd);
    });
}

#[test]
fn a_daemon_that_is_paused_during_a_reconnect_holds_up_no_call() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(returning(Reconnect::new()), "paused");
        cluster.kill(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        cluster.restart(1).unwrap();
        cluster.pause(1).unwrap();
        // Dispatching does not wait for the daemon, connected or not.
        let mut back = false;
        session
            .dispatch(Limits::available(), |_, event| back |= matches!(event, Event::Rejoined(_)))
            .unwrap();
        session
            .dispatch(Limits::one().until(Instant::now()), |_, event| {
                back |= matches!(event, Event::Rejoined(_));
            })
            .unwrap();
        cluster.resume(1).unwrap();
        if !back {
            until_back(&mut session);
        }
        assert_eq!(session.generation(), 2);
        session.leave().unwrap();
    });
}
