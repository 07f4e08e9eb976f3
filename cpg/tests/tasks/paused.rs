//! Fact B16: a paused daemon holds up the task that asked for something, and not its runtime.
use crate::support::name;
use crate::support::process::own_process;
use crate::support::tasks::{eventually, message, on_each_runtime, polled, soon, ticks};
use cpg::tokio::{Sender, Session};
use cpg::{Handle, OwnedEvent};
use testcluster::Cluster;
use tokio::task::JoinHandle;

/// Lets timers go off while a task waits for the daemon, then lets the daemon go on.
async fn waits<T>(cluster: &Cluster, task: JoinHandle<T>) -> T {
    for _ in 0..5 {
        ticks().await;
        assert!(!task.is_finished(), "the task has not waited");
    }
    cluster.resume(1).unwrap();
    soon(task).await.unwrap()
}

#[test]
fn join() {
    own_process!();
    on_each_runtime(1, |cluster| async move {
        cluster.pause(1).unwrap();
        let session = waits(&cluster, tokio::spawn(Session::join("join"))).await.unwrap();
        soon(session.leave()).await.unwrap();
    });
}

#[test]
fn asking_for_members_holds_up_neither_the_runtime_nor_other_tasks() {
    own_process!();
    on_each_runtime(1, |cluster| async move {
        let (sender, mut receiver) = soon(Session::join("members")).await.unwrap().split();
        soon(receiver.recv()).await.unwrap();
        cluster.pause(1).unwrap();
        let ask = |sender: Sender| tokio::spawn(async move { sender.members().await });
        let (asking, another) = (ask(sender.clone()), ask(sender.clone()));
        // Other tasks do not wait for the waiting one: neither a send, which is queued, nor a receive.
        sender.try_send(b"x").unwrap();
        soon(sender.send(b"y")).await.unwrap();
        let receiving = tokio::spawn(async move {
            let heard = [message(&mut receiver).await, message(&mut receiver).await];
            (heard, receiver)
        });
        assert_eq!(waits(&cluster, asking).await.unwrap(), [sender.me()]);
        assert_eq!(soon(another).await.unwrap().unwrap(), [sender.me()]);
        let (heard, receiver) = soon(receiving).await.unwrap();
        assert_eq!(heard, [b"x", b"y"]);
        soon(receiver.leave()).await.unwrap();
    });
}

#[test]
fn a_long_message_and_those_behind_it_do_not_hold_up_the_runtime() {
    own_process!();
    on_each_runtime(1, |cluster| async move {
        let (sender, mut receiver) = soon(Session::join("long")).await.unwrap().split();
        soon(receiver.recv()).await.unwrap();
        cluster.pause(1).unwrap();
        // A separate thread sends it, and only a task that asks for something waits for that thread.
        let ticket = sender.ticket(sender.try_send(&vec![5; 3_000_000]).unwrap());
        soon(sender.send(b"behind it")).await.unwrap();
        let receiving = tokio::spawn(async move {
            assert_eq!(message(&mut receiver).await, vec![5; 3_000_000]);
            assert_eq!(message(&mut receiver).await, b"behind it");
        });
        waits(&cluster, tokio::spawn(ticket)).await.unwrap();
        soon(receiving).await.unwrap();
    });
}

#[test]
fn a_short_send_without_room_does_not_hold_up_the_runtime() {
    own_process!();
    on_each_runtime(1, |cluster| async move {
        let (sender, mut receiver) = soon(Session::join("short")).await.unwrap().split();
        soon(receiver.recv()).await.unwrap();
        cluster.pause(1).unwrap();
        let mut sent = 0;
        while sender.try_send(&vec![sent; 100_000]).is_ok() {
            sent += 1;
        }
        let sending = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(&vec![255; 100_000]).await }
        });
        let receiving = tokio::spawn(async move {
            for number in (0..sent).chain([255]) {
                assert_eq!(message(&mut receiver).await, vec![number; 100_000]);
            }
        });
        waits(&cluster, sending).await.unwrap();
        soon(receiving).await.unwrap();
    });
}

#[test]
fn short_sends_that_do_not_fit_into_the_socket_do_not_hold_up_the_runtime() {
    own_process!();
    on_each_runtime(1, |cluster| async move {
        let (sender, mut receiver) = soon(Session::join("many")).await.unwrap().split();
        soon(receiver.recv()).await.unwrap();
        cluster.pause(1).unwrap();
        let mut sent = 0;
        // libqb would spin until it can send the byte that tells the daemon of a message.
        while sender.try_send(b"short").is_ok() {
            sent += 1;
        }
        let sending = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(b"last").await }
        });
        let receiving = tokio::spawn(async move {
            for _ in 0..sent {
                assert_eq!(message(&mut receiver).await, b"short");
            }
            assert_eq!(message(&mut receiver).await, b"last");
        });
        waits(&cluster, sending).await.unwrap();
        soon(receiving).await.unwrap();
    });
}

#[test]
fn leave() {
    own_process!();
    on_each_runtime(1, |cluster| async move {
        let session = soon(Session::join("leave")).await.unwrap();
        cluster.pause(1).unwrap();
        waits(&cluster, tokio::spawn(session.leave())).await.unwrap();
    });
}

#[test]
fn dropping_a_session_its_halves_or_its_futures_does_not_hold_up_the_runtime() {
    own_process!();
    on_each_runtime(1, |cluster| async move {
        let whole = soon(Session::join("whole")).await.unwrap();
        let (sender, receiver) = soon(Session::join("halves")).await.unwrap().split();
        let (other, leaving) = soon(Session::join("leaving")).await.unwrap().split();
        cluster.pause(1).unwrap();
        // Threads of some futures wait for the daemon and have the connection.
        assert!(polled(1, Session::join("joining")).await.is_none());
        assert!(polled(1, sender.members()).await.is_none());
        whole.send(&vec![0; 3_000_000]).unwrap();
        assert!(polled(1, leaving.leave()).await.is_none());
        drop((whole, receiver, other));
        drop(sender);
        for _ in 0..5 {
            ticks().await;
        }
        cluster.resume(1).unwrap();
        eventually("the memberships to end", || async {
            let asking = tokio::task::spawn_blocking(|| Handle::connect().unwrap().groups().unwrap().len());
            (asking.await.unwrap() == 0).then_some(())
        })
        .await;
    });
}

#[test]
fn dropping_a_finished_join_does_not_hold_up_the_runtime() {
    own_process!();
    on_each_runtime(1, |cluster| async move {
        // The result is there, but no task has polled for it.
        let mut joining = Box::pin(Session::join("done"));
        assert!(polled(1, joining.as_mut()).await.is_none());
        eventually("the membership", || async {
            let asking = tokio::task::spawn_blocking(|| {
                let handle = Handle::connect().unwrap();
                handle.members_of(name("done")).unwrap().len()
            });
            (asking.await.unwrap() == 1).then_some(())
        })
        .await;
        // The thread only has to hand the result over.
        ticks().await;
        cluster.pause(1).unwrap();
        drop(joining);
        ticks().await;
        cluster.resume(1).unwrap();
    });
}

#[test]
fn receiving_takes_the_events_that_are_there() {
    own_process!();
    on_each_runtime(1, |cluster| async move {
        let mut session = soon(Session::join("receiving")).await.unwrap();
        cluster.pause(1).unwrap();
        assert!(matches!(soon(session.recv()).await.unwrap(), OwnedEvent::ConfChg(_)));
        let receiving = tokio::spawn(async move { (message(&mut session).await, session) });
        ticks().await;
        assert!(!receiving.is_finished());
        cluster.resume(1).unwrap();
        let other = soon(Session::join("other")).await.unwrap();
        assert!(!receiving.is_finished());
        receiving.abort();
        assert!(soon(receiving).await.unwrap_err().is_cancelled());
        soon(other.leave()).await.unwrap();
    });
}
