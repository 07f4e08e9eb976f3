//! Sessions for tasks: join, send, receive, leave, split and stream, on both kinds of runtime.
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::tasks::{eventually, message, on_each_runtime, soon};
use crate::support::{Members, deadline, join_with, name, packets_program, wait_for};
use cpg::tokio::{Receiver, Sender, Session};
use cpg::{CsError, Error, Event, Flow, Handle, OwnedEvent, OwnedMessage, Result, packet};
use futures_core::Stream;
use futures_core::stream::FusedStream;
use static_assertions::{assert_impl_all, assert_not_impl_any};
use testcluster::Cluster;

assert_impl_all!(Session: Send, Unpin, FusedStream<Item = Result<OwnedEvent>>);
assert_impl_all!(Receiver: Send, Unpin, FusedStream<Item = Result<OwnedEvent>>);
assert_impl_all!(Sender: Clone, Send, Sync);
// A session is not Sync, because only one thread at a time may dispatch (A4).
assert_not_impl_any!(Session: Clone, Sync);
assert_not_impl_any!(Receiver: Clone, Sync);

fn assert_send<T: Send>(future: T) -> T {
    future
}

/// Checks at compile time that the future of each method can move between workers.
#[allow(dead_code, reason = "for the compiler")]
fn futures_are_send(mut session: Session, sender: &Sender, other: Session) {
    _ = assert_send(Session::join("name"));
    _ = assert_send(session.members());
    _ = assert_send(session.recv());
    _ = assert_send(session.dispatch(|_, _| ()));
    _ = assert_send(session.leave_until(deadline(), |_, _| ()));
    _ = assert_send(other.leave());
    _ = assert_send(sender.send(b"x"));
    _ = assert_send(sender.send_until(b"x", deadline()));
    _ = assert_send(sender.members());
}

async fn next(stream: &mut (impl Stream<Item = Result<OwnedEvent>> + Unpin)) -> Option<Result<OwnedEvent>> {
    soon(poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx))).await
}

#[test]
fn a_task_joins_sends_receives_and_leaves() {
    on_each_runtime(1, |_| async {
        let mut session = soon(Session::join("tasks")).await.unwrap();
        assert_eq!((session.name(), session.me().pid()), (&name("tasks"), std::process::id()));
        let OwnedEvent::ConfChg(view) = soon(session.recv()).await.unwrap() else { panic!() };
        assert!(view.is_first() && view.members() == [session.me()]);
        session.send(b"short").unwrap();
        session.send_vectored(&[IoSlice::new(b"at "), IoSlice::new(b"once")]).unwrap();
        let long: Vec<u8> = (0..=u8::MAX).cycle().take(5_000_000).collect();
        let ticket = session.ticket(session.send(&long).unwrap());
        for expected in [&b"short"[..], b"at once", &long] {
            assert_eq!(message(&mut session).await, expected);
        }
        soon(ticket).await.unwrap();
        assert_eq!(soon(session.members()).await.unwrap(), [session.me()]);
        // Messages under way are still delivered.
        session.send(b"last").unwrap();
        let (mut heard, mut refused) = (Vec::new(), false);
        let leaving = session.leave_until(deadline(), |sender, event| match event {
            Event::Deliver(message) => heard.push(message.payload().to_vec()),
            _ => refused = matches!(sender.try_send(b"x"), Err(Error::Left)),
        });
        soon(leaving).await.unwrap();
        assert_eq!((heard, refused), (vec![b"last".to_vec()], true));
        // The leave is complete, so the process can join again.
        soon(soon(Session::join("tasks")).await.unwrap().leave()).await.unwrap();
    });
}

#[test]
fn a_send_with_a_deadline_waits_for_room_until_then() {
    on_each_runtime(1, |_| async {
        let flow = Flow::new().window_size(1).queue_size(10_000);
        let (sender, mut receiver) = soon(Session::options().flow(flow).join("room")).await.unwrap().split();
        let (slices, mut sent) = ([IoSlice::new(b"in "), IoSlice::new(b"pieces")], 0);
        while sender.try_send_vectored(&slices).is_ok() {
            sent += 1;
        }
        // No task dispatches.
        for (len, wait) in [(9, 0), (9, 20), (2_000_000, 20)] {
            let until = Instant::now() + Duration::from_millis(wait);
            let late = soon(sender.send_until(&vec![0; len], until)).await.unwrap_err();
            assert!(matches!(late, Error::QueueFull) && Instant::now() >= until, "{late}");
        }
        let hearing = async {
            for _ in 0..sent {
                assert_eq!(message(&mut receiver).await, b"in pieces");
            }
            message(&mut receiver).await
        };
        let (last, heard) = tokio::join!(soon(sender.send_until(b"last", deadline())), hearing);
        assert_eq!((last.map(drop), heard), (Ok(()), b"last".to_vec()));
    });
}

#[test]
fn every_send_gives_a_token_whose_ticket_can_be_made_at_any_time() {
    on_each_runtime(1, |_| async {
        let (sender, mut receiver) = soon(Session::join("tokens")).await.unwrap().split();
        let sending = tokio::spawn({
            let sender = sender.clone();
            async move {
                let slices = [IoSlice::new(b"3"), IoSlice::new(b"4")];
                [
                    sender.send(b"1").await.unwrap(),
                    sender.send(&vec![2; 3_000_000]).await.unwrap(),
                    sender.send_vectored(&slices).await.unwrap(),
                    sender.try_send(b"5").unwrap(),
                ]
            }
        });
        for expected in [&b"1"[..], &vec![2; 3_000_000], b"34", b"5"] {
            assert!(message(&mut receiver).await == expected);
        }
        for sent in soon(sending).await.unwrap() {
            soon(sender.ticket(sent)).await.unwrap();
        }
        let other = soon(Session::join("other tokens")).await.unwrap();
        let foreign = sender.ticket(other.send(b"x").unwrap());
        assert_eq!(soon(foreign).await, Err(Error::ForeignToken));
    });
}

#[test]
fn a_packet_in_a_session_that_does_not_coalesce_is_an_event() {
    on_each_runtime(1, |cluster| async move {
        let mut session = soon(Session::join("unexpected")).await.unwrap();
        let mut c = cluster.command_on(1, packets_program());
        let c = c.args(["send", "unexpected", "50"]).stdout(Stdio::null()).spawn().unwrap();
        let mut lengths = Vec::new();
        while lengths.len() < 50 {
            match soon(session.recv()).await.unwrap() {
                OwnedEvent::Malformed(heard) => {
                    assert_eq!(heard.error(), packet::Error::Unexpected);
                    lengths.extend(packet::messages(heard.bytes()).map(|message| message.unwrap().len()));
                }
                OwnedEvent::ConfChg(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(lengths[..4], [0, 5, 127, 128]);
        let ended = tokio::task::spawn_blocking(move || { c }.wait().unwrap());
        assert!(soon(ended).await.unwrap().success());
    });
}

#[test]
fn a_failed_join_is_an_error() {
    on_each_runtime(1, |_| async {
        let _first = soon(Session::join("once")).await.unwrap();
        assert_eq!(soon(Session::join("once")).await.unwrap_err().code(), Some(CsError::Exist));
        assert!(matches!(soon(Session::join("")).await.unwrap_err(), Error::InvalidName(_)));
    });
}

#[test]
fn dispatch_delivers_waiting_events_without_a_copy() {
    on_each_runtime(1, |_| async {
        let mut session = soon(Session::join("closure")).await.unwrap();
        for byte in 0..=255 {
            session.send(&[byte]).unwrap();
        }
        let (me, mut views, mut heard, mut calls) = (session.me(), 0, Vec::new(), 0);
        // The first of these handlers sends one more message, which is long.
        while heard.len() < 257 {
            let before = views + heard.len();
            let sends = |sender: &Sender| {
                sender.try_send(&vec![0; sender.max_atomic_message_size() + 1]).unwrap();
            };
            let handling = session.dispatch(|sender, event| {
                assert_eq!(sender.me(), me);
                if let Event::Deliver(mut message) = event {
                    message.payload_mut()[0] ^= 0xff;
                    heard.push(message.payload()[0]);
                } else {
                    views += 1;
                    sends(sender);
                }
            });
            let handled = soon(handling).await.unwrap();
            assert!(handled > 0 && handled == views + heard.len() - before);
            calls += 1;
        }
        assert_eq!(heard, (0..=255).rev().chain([255]).collect::<Vec<_>>());
        assert!(views == 1 && calls > 0);
        // A handler sends, and the message is delivered to the same task.
        session.send(b"ping").unwrap();
        soon(session.dispatch(|sender, _| _ = sender.try_send(b"pong").unwrap())).await.unwrap();
        assert_eq!(message(&mut session).await, b"pong");
    });
}

#[test]
fn the_halves_of_a_session_can_be_used_by_different_tasks() {
    on_each_runtime(1, |_| async {
        let (sender, mut receiver) = soon(Session::join("halves")).await.unwrap().split();
        assert_eq!((receiver.name(), receiver.me()), (&name("halves"), sender.me()));
        let senders: Vec<_> = (0..8_u8)
            .map(|task| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    for number in 0..100_u8 {
                        soon(sender.send(&[task, number])).await.unwrap();
                        if number % 32 == 0 {
                            assert_eq!(soon(sender.members()).await.unwrap(), [sender.me()]);
                        }
                    }
                })
            })
            .collect();
        let receiving = tokio::spawn(async move {
            let mut heard = [0; 8];
            while heard != [100; 8] {
                let OwnedEvent::Deliver(message) = soon(receiver.recv()).await.unwrap() else { continue };
                let [task, number] = message.payload() else { panic!("{message:?}") };
                assert_eq!(heard[usize::from(*task)], *number);
                heard[usize::from(*task)] += 1;
            }
            receiver
        });
        for task in senders {
            soon(task).await.unwrap();
        }
        soon(soon(receiving).await.unwrap().leave()).await.unwrap();
        for error in [
            soon(sender.send(b"x")).await.unwrap_err(),
            soon(sender.send(&vec![0; 3_000_000])).await.unwrap_err(),
            sender.try_send(b"x").unwrap_err(),
            soon(sender.members()).await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::Left), "{error}");
        }
    });
}

#[test]
fn the_membership_ends_with_the_last_half() {
    on_each_runtime(1, |cluster| async move {
        let mut c = {
            let cluster = Arc::clone(&cluster);
            tokio::task::spawn_blocking(move || Members::start(&cluster, 1, &name("last"), 1)).await.unwrap()
        };
        for receiver_first in [true, false] {
            let (sender, receiver) = soon(Session::join("last")).await.unwrap().split();
            let clone = sender.clone();
            drop(sender);
            if receiver_first {
                drop(receiver);
                soon(clone.send(b"stands")).await.unwrap();
                assert_eq!(soon(clone.members()).await.unwrap().len(), 2);
                c.expect(|line| line.ends_with("stands"));
                drop(clone);
            } else {
                drop(clone);
                let mut receiver = receiver;
                soon(receiver.recv()).await.unwrap();
                drop(receiver);
            }
            c.expect(|line| line.starts_with("view") && line.contains(" -1:"));
        }
    });
}

#[test]
fn a_session_and_its_receiver_are_streams() {
    on_each_runtime(1, |_| async {
        let mut session = soon(Session::join("stream")).await.unwrap();
        assert!(matches!(next(&mut session).await, Some(Ok(OwnedEvent::ConfChg(_)))));
        for text in ["one", "two", "three"] {
            session.send(text.as_bytes()).unwrap();
        }
        let text = |event: Option<Result<OwnedEvent>>| {
            let Some(Ok(OwnedEvent::Deliver(message))) = event else { panic!("{event:?}") };
            String::from_utf8(OwnedMessage::into_payload(message)).unwrap()
        };
        assert_eq!(text(next(&mut session).await), "one");
        // A stream takes one event at a time as well, and leaves the rest to other methods.
        assert_eq!(message(&mut session).await, b"two");
        let (_sender, mut receiver) = session.split();
        assert_eq!(text(next(&mut receiver).await), "three");
        assert!(!receiver.is_terminated());
    });
}

#[test]
fn a_session_for_threads_becomes_one_for_tasks() {
    on_each_runtime(1, |_| async {
        let session =
            tokio::task::spawn_blocking(|| join_with(cpg::Session::options(), "made")).await.unwrap();
        session.send(b"before").unwrap();
        let mut session = Session::new(session).unwrap();
        assert_eq!(message(&mut session).await, b"before");
        drop(session);
        eventually("the membership to end", || async {
            let asking = tokio::task::spawn_blocking(|| Handle::connect()?.members_of(name("made")));
            asking.await.unwrap().unwrap().is_empty().then_some(())
        })
        .await;
    });
}

#[test]
fn without_a_runtime_the_session_is_dropped_by_the_panic() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let session = join_with(cpg::Session::options(), "nowhere");
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Session::new(session))).unwrap_err();
        let handle = Handle::connect().unwrap();
        wait_for("the membership to end", || {
            handle.members_of(name("nowhere")).unwrap().is_empty().then_some(())
        });
    });
}

#[test]
fn leaving_delivers_no_event_after_the_view_of_the_leave() {
    on_each_runtime(1, |cluster| async move {
        let mut session = soon(Session::join("others go")).await.unwrap();
        let me = session.me();
        let others = Members::start(&cluster, 1, &name("others go"), 3);
        while !matches!(soon(session.recv()).await.unwrap(), OwnedEvent::ConfChg(view) if view.members().len() == 4)
        {
        }
        session.send(b"first").unwrap();
        let mut others = Some(others);
        let mut events = Vec::new();
        let leaving = session.leave_until(deadline(), |_, event| {
            // The leave has been requested, and the daemon still sends events of other members.
            if others.take().is_some() {
                let handle = Handle::connect().unwrap();
                wait_for("all to be gone", || handle.processes().unwrap().is_empty().then_some(()));
            }
            events.push(event.into_owned());
        });
        soon(leaving).await.unwrap();
        let [OwnedEvent::Deliver(_), OwnedEvent::ConfChg(last)] = &events[..] else { panic!("{events:?}") };
        assert_eq!(last.left(), [me]);
    });
}
