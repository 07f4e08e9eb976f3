//! Sessions for tasks when handlers panic, processes fork and daemons die; and idle tasks.
use std::future::poll_fn;
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::support::fork::{child, ends_by_itself, ensure, fork, reap, refused};
use crate::support::process::own_process;
use crate::support::tasks::{by_hand, current, eventually, message, on_each_runtime, polled, soon, ticks};
use crate::support::{Members, deadline, join, name, payloads, wait_for};
use cpg::tokio::{Receiver, Session, SessionOptions};
use cpg::{CsError, Error, Event, OwnedEvent, Reconnect};
use futures_core::Stream as _;
use testcluster::Cluster;
use tokio::sync::Mutex;

#[test]
fn a_panic_in_a_handler_ends_only_its_task() {
    // When the next runtime joins, the daemon may not have noticed yet that the members of the last one are gone.
    static RUNTIMES: AtomicI32 = AtomicI32::new(0);
    on_each_runtime(1, |_| async {
        let runtime = RUNTIMES.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = soon(Session::join(format!("shared {runtime}"))).await.unwrap().split();
        let mut alone = soon(Session::join(format!("alone {runtime}"))).await.unwrap();
        let receiver = Arc::new(Mutex::new(receiver));
        for byte in 0..5_u8 {
            soon(sender.send(&[byte])).await.unwrap();
        }
        let panicking = tokio::spawn({
            let receiver = Arc::clone(&receiver);
            async move {
                let mut receiver = receiver.lock().await;
                loop {
                    let handling = receiver.dispatch(|_, event| {
                        if let Event::Deliver(message) = event {
                            if message.payload() == [2] {
                                panic_any("two");
                            }
                        }
                    });
                    soon(handling).await.unwrap();
                }
            }
        });
        // This task is dropped together with its session.
        alone.send(b"x").unwrap();
        let alone = tokio::spawn(async move {
            loop {
                soon(alone.dispatch(|_, _| panic_any("alone"))).await.unwrap();
            }
        });
        for (task, text) in [(panicking, "two"), (alone, "alone")] {
            let error = soon(task).await.map(|(): ()| ()).unwrap_err();
            assert_eq!(error.into_panic().downcast_ref(), Some(&text));
        }
        // The event counts as handled, later ones were not taken, and the membership goes on.
        let mut receiver = Arc::into_inner(receiver).unwrap().into_inner();
        for byte in [3, 4] {
            assert_eq!(message(&mut receiver).await, [byte]);
        }
        soon(sender.send(b"goes on")).await.unwrap();
        assert_eq!(message(&mut receiver).await, b"goes on");
        let leaving = tokio::spawn(receiver.leave_until(deadline(), |_, _| panic_any("leaving")));
        assert!(soon(leaving).await.unwrap_err().is_panic());
        eventually("the senders to be told", || async {
            matches!(sender.try_send(b"x"), Err(Error::Left)).then_some(())
        })
        .await;
    });
}

#[test]
fn a_child_is_refused_and_its_parent_is_not_disturbed() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        current().block_on(async {
            let session = soon(Session::join("forked")).await.unwrap();
            let (leaving_sender, leaving) = soon(Session::join("leaving")).await.unwrap().split();
            let (sender, mut receiver) = session.split();
            // No event is ready, so the child must return the error without being woken.
            for _ in 0..2 {
                soon(receiver.recv()).await.unwrap();
                soon(sender.send(b"next")).await.unwrap();
            }
            soon(receiver.recv()).await.unwrap();
            assert!(polled(1, receiver.recv()).await.is_none());
            let pid = fork();
            if pid == 0 {
                child(move || {
                    ensure!(refused(sender.try_send(b"from the child")));
                    ensure!(refused(by_hand(sender.send(b"from the child"))));
                    ensure!(refused(by_hand(sender.members())));
                    ensure!(refused(by_hand(receiver.recv())));
                    ensure!(refused(by_hand(receiver.dispatch(|_, _| ()))));
                    ensure!(refused(by_hand(poll_fn(|cx| Pin::new(&mut receiver).poll_next(cx))).unwrap()));
                    ensure!(refused(by_hand(leaving.leave())));
                    // Handles that the child drops still work in the parent, and so does the parent's reactor.
                    drop((sender, receiver, leaving_sender));
                    0
                });
            }
            reap(pid);
            let asleep = tokio::spawn(async move { (message(&mut receiver).await, receiver) });
            ticks().await;
            soon(sender.send(b"after")).await.unwrap();
            let (heard, receiver) = soon(asleep).await.unwrap();
            assert_eq!(heard, b"after");
            assert_eq!(soon(sender.members()).await.unwrap(), [sender.me()]);
            soon(receiver.leave()).await.unwrap();
            soon(leaving.leave()).await.unwrap();
        });
    });
}

#[test]
fn a_child_is_refused_also_if_there_is_no_membership() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        current().block_on(async {
            let joining = Session::options().reconnect(Reconnect::new()).join("away");
            let (sender, mut receiver) = soon(joining).await.unwrap().split();
            cluster.kill(1).unwrap();
            while !matches!(soon(receiver.recv()).await.unwrap(), OwnedEvent::Lost(_)) {}
            let pid = fork();
            if pid == 0 {
                child(move || {
                    ensure!(refused(sender.try_send(b"from the child")));
                    ensure!(refused(by_hand(receiver.recv())));
                    ensure!(refused(by_hand(receiver.leave())));
                    0
                });
            }
            reap(pid);
            soon(receiver.leave()).await.unwrap();
        });
    });
}

/// The number of messages that wait to be dispatched, and the message in whose handler the process forks.
const WAITING: u32 = 200;
const FORKS_AT: u32 = 10;

#[test]
fn a17_a_child_forked_in_a_handler_of_a_task_takes_none_of_its_parents_events() {
    own_process!();
    fork_in_a_handler(Session::options(), false);
}

#[test]
fn a17_a_child_forked_in_a_packet_of_a_task_takes_none_of_its_parents_events() {
    own_process!();
    fork_in_a_handler(Session::options().coalesce(), true);
}

fn fork_in_a_handler(options: SessionOptions, packets: bool) {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        current().block_on(async {
            let joining = options.join("forks");
            let (sender, mut receiver) = soon(joining).await.unwrap().split();
            // This member does not use packets.
            let mut c = (!packets).then(|| Members::start(&cluster, 1, &name("forks"), 1));
            for number in 0..WAITING {
                sender.try_send(number.to_string().as_bytes()).unwrap();
            }
            // When a member on the same node has got the messages, they wait for this one as well.
            if let Some(c) = &mut c {
                c.expect(|line| line.ends_with(&format!(" {}", WAITING - 1)));
            }

            let (mut heard, mut forked) = (Vec::new(), None);
            while heard.len() < WAITING as usize {
                let handling = receiver.dispatch(|_, event| {
                    let Event::Deliver(message) = event else { return };
                    assert_eq!(message.is_packed(), packets);
                    let number = std::str::from_utf8(message.payload()).unwrap().parse().unwrap();
                    heard.push(number);
                    if number == FORKS_AT {
                        let pid = fork();
                        forked = Some(pid);
                        if pid == 0 {
                            ends_by_itself();
                        } else {
                            reap(pid);
                        }
                    }
                });
                // The handler returns in the child as in the parent.
                let handled = soon(handling).await;
                if forked == Some(0) {
                    child(move || {
                        ensure!(refused(handled));
                        ensure!(heard.last() == Some(&FORKS_AT));
                        ensure!(refused(by_hand(receiver.dispatch(|_, _| ()))));
                        ensure!(refused(by_hand(receiver.recv())));
                        ensure!(refused(sender.try_send(b"from the child")));
                        drop((sender, receiver));
                        0
                    });
                }
                handled.unwrap();
            }
            assert!(heard.into_iter().eq(0..WAITING), "something is missing");
            assert!(forked.is_some());
            let ticket = sender.ticket(soon(sender.send(b"after")).await.unwrap());
            assert_eq!(message(&mut receiver).await, b"after");
            soon(ticket).await.unwrap();
            soon(receiver.leave()).await.unwrap();
        });
    });
}

fn assert_lost(error: &Error) {
    assert!(error.is_connection_lost() && !error.is_retryable(), "{error}");
    assert_eq!(error.code(), Some(CsError::Library));
}

#[test]
fn a_lost_daemon_ends_waiting_and_later_calls() {
    on_each_runtime(1, |cluster| async move {
        let mut hears = soon(Session::join("receives")).await.unwrap();
        let mut dispatches = soon(Session::join("dispatches")).await.unwrap();
        let leaves = soon(Session::join("leaves")).await.unwrap();
        let (sender, mut receiver) = soon(Session::join("whole")).await.unwrap().split();
        let waiting = [
            tokio::spawn(async move {
                loop {
                    if let Err(error) = hears.recv().await {
                        return error;
                    }
                }
            }),
            tokio::spawn(async move {
                loop {
                    if let Err(error) = dispatches.dispatch(|_, _| ()).await {
                        return error;
                    }
                }
            }),
        ];
        ticks().await;
        let inner = Arc::clone(&cluster);
        tokio::task::spawn_blocking(move || inner.kill(1).unwrap()).await.unwrap();
        for task in waiting {
            assert_lost(&soon(task).await.unwrap());
        }
        // A stream returns the error once, and ends.
        let next =
            async |receiver: &mut Receiver| soon(poll_fn(|cx| Pin::new(&mut *receiver).poll_next(cx))).await;
        assert_lost(&next(&mut receiver).await.unwrap().unwrap_err());
        assert!(next(&mut receiver).await.is_none());
        for error in [
            soon(receiver.recv()).await.unwrap_err(),
            soon(receiver.dispatch(|_, _| ())).await.unwrap_err(),
            sender.try_send(b"x").unwrap_err(),
            soon(sender.send(b"x")).await.unwrap_err(),
            soon(sender.send(&vec![0; 3_000_000])).await.unwrap_err(),
            soon(sender.members()).await.unwrap_err(),
            soon(leaves.leave()).await.unwrap_err(),
            soon(receiver.leave()).await.unwrap_err(),
        ] {
            assert_lost(&error);
        }
        eventually("the senders to be told", || async {
            matches!(sender.try_send(b"x"), Err(Error::Left)).then_some(())
        })
        .await;
        assert!(soon(Session::join("new")).await.unwrap_err().is_connection_lost());
        let inner = Arc::clone(&cluster);
        tokio::task::spawn_blocking(move || inner.restart(1).unwrap()).await.unwrap();
        let mut session = soon(Session::join("whole")).await.unwrap();
        session.send(b"back").unwrap();
        assert_eq!(message(&mut session).await, b"back");
    });
}

#[test]
fn an_idle_runtime_does_not_run() {
    static THREAD: AtomicI32 = AtomicI32::new(0);
    let cluster = Cluster::start(1).unwrap();
    let mut busy = cluster.on(1, || join("busy"));
    let idle = cluster.spawn_on(1, || {
        current().block_on(async {
            let mut session = Session::join("idle").await.unwrap();
            let OwnedEvent::ConfChg(_) = session.recv().await.unwrap() else { panic!() };
            // SAFETY: `gettid` has no precondition.
            THREAD.store(unsafe { libc::gettid() }, Ordering::SeqCst);
            session.recv().await
        })
    });
    let thread = wait_for("the thread", || Some(THREAD.load(Ordering::SeqCst)).filter(|&id| id != 0));
    crate::support::assert_stays_asleep(thread, || {
        busy.send_until(b"x", deadline()).unwrap();
        payloads(&mut busy, 1);
    });
    assert!(!idle.is_finished());
    cluster.kill(1).unwrap();
    assert_lost(&idle.join().unwrap().unwrap_err());
}
