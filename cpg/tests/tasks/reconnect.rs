//! Sessions for tasks that reconnect after they have lost the daemon.
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::deadline;
use crate::support::tasks::{message, on_each_runtime, polled, soon, ticks};
use cpg::tokio::{Receiver, Sender, Session};
use cpg::{Error, Event, OwnedEvent, Reconnect};
use futures_core::Stream as _;
use testcluster::Cluster;

async fn join(group: &str, reconnect: Reconnect) -> Session {
    soon(Session::options().reconnect(reconnect).join_until(group, deadline())).await.unwrap()
}

/// Changes the cluster on another thread, because this blocks.
async fn change(cluster: &Arc<Cluster>, work: impl FnOnce(&Cluster) + Send + 'static) {
    let cluster = Arc::clone(cluster);
    tokio::task::spawn_blocking(move || work(&cluster)).await.unwrap();
}

async fn until_lost(receiver: &mut Receiver) {
    while !matches!(soon(receiver.recv()).await.unwrap(), OwnedEvent::Lost(_)) {}
}

#[test]
fn a_task_gets_the_loss_and_the_rejoin_in_order() {
    on_each_runtime(1, |cluster| async move {
        let (sender, mut receiver) = join("returns", Reconnect::new()).await.split();
        for generation in 1..4 {
            let waiting = tokio::spawn(async move {
                let mut told = Vec::new();
                // This member's message may come in the same batch.
                while told.len() < 3 {
                    let handler = |sender: &Sender, event: Event<'_>| match event {
                        Event::Lost(lost) => told.push((lost.generation(), sender.try_send(b"x").is_err())),
                        Event::Rejoined(back) => {
                            told.push((back.generation(), sender.try_send(b"x").is_err()));
                        }
                        Event::Deliver(message) => told.push((0, message.payload() != b"x")),
                        _ => {}
                    };
                    soon(receiver.dispatch(handler)).await.unwrap();
                }
                (told, receiver)
            });
            ticks().await;
            change(&cluster, |cluster| cluster.kill(1).unwrap()).await;
            change(&cluster, |cluster| cluster.restart(1).unwrap()).await;
            let told;
            (told, receiver) = soon(waiting).await.unwrap();
            assert_eq!(told, [(generation, true), (generation + 1, false), (0, false)]);
            let ticket = sender.ticket(soon(sender.send(b"after")).await.unwrap());
            assert_eq!(message(&mut receiver).await, b"after");
            soon(ticket).await.unwrap();
            assert_eq!((sender.generation(), receiver.generation()), (generation + 1, generation + 1));
            assert_eq!((receiver.name(), receiver.me()), (sender.name(), sender.me()));
            assert_eq!(soon(sender.members()).await.unwrap(), [sender.me()]);
        }
        soon(receiver.leave()).await.unwrap();
    });
}

#[test]
fn a_stream_goes_on_after_a_rejoin() {
    on_each_runtime(1, |cluster| async move {
        let mut session = join("stream", Reconnect::new()).await;
        let waiting = tokio::spawn(async move {
            let mut seen = Vec::new();
            while !matches!(seen.last(), Some(OwnedEvent::Rejoined(_))) {
                let next = soon(poll_fn(|cx| Pin::new(&mut session).poll_next(cx))).await;
                seen.push(next.expect("the stream does not end").unwrap());
            }
            (seen, session)
        });
        change(&cluster, |cluster| cluster.kill(1).unwrap()).await;
        change(&cluster, |cluster| cluster.restart(1).unwrap()).await;
        let (seen, session) = soon(waiting).await.unwrap();
        assert!(matches!(seen[..], [.., OwnedEvent::Lost(_), OwnedEvent::Rejoined(_)]), "{seen:?}");
        drop(session);
    });
}

#[test]
fn messages_under_way_at_a_loss_are_settled_or_kept() {
    on_each_runtime(1, |cluster| async move {
        let (sender, mut receiver) = join("settled", Reconnect::new().keep_queue()).await.split();
        let (refused, mut other) = join("refused", Reconnect::new()).await.split();
        change(&cluster, |cluster| cluster.pause(1).unwrap()).await;
        let mut failing = sender.ticket(soon(sender.send(b"in flight")).await.unwrap());
        assert!(polled(1, &mut failing).await.is_none());
        change(&cluster, |cluster| cluster.kill(1).unwrap()).await;
        until_lost(&mut receiver).await;
        until_lost(&mut other).await;
        assert!(soon(failing).await.unwrap_err().is_connection_lost());
        assert!(matches!(refused.try_send(b"x"), Err(Error::NoMembership)));
        assert!(matches!(soon(refused.send(b"x")).await, Err(Error::NoMembership)));
        assert!(matches!(soon(refused.send(&vec![0; 3 << 20])).await, Err(Error::NoMembership)));
        assert!(soon(sender.members()).await.unwrap_err().is_connection_lost());
        let kept = sender.ticket(soon(sender.send(b"kept")).await.unwrap());
        let long = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(&vec![7; 3 << 20]).await }
        });
        // Cancelled waits lose nothing.
        for _ in 0..3 {
            assert!(polled(1, receiver.recv()).await.is_none());
        }
        change(&cluster, |cluster| cluster.restart(1).unwrap()).await;
        assert_eq!(message(&mut receiver).await, b"kept");
        soon(kept).await.unwrap();
        assert_eq!(message(&mut receiver).await.len(), 3 << 20);
        soon(long).await.unwrap().unwrap();
        soon(receiver.leave()).await.unwrap();
    });
}

#[test]
fn leaving_and_dropping_end_a_session_that_reconnects() {
    on_each_runtime(1, |cluster| async move {
        let pauses = Reconnect::new().keep_queue().pauses(Duration::from_millis(1), Duration::from_millis(1));
        let (sender, mut leaves) = join("leaves", pauses).await.split();
        let (orphan, mut drops) = join("drops", pauses).await.split();
        change(&cluster, |cluster| cluster.kill(1).unwrap()).await;
        until_lost(&mut leaves).await;
        until_lost(&mut drops).await;
        soon(sender.send(b"kept")).await.unwrap();
        let mut handed_back = Vec::new();
        let leaving = leaves.leave_until(deadline(), |_, event| handed_back.push(event.into_owned()));
        soon(leaving).await.unwrap();
        let [OwnedEvent::Undelivered(message)] = &handed_back[..] else { panic!("{handed_back:?}") };
        assert_eq!(message.payload(), b"kept");
        drop(drops);
        for sender in [sender, orphan] {
            soon(sender.send(b"x")).await.unwrap_err();
        }
        change(&cluster, |cluster| cluster.restart(1).unwrap()).await;
        let gone = tokio::task::spawn_blocking(|| {
            let handle = cpg::Handle::connect().unwrap();
            crate::support::wait_for("the groups to be gone", || {
                handle.processes().unwrap().is_empty().then_some(())
            });
        });
        soon(gone).await.unwrap();
    });
}

#[test]
fn leaving_during_a_reconnect_holds_up_no_other_task() {
    on_each_runtime(1, |cluster| async move {
        let pause = Duration::from_millis(1);
        let (_sender, mut receiver) = join("found", Reconnect::new().pauses(pause, pause)).await.split();
        change(&cluster, |cluster| cluster.kill(1).unwrap()).await;
        until_lost(&mut receiver).await;
        change(&cluster, |cluster| cluster.restart(1).unwrap()).await;
        let joined = tokio::task::spawn_blocking(|| {
            let handle = cpg::Handle::connect().unwrap();
            crate::support::wait_for("the join", || (!handle.processes().unwrap().is_empty()).then_some(()));
        });
        soon(joined).await.unwrap();
        ticks().await;
        // The reconnect has a handle that no task has taken, and a paused daemon does not let it close.
        cluster.pause(1).unwrap();
        let leaving = tokio::spawn(receiver.leave());
        for _ in 0..5 {
            ticks().await;
        }
        cluster.resume(1).unwrap();
        soon(leaving).await.unwrap().unwrap();
    });
}

#[test]
fn a_sending_task_can_wait_until_the_session_has_rejoined() {
    on_each_runtime(1, |cluster| async move {
        let (sender, mut receiver) = join("waits for", Reconnect::new()).await.split();
        soon(sender.wait_joined()).await.unwrap();
        change(&cluster, |cluster| cluster.kill(1).unwrap()).await;
        until_lost(&mut receiver).await;
        // One wait is cancelled, one passes its deadline, and the others are woken.
        assert!(polled(1, sender.wait_joined()).await.is_none());
        let late = soon(sender.wait_joined_until(Instant::now() + Duration::from_millis(20))).await;
        assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
        let waiting = [(); 2].map(|()| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.wait_joined().await })
        });
        ticks().await;
        change(&cluster, |cluster| cluster.restart(1).unwrap()).await;
        while !matches!(soon(receiver.recv()).await.unwrap(), OwnedEvent::Rejoined(_)) {}
        for waiting in waiting {
            soon(waiting).await.unwrap().unwrap();
        }
        soon(sender.send(b"back")).await.unwrap();
        assert_eq!(message(&mut receiver).await, b"back");
        // This session does not rejoin.
        change(&cluster, |cluster| cluster.kill(1).unwrap()).await;
        until_lost(&mut receiver).await;
        let waiting = tokio::spawn(async move { sender.wait_joined_until(deadline()).await });
        ticks().await;
        drop(receiver);
        assert!(matches!(soon(waiting).await.unwrap(), Err(Error::ReceiverDropped)));
        change(&cluster, |cluster| cluster.restart(1).unwrap()).await;
    });
}
