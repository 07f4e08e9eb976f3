//! The two halves of a session: their rights, and the end of the membership.

use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::ring::stand_still;
use crate::support::{Members, asking, deadline, join_with, name, split_with, wait_for};
use cpg::{CsError, Ended, Error, Event, Flow, Handle, Limits, OwnedEvent, Receiver, Sender, Session};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use testcluster::Cluster;

assert_impl_all!(Sender: Clone, Send, Sync);
assert_impl_all!(Receiver: Send, std::os::fd::AsFd);
assert_not_impl_any!(Receiver: Sync, Clone);
assert_not_impl_any!(&Receiver: Send);
assert_impl_all!(Session: Send, std::os::fd::AsFd);
assert_not_impl_any!(Session: Sync, Clone);

fn split(group: &str) -> (Sender, Receiver) {
    split_with(Flow::new(), group)
}

fn message(receiver: &mut Receiver) -> Vec<u8> {
    loop {
        match receiver.recv_until(deadline()).unwrap() {
            Some(OwnedEvent::Deliver(message)) => return message.into_payload(),
            Some(_) => {}
            None => panic!("nothing came"),
        }
    }
}

#[test]
fn both_halves_can_do_what_the_session_could() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let session = join_with(Session::options(), "halves");
        let me = session.me();
        assert_eq!((session.name(), session.members().unwrap()), (&name("halves"), vec![me]));
        let (sender, mut receiver) = session.split();
        assert_eq!((sender.name(), sender.me()), (receiver.name(), receiver.me()));
        assert_eq!((sender.name(), sender.me()), (&name("halves"), me));
        assert_eq!(sender.members().unwrap(), [me]);
        assert_eq!(receiver.sender().members().unwrap(), [me]);
        sender.send(b"sender").unwrap();
        receiver.sender().send(b"receiver").unwrap();
        sender.send_vectored(&[IoSlice::new(b"in "), IoSlice::new(b"bits")]).unwrap();
        sender.send_until(&vec![3; 3_000_000], deadline()).unwrap();
        for expected in [&b"sender"[..], b"receiver", b"in bits", &vec![3; 3_000_000]] {
            assert_eq!(message(&mut receiver), expected);
        }
        // A handler sends while other threads send.
        sender.send(b"ask").unwrap();
        let heard = receiver.run(Limits::forever(), |own, event| match event {
            Event::Deliver(message) if message.payload() == b"answer" => {
                std::ops::ControlFlow::Break(own.members().unwrap())
            }
            _ => {
                sender.send(b"x").and_then(|_| own.try_send(b"answer")).unwrap();
                std::ops::ControlFlow::Continue(())
            }
        });
        assert_eq!(heard.unwrap(), Ended::Broke(vec![me]));
    });
}

#[test]
fn the_membership_ends_with_the_last_half() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut c = Members::start(&cluster, 1, &name("last"), 1);
        for receiver_first in [true, false] {
            let (sender, receiver) = split("last");
            let (clone, gone) = (sender.clone(), format!("-{}", sender.me()));
            c.expect(|line| line.contains(&format!("+{}", sender.me())));
            let mut stands = |sender: &Sender, text: &str| {
                sender.send(text.as_bytes()).unwrap();
                c.expect(|line| {
                    assert!(!line.contains(&gone), "the member has left: {line}");
                    line.ends_with(text)
                });
                assert_eq!(sender.members().unwrap().len(), 2);
            };
            if receiver_first {
                drop(receiver);
                stands(&sender, "without the receiver");
                drop(sender);
                stands(&clone, "one sender");
                drop(clone);
            } else {
                drop(sender);
                stands(&clone, "both");
                drop(clone);
                receiver.sender().send(b"without senders").unwrap();
                c.expect(|line| line.ends_with("without senders"));
                drop(receiver);
            }
            c.expect(|line| line.contains(&gone));
        }
    });
}

fn assert_refused(sender: &Sender) {
    let long = vec![0; 3_000_000];
    for error in [
        sender.send(b"x").unwrap_err(),
        sender.send(&long).unwrap_err(),
        sender.send_vectored(&[]).unwrap_err(),
        sender.send_until(b"x", deadline()).unwrap_err(),
        sender.members().unwrap_err(),
    ] {
        assert!(matches!(error, Error::Left) && !error.is_retryable(), "{error}");
        assert!(error.to_string().contains("has been left"), "{error}");
    }
}

#[test]
fn no_message_is_sent_after_the_leave() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for _ in 0..20 {
            let (sender, receiver) = split_with(Flow::new().queue_size(10_000), "leave");
            let sent = AtomicUsize::new(0);
            let mut heard = 0;
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        loop {
                            match sender.send(b"x") {
                                Ok(_) => _ = sent.fetch_add(1, Ordering::SeqCst),
                                Err(Error::Left) => break,
                                Err(error) => assert!(error.is_retryable(), "{error}"),
                            }
                        }
                    });
                }
                wait_for("sends", || (sent.load(Ordering::SeqCst) > 20).then_some(()));
                receiver
                    .leave_until(deadline(), |sender, event| {
                        if let Event::Deliver(_) = event {
                            heard += 1;
                        }
                        assert!(matches!(sender.try_send(b"x"), Err(Error::Left)));
                        assert!(matches!(sender.send(b"x"), Err(Error::Left)));
                    })
                    .unwrap();
            });
            // Each accepted message was sent before the leave, and so was delivered before the leave was over.
            assert_eq!(heard, sent.load(Ordering::SeqCst));
            assert_refused(&sender);
        }
    });
}

#[test]
fn a_leave_that_fails_or_panics_ends_the_membership_under_the_senders() {
    // A paused member of the ring stops the delivery of the leave, for as long as the token's time.
    let cluster = Cluster::builder().nodes(2).token(Duration::from_secs(10)).start().unwrap();
    cluster.on(1, || {
        let handle = Handle::connect().unwrap();
        let assert_gone = |sender: &Sender| {
            assert_refused(sender);
            wait_for("the membership to end", || {
                handle.members_of(sender.name()).unwrap().is_empty().then_some(())
            });
            // The handle is closed as well. If it stayed joined, this join would be refused.
            split(&sender.name().to_string()).1.leave().unwrap();
        };
        let (sender, receiver) = split("late");
        stand_still(&cluster);
        let late = receiver.leave_until(Instant::now(), |_, _| {}).unwrap_err();
        cluster.resume(2).unwrap();
        assert!(matches!(late, Error::TimedOut { .. }), "{late}");
        assert_gone(&sender);

        // Flow control may refuse the leave itself until the deadline.
        let (sender, receiver) = split("full");
        cluster.pause(2).unwrap();
        while sender.try_send(&vec![0; 1_000_000]).is_ok() {}
        let refused = receiver.leave_until(Instant::now(), |_, _| {}).unwrap_err();
        cluster.resume(2).unwrap();
        assert!(matches!(refused, Error::TimedOut { .. }) || refused.is_retryable(), "{refused}");
        assert_gone(&sender);

        let (sender, receiver) = split("panic");
        let panic = catch_unwind(AssertUnwindSafe(|| receiver.leave_until(deadline(), |_, _| panic_any(7))));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&7));
        assert_gone(&sender);
    });
}

#[test]
fn a_paused_daemon_holds_up_a_question_but_not_the_receiver() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split("paused");
        assert_eq!(receiver.dispatch(Limits::one().until(deadline()), |_, _| ()).unwrap(), 1);
        cluster.pause(1).unwrap();
        std::thread::scope(|scope| {
            let asking = asking(scope, &sender);
            for _ in 0..50 {
                assert_eq!(receiver.dispatch(Limits::available(), |_, _| panic!()).unwrap(), 0);
                let soon = Instant::now() + Duration::from_millis(1);
                assert_eq!(receiver.recv_until(soon).unwrap(), None);
            }
            assert!(!asking.is_finished());
            cluster.resume(1).unwrap();
            assert_eq!(asking.join().unwrap().unwrap(), [receiver.me()]);
        });
    });
}

#[test]
fn a_lost_daemon_is_lost_to_both_halves() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split("lost");
        let waiting = cluster.spawn_on(1, {
            let (_, mut receiver) = split("lost waiting");
            move || receiver.events().find_map(Result::err).unwrap()
        });
        cluster.kill(1).unwrap();
        for error in [
            sender.send(b"x").unwrap_err(),
            sender.send(&vec![0; 3_000_000]).unwrap_err(),
            sender.send_until(b"x", deadline()).unwrap_err(),
            sender.members().unwrap_err(),
            receiver.recv().unwrap_err(),
            receiver.recv_until(deadline()).unwrap_err(),
            receiver.dispatch(Limits::available(), |_, _| ()).unwrap_err(),
            receiver.run(Limits::forever(), |_, _| std::ops::ControlFlow::<()>::Continue(())).unwrap_err(),
            waiting.join().unwrap(),
            receiver.leave().unwrap_err(),
        ] {
            assert!(error.is_connection_lost() && !error.is_retryable(), "{error}");
            assert_eq!(error.code(), Some(CsError::Library));
        }
        assert!(matches!(sender.send(b"x"), Err(Error::Left)));
    });
}
