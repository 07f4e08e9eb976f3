//! The sending queue: the time at which messages are sent, and the senders that wait.

use std::io::IoSlice;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use crate::support::fork::{child, ensure, fork, reap, refused};
use crate::support::process::own_process;
use crate::support::{
    Members, asking, deadline, join, join_with, name, readable, receive, split_with, wait_for,
};
use cpg::{Error, Event, Flow, Limits, Session};
use testcluster::Cluster;

/// Allows only one small message in flight at a time.
fn one_at_a_time() -> Flow {
    Flow::new().window_size(1)
}

/// The time after which a refusal means that the ring stands still. A daemon that is only busy refuses messages for a
/// moment.
fn lasting() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

#[test]
fn a_message_is_sent_at_once_and_the_next_one_after_its_self_delivery() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(one_at_a_time(), "clock");
        let mut other = Members::start(&cluster, 1, &name("clock"), 1);
        // No thread dispatches here meanwhile.
        for text in [&b"first"[..], b"second", b"third"] {
            sender.try_send(text).unwrap();
        }
        other.expect(|line| line.starts_with("deliver") && line.ends_with("first"));
        other.tell("send between");
        other.expect(|line| {
            assert!(!line.ends_with("second"), "the second message was sent before the first was delivered");
            line.ends_with("between")
        });
        assert_eq!(receive(&mut receiver, 4), [&b"first"[..], b"between", b"second", b"third"]);
        // With no message in flight, the next one is sent at once again.
        sender.send(b"again").unwrap();
        other.expect(|line| line.ends_with("again"));
    });
}

#[test]
fn a_full_queue_is_an_error_and_loses_no_message() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(one_at_a_time().queue_size(10_000), "full");
        let mut sent = 0_u32;
        let full = loop {
            match sender.try_send(&sent.to_le_bytes()) {
                Ok(_) => sent += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, Error::QueueFull) && full.is_retryable(), "{full}");
        assert!(std::io::Error::from(full).kind() == std::io::ErrorKind::WouldBlock);
        let late = sender.send_until(b"late", Instant::now()).unwrap_err();
        assert!(matches!(late, Error::QueueFull), "{late}");
        assert!((50..1000).contains(&sent), "the limit counts bytes with their overhead: {sent}");
        // A sender that waits for room gets it as soon as another thread dispatches, and its message comes after the
        // others.
        let waits = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| sender.send(&u32::MAX.to_le_bytes()));
            let heard = receive(&mut receiver, sent as usize + 1);
            waiting.join().unwrap().unwrap();
            heard
        });
        let numbers: Vec<_> =
            waits.iter().map(|bytes| u32::from_le_bytes(bytes[..].try_into().unwrap())).collect();
        assert_eq!(numbers, (0..sent).chain([u32::MAX]).collect::<Vec<_>>());
        // One message may always wait, even if it is larger than the queue.
        sender.try_send(b"in flight").unwrap();
        sender.try_send(&vec![7; 100_000]).unwrap();
        assert_eq!(receive(&mut receiver, 2)[1], vec![7; 100_000]);
    });
}

#[test]
fn a_message_that_flow_control_refused_is_sent_later() {
    let cluster = Cluster::builder().nodes(2).token(Duration::from_secs(20)).start().unwrap();
    cluster.on(1, || {
        let flood = join("flood");
        let (sender, mut receiver) = split_with(Flow::new(), "refused");
        receiver.dispatch(Limits::one().until(deadline()), |_, _| ()).unwrap();
        // The ring stands still, so the daemon's queue fills up. No message of this sender is in flight.
        cluster.pause(2).unwrap();
        wait_for("flow control", || flood.send_until(&vec![0; 500_000], lasting()).err());
        let ticket = sender.ticket(sender.send(b"refused for now").unwrap());
        assert!(ticket.outcome().is_none());
        // The descriptor becomes readable when it is time to send again, and only then: dispatching makes it
        // unreadable.
        for _ in 0..3 {
            wait_for("the time to try again", || readable(receiver.as_fd()).then_some(()));
            // A new ring, which a busy machine may cause, is no message.
            let message = |_: &cpg::Sender, event: Event<'_>| assert!(!matches!(event, Event::Deliver(_)));
            receiver.dispatch(Limits::available(), message).unwrap();
        }
        cluster.resume(2).unwrap();
        assert_eq!(receive(&mut receiver, 1), [b"refused for now"]);
        ticket.wait_until(deadline()).unwrap();
        wait_for("nothing to do", || (!readable(receiver.as_fd())).then_some(()));
    });
}

#[test]
fn a_handler_can_fill_the_queue_and_is_refused_a_send_that_would_wait() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(one_at_a_time().queue_size(1000), "handler");
        sender.send(b"go").unwrap();
        let mut sent = 0;
        receiver
            .run(Limits::forever(), |own, event| {
                let Event::Deliver(_) = event else { return std::ops::ControlFlow::Continue(()) };
                let ticket = sender.ticket(sender.send(b"x").unwrap());
                sent += 1;
                while own.try_send(b"x").is_ok() {
                    sent += 1;
                }
                assert!(matches!(own.try_send(b"x"), Err(Error::QueueFull)));
                assert!(matches!(own.send(b"x"), Err(Error::WouldWait { .. })));
                assert!(matches!(sender.send(b"x"), Err(Error::WouldWait { .. })));
                assert!(matches!(sender.send_until(b"x", Instant::now()), Err(Error::QueueFull)));
                assert!(matches!(ticket.wait_until(deadline()), Err(Error::WouldWait { .. })));
                assert!(matches!(own.try_send(&vec![0; 2 << 20]), Err(Error::QueueFull)));
                assert!(matches!(sender.send(&vec![0; 2 << 20]), Err(Error::WouldWait { .. })));
                std::ops::ControlFlow::Break(())
            })
            .unwrap();
        assert!(sent > 2);
        assert_eq!(receive(&mut receiver, sent), vec![b"x"; sent]);
    });
}

#[test]
fn a_whole_session_never_waits_to_send() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let flow = one_at_a_time().queue_size(1000);
        let mut session = join_with(Session::options().flow(flow), "whole");
        let ticket = session.ticket(session.send(&0_u32.to_le_bytes()).unwrap());
        let mut sent = 1_u32;
        let full = loop {
            match session.send_vectored(&[IoSlice::new(&sent.to_le_bytes())]) {
                Ok(_) => sent += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, Error::QueueFull), "{full}");
        assert!(matches!(session.send(b"x"), Err(Error::QueueFull)));
        let long = vec![0; session.max_atomic_message_size() + 1];
        assert!(matches!(session.send(&long), Err(Error::QueueFull)));
        // Handlers get the sender, and self-delivery makes room.
        let mut heard = Vec::new();
        while heard.len() <= sent as usize {
            let one = session.dispatch(Limits::one().until(deadline()), |sender, event| {
                if let Event::Deliver(message) = event {
                    if heard.is_empty() {
                        sender.try_send(&sent.to_le_bytes()).unwrap();
                    }
                    heard.push(u32::from_le_bytes(message.payload().try_into().unwrap()));
                }
            });
            assert_eq!(one.unwrap(), 1, "nothing more came after {heard:?}");
        }
        assert_eq!(heard, (0..=sent).collect::<Vec<_>>());
        assert!(matches!(ticket.outcome(), Some(Ok(()))));
        session.leave().unwrap();
    });
}

#[test]
fn a_question_to_a_paused_daemon_does_not_hold_up_senders() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::new(), "asked");
        receiver.dispatch(Limits::one().until(deadline()), |_, _| ()).unwrap();
        cluster.pause(1).unwrap();
        std::thread::scope(|scope| {
            let asking = asking(scope, &sender);
            for number in 0..2000_u32 {
                sender.send(&number.to_le_bytes()).unwrap();
            }
            assert!(!asking.is_finished());
            cluster.resume(1).unwrap();
            asking.join().unwrap().unwrap();
        });
        let heard = receive(&mut receiver, 2000);
        assert!(heard.iter().zip(0..2000_u32).all(|(bytes, number)| bytes[..] == number.to_le_bytes()));
    });
}

#[test]
fn leaving_waits_until_the_queue_is_sent() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for flow in [one_at_a_time(), Flow::coalesced().packet_size(100).window_size(100)] {
            let (sender, receiver) = split_with(flow, "leaves");
            for number in 0..200_u32 {
                sender.send(&number.to_le_bytes()).unwrap();
            }
            let mut heard = 0;
            receiver
                .leave_until(deadline(), |_, event| match event {
                    Event::Deliver(message) => {
                        assert_eq!(message.payload(), u32::to_le_bytes(heard));
                        heard += 1;
                    }
                    Event::Undelivered(message) => panic!("{message:?}"),
                    _ => {}
                })
                .unwrap();
            assert_eq!(heard, 200);
            assert!(matches!(sender.send(b"x"), Err(Error::Left)));
        }
    });
}

#[test]
fn without_a_receiver_a_message_is_sent_or_refused() {
    let cluster = Cluster::builder().nodes(2).token(Duration::from_secs(20)).start().unwrap();
    cluster.on(1, || {
        let (sender, receiver) = split_with(one_at_a_time(), "unheard");
        let mut other = Members::start(&cluster, 1, &name("unheard"), 1);
        let early = sender.ticket(sender.send(b"in flight").unwrap());
        sender.send(b"waits").unwrap();
        drop(receiver);
        assert!(matches!(early.wait(), Err(Error::ReceiverDropped)));
        for number in 0..5 {
            let ticket = sender.ticket(sender.send(format!("number {number}").as_bytes()).unwrap());
            assert!(matches!(ticket.outcome(), Some(Err(Error::ReceiverDropped))));
        }
        for text in ["in flight", "waits", "number 0", "number 1", "number 2", "number 3", "number 4"] {
            other.expect(|line| line.ends_with(text));
        }
        cluster.pause(2).unwrap();
        let late = wait_for("flow control", || sender.send_until(&vec![0; 500_000], lasting()).err());
        assert!(late.is_retryable(), "{late}");
        let refused = sender.try_send(&vec![0; 500_000]).unwrap_err();
        assert_eq!(refused.code(), Some(cpg::CsError::TryAgain));
        cluster.resume(2).unwrap();
        sender.send(b"the last").unwrap();
        other.expect(|line| line.ends_with("the last"));
    });
}

#[test]
fn waiting_messages_are_sent_when_the_receiver_is_dropped() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, receiver) = split_with(one_at_a_time(), "dropped");
        let mut other = Members::start(&cluster, 1, &name("dropped"), 1);
        for text in ["in flight", "waits", "waits too"] {
            sender.send(text.as_bytes()).unwrap();
        }
        drop(receiver);
        // No later message is sent that would make them travel as well.
        drop(sender);
        other.tell("send the end");
        let mut heard = Vec::new();
        while heard.last().is_none_or(|text| text != "the end") {
            let line = other.expect(|line| line.starts_with("deliver "));
            heard.push(line.splitn(3, ' ').nth(2).unwrap().to_owned());
        }
        assert_eq!(heard, ["in flight", "waits", "waits too", "the end"]);
    });
}

#[test]
fn the_rest_of_a_packet_makes_the_descriptor_readable_after_a_panic() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::coalesced().window_size(1), "panic");
        // The first message is sent at once, and the others travel together.
        for number in 0..4_u8 {
            sender.send(&[number]).unwrap();
        }
        assert_eq!(receive(&mut receiver, 1), [[0]]);
        let mut panicking = || {
            receiver.run(Limits::forever(), |_, event| match event {
                Event::Deliver(_) => std::panic::panic_any("the second"),
                _ => std::ops::ControlFlow::<()>::Continue(()),
            })
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut panicking)).is_err());
        for number in 2..4_u8 {
            wait_for("the rest", || readable(receiver.as_fd()).then_some(()));
            let mut heard = Vec::new();
            receiver
                .dispatch(Limits::available().at_most(1), |_, event| {
                    if let Event::Deliver(message) = event {
                        heard.extend_from_slice(message.payload());
                    }
                })
                .unwrap();
            assert_eq!(heard, [number]);
        }
    });
}

#[test]
fn a7_a_child_is_refused_the_queue() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::coalesced().window_size(1), "forked queue");
        let ticket = sender.ticket(sender.send(b"before").unwrap());
        sender.send(b"waits").unwrap();
        let pid = fork();
        if pid == 0 {
            child(|| {
                ensure!(refused(sender.send(b"child")));
                ensure!(refused(sender.try_send(b"child")));
                ensure!(refused(sender.send(b"child").map(drop)));
                ensure!(refused(sender.send(&vec![0; 2 << 20])));
                ensure!(refused(ticket.wait_until(deadline())));
                ensure!(matches!(ticket.outcome(), Some(Err(Error::Forked { .. }))));
                ensure!(refused(receiver.recv()));
                ensure!(refused(receiver.leave()));
                0
            });
        }
        reap(pid);
        assert_eq!(receive(&mut receiver, 2), [&b"before"[..], b"waits"]);
        ticket.wait_until(deadline()).unwrap();
    });
}
