//! Sessions that come back when they have lost the daemon.

use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use crate::support::fork::{child, ensure, fork, reap, refused};
use crate::support::other_user::{become_nobody, real_root};
use crate::support::process::own_process;
use crate::support::{deadline, join, join_with, pump, pump_session, readable, wait_for};
use cpg::{
    CsError, Ended, Error, Event, Flow, Handle, Limits, OwnedEvent, Receiver, Reconnect, Session,
    SessionOptions, Waker,
};
use testcluster::Cluster;

fn returning(reconnect: Reconnect) -> SessionOptions {
    Session::options().reconnect(reconnect)
}

/// Dispatches until the session has come back, and returns the events that led to it.
fn until_back(session: &mut Session) -> Vec<OwnedEvent> {
    pump_session(session, |events| matches!(events.last(), Some(OwnedEvent::Rejoined(_))))
}

/// As [`until_back`], of a receiver.
fn until_received_back(receiver: &mut Receiver) -> Vec<OwnedEvent> {
    let mut events = Vec::new();
    while !matches!(events.last(), Some(OwnedEvent::Rejoined(_))) {
        events.extend(receiver.recv_until(deadline()).unwrap());
    }
    events
}

/// What became of messages, in the order of events: those handed back, and `lost` and `rejoined` by generation.
fn told(events: &[OwnedEvent]) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    events
        .iter()
        .filter_map(|event| match event {
            OwnedEvent::Deliver(message) => Some(text(message.payload())),
            OwnedEvent::Undelivered(message) => {
                assert!(message.error().is_connection_lost(), "{:?}", message.error());
                let how = if message.was_sent() { "sent" } else { "unsent" };
                Some(format!("{how} {}", text(message.payload())))
            }
            OwnedEvent::Lost(lost) => {
                assert!(lost.error().is_connection_lost());
                Some(format!("lost {}", lost.generation()))
            }
            OwnedEvent::Rejoined(back) => Some(format!("rejoined {}", back.generation())),
            _ => None,
        })
        .collect()
}

#[test]
fn a_session_comes_back_each_time_that_its_daemon_does() {
    for flow in [Flow::new(), Flow::coalesced()] {
        let cluster = Cluster::start(1).unwrap();
        cluster.on(1, || {
            let mut session = join_with(returning(Reconnect::new()).flow(flow), "returns");
            let (fd, me) = (session.as_raw_fd(), session.me());
            assert_eq!(session.generation(), 1);
            pump_session(&mut session, |events| crate::support::views(events).next().is_some());
            for generation in 1..4 {
                cluster.kill(1).unwrap();
                // The descriptor says so, and what is sent meanwhile is refused in words of its own.
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
fn a_membership_that_is_lost_before_its_first_view_is_none() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(returning(Reconnect::new()), "lost before");
        pump_session(&mut session, |events| crate::support::views(events).next().is_some());
        cluster.kill(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        for _ in 0..3 {
            cluster.restart(1).unwrap();
            // The session is in the group again, and its handler has not heard of it.
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

/// The member of a view on that node, or one that is nobody.
fn cluster_member(view: &cpg::OwnedView, node: u32) -> cpg::Member {
    let node = cpg::NodeId::new(node);
    view.on_node(node).next().unwrap_or(cpg::Member::new(node, 0))
}

#[test]
fn waits_end_as_they_do_in_a_membership() {
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
        // There is no membership to end.
        session.leave().unwrap();
    });
}

#[test]
fn a_deadline_that_has_passed_takes_the_loss_and_the_return_as_it_takes_an_event() {
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
        // Joining waits until there is a first view.
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
fn what_was_not_delivered_is_handed_back_before_the_loss_is_told() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        // One message at a time is in flight.
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
fn a_loop_that_waits_for_the_descriptor_hears_of_all_of_it() {
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
fn what_waits_is_kept_if_that_was_asked_for() {
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
            // More can be queued, until the queue is full.
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
fn a_membership_that_is_lost_leaves_nothing_to_its_senders() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = join_with(returning(Reconnect::new()), "closed").split();
        cluster.kill(1).unwrap();
        while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
        // A thread closes the old handle, and not whoever dispatches when there is another one.
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
        // A queue would take as many for those that were lost.
        let (sender, mut receiver) = session.split();
        let ticket = sender.ticket(sender.send(b"second").unwrap());
        assert_eq!(crate::support::receive(&mut receiver, 2), [b"first".as_slice(), b"second"]);
        ticket.wait_until(deadline()).unwrap();
        receiver.leave().unwrap();
    });
}

#[test]
fn a_queue_that_is_full_has_room_again_when_the_group_is_back() {
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
fn nothing_is_sent_in_a_membership_that_the_handler_has_not_heard_of() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = join_with(returning(Reconnect::new()), "stale").split();
        while !matches!(receiver.recv().unwrap(), OwnedEvent::ConfChg(_)) {}
        cluster.kill(1).unwrap();
        // A sender that finds out first has its message back, and the receiver hears of the loss.
        let error = wait_for("the loss", || sender.try_send(b"x").err());
        assert!(error.is_connection_lost(), "{error}");
        assert!(matches!(sender.try_send(b"x"), Err(Error::NoMembership)));
        assert!(matches!(sender.send(&vec![0; 3 << 20]), Err(Error::NoMembership)));
        cluster.restart(1).unwrap();
        while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
        // It is joined by now or will be: until the handler has heard of it, what is sent could be stale.
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

#[test]
fn an_error_that_waiting_does_not_mend_ends_it() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let pauses = Reconnect::new().keep_queue().pauses(Duration::from_secs(2), Duration::from_secs(2));
        let (sender, mut receiver) = join_with(returning(pauses), "twice").split();
        let (ticket, other) = loop {
            cluster.kill(1).unwrap();
            while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
            let ticket = sender.ticket(sender.send(b"kept").unwrap());
            cluster.restart(1).unwrap();
            // The process is in the group before the session is.
            match Handle::connect().unwrap().join_until("twice", deadline()) {
                Ok(other) => break (ticket, other),
                // Or after it, on a busy machine: once more.
                Err(error) => assert_eq!(error.error().code(), Some(CsError::Exist)),
            }
            assert_eq!(crate::support::receive(&mut receiver, 1), [b"kept"]);
        };
        let event = receiver.recv().unwrap();
        let OwnedEvent::Undelivered(message) = event else { panic!("{event:?}") };
        assert_eq!((message.payload(), message.was_sent()), (&b"kept"[..], false));
        for error in [
            message.error().clone(),
            receiver.recv().unwrap_err(),
            receiver.dispatch(Limits::available(), |_, _| ()).unwrap_err(),
            sender.try_send(b"x").unwrap_err(),
            sender.send(&vec![0; 3 << 20]).unwrap_err(),
            sender.members().unwrap_err(),
            ticket.wait().unwrap_err(),
        ] {
            assert_eq!(error.code(), Some(CsError::Exist), "{error}");
        }
        receiver.leave().unwrap();
        assert!(matches!(sender.try_send(b"x"), Err(Error::Left)));
        drop(other);
    });
}

#[test]
fn a_user_who_is_refused_is_not_kept_waiting() {
    if !real_root() {
        println!("passed over: there is one user in this namespace");
        return;
    }
    // No other test limits threads meanwhile.
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    let (lost, told) = std::sync::mpsc::channel();
    let refused = cluster.spawn_on(1, move || {
        let mut session = join_with(returning(Reconnect::new()), "refused");
        // Root may talk to any daemon; this thread, and the one that looks for the next membership, are root's no longer.
        become_nobody();
        lost.send(()).unwrap();
        loop {
            if let Err(error) = session.dispatch(Limits::one().until(deadline()), |_, _| ()) {
                return (error, session.recv().unwrap_err(), session.leave());
            }
        }
    });
    told.recv().unwrap();
    cluster.kill(1).unwrap();
    cluster.restart(1).unwrap();
    let (error, again, left) = refused.join().unwrap();
    assert_eq!((error.code(), again.code()), (Some(CsError::Access), Some(CsError::Access)));
    assert!(error.to_string().contains("cannot connect to corosync"), "{error}");
    left.unwrap();
}

/// Sets how many threads a user who is not root may have.
fn limit_threads(soft: libc::rlim_t) -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it writes one struct.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit) }, 0);
    let before = std::mem::replace(&mut limit.rlim_cur, soft);
    // SAFETY: it reads one struct.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) }, 0);
    before
}

#[test]
fn without_a_thread_to_come_back_by_the_loss_is_still_why_messages_come_back() {
    if !real_root() {
        println!("passed over: there is one user in this namespace");
        return;
    }
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let how = returning(Reconnect::new().keep_queue()).flow(Flow::new().window_size(1));
        let (sender, mut receiver) = join_with(how, "no thread").split();
        while !matches!(receiver.recv().unwrap(), OwnedEvent::ConfChg(_)) {}
        cluster.pause(1).unwrap();
        let tickets = [b"1", b"2"].map(|message| sender.ticket(sender.send(message).unwrap()));
        cluster.kill(1).unwrap();
        // This thread is root's no longer, and may not start another one.
        become_nobody();
        let before = limit_threads(0);
        let (mut events, mut errors) = (Vec::new(), Vec::new());
        while errors.len() < 2 {
            match receiver.recv() {
                Ok(event) => events.push(event),
                Err(error) => errors.push(error),
            }
        }
        limit_threads(before);
        assert_eq!(told(&events), ["sent 1", "unsent 2"]);
        assert!(
            errors.iter().all(|error| matches!(error, Error::Io { call, .. } if call.contains("thread"))),
            "{errors:?}"
        );
        for error in
            tickets.map(|ticket| ticket.wait().unwrap_err()).iter().chain([&sender.send(b"x").unwrap_err()])
        {
            assert!(error.is_connection_lost() && !matches!(error, Error::NoMembership), "{error}");
        }
        // There is no membership to end.
        receiver.leave().unwrap();
    });
}

#[test]
fn it_can_be_stopped_at_any_time() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let short = Duration::from_millis(1);
        let groups = ["leaves", "drops", "drops before it knows"];
        let mut halves: Vec<_> = groups
            .map(|group| {
                join_with(returning(Reconnect::new().keep_queue().pauses(short, short)), group).split()
            })
            .into();
        cluster.kill(1).unwrap();
        for (_, receiver) in &mut halves[..2] {
            while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
        }
        let mut handed_back = Vec::new();
        let (sender, receiver) = halves.remove(0);
        sender.send(b"waits").unwrap();
        receiver.leave_until(deadline(), |_, event| handed_back.push(event.into_owned())).unwrap();
        let [OwnedEvent::Undelivered(message)] = &handed_back[..] else { panic!("{handed_back:?}") };
        assert_eq!((message.payload(), message.was_sent()), (&b"waits"[..], false));
        assert!(matches!(message.error(), Error::Left));
        assert!(matches!(sender.send(b"x"), Err(Error::Left)));
        // Those that are dropped while they look for the daemon do not join when it is back.
        for (sender, receiver) in halves {
            drop(receiver);
            let error = sender.send(b"x").unwrap_err();
            assert!(matches!(error, Error::ReceiverDropped) || error.is_connection_lost(), "{error}");
        }
        cluster.restart(1).unwrap();
        let handle = Handle::connect().unwrap();
        wait_for("the groups to be gone", || handle.processes().unwrap().is_empty().then_some(()));
    });
}

#[test]
fn who_hears_of_the_return_while_leaving_cannot_send() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(returning(Reconnect::new()), "leaves late");
        cluster.kill(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        cluster.restart(1).unwrap();
        wait_for("the session", || readable(session.as_fd()).then_some(()));
        // It takes the new membership, and has no stack for its first view.
        std::thread::scope(|scope| {
            let dispatch = || session.dispatch(Limits::available(), |_, _| ()).unwrap_err();
            let small = std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, dispatch);
            let error = small.unwrap().join().unwrap();
            assert!(matches!(error, Error::StackTooSmall { .. }), "{error}");
        });
        let mut sent = Vec::new();
        session
            .leave_until(deadline(), |sender, event| {
                if matches!(event, Event::Rejoined(_)) {
                    sent.push(sender.try_send(b"would be lost"));
                }
            })
            .unwrap();
        assert!(matches!(sent[..], [Err(Error::Left)]), "{sent:?}");
    });
}

#[test]
fn a7_a_child_is_refused_a_session_that_is_away() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        // The thread that looks for the daemon rests.
        let pause = Duration::from_secs(20);
        let how = returning(Reconnect::new().pauses(pause, pause));
        let mut session = join_with(how, "forked");
        let (sender, mut receiver) = join_with(how, "forked and split").split();
        cluster.kill(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
        assert_eq!((session.generation(), sender.generation(), receiver.generation()), (1, 1, 1));
        let pid = fork();
        if pid == 0 {
            child(|| {
                ensure!(refused(session.dispatch(Limits::available(), |_, _| ())));
                ensure!(refused(receiver.recv()));
                ensure!(sender.generation() == 1);
                ensure!(refused(session.leave()));
                ensure!(refused(receiver.leave()));
                0
            });
        }
        reap(pid);
        session.leave().unwrap();
        receiver.leave().unwrap();
    });
}

#[test]
fn a_daemon_that_stops_while_it_is_connected_to_holds_nobody_up() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(returning(Reconnect::new()), "paused");
        cluster.kill(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        cluster.restart(1).unwrap();
        cluster.pause(1).unwrap();
        // Connected or not: dispatching does not wait for the daemon.
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
