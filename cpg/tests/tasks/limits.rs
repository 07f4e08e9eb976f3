//! The time limits of asynchronous calls, and their end when no task waits for them any more.
use std::fs;
use std::future::Future;
use std::time::{Duration, Instant};

use crate::support::process::own_process;
use crate::support::tasks::{eventually, message, on_each_runtime, polled, soon};
use crate::support::waits::quiet;
use crate::support::{PATIENCE, deadline};
use cpg::tokio::{Session, SessionOptions};
use cpg::{ConnectOptions, Error, OwnedEvent};

/// The time limit of each call, and how long it may take beyond that.
const LIMIT: Duration = Duration::from_millis(200);
const OVERRUN: Duration = Duration::from_secs(5);

fn options() -> SessionOptions {
    Session::options().connect_options(quiet().request_timeout(LIMIT))
}

/// Joins without the time limit: on a busy machine, an answer takes longer than that.
async fn joined(name: &str) -> Session {
    let mut session = options().join_until(name, deadline()).await.unwrap();
    assert!(matches!(soon(session.recv()).await.unwrap(), OwnedEvent::ConfChg(_)));
    session
}

async fn is_late<T>(call: impl Future<Output = Result<T, Error>>) {
    let begun = Instant::now();
    let error = soon(call).await.map(drop).unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. } | Error::CallOutstanding), "{error}");
    assert!(begun.elapsed() < LIMIT + OVERRUN, "it took {:?}", begun.elapsed());
}

#[test]
fn each_call_keeps_its_time_with_a_paused_daemon() {
    own_process!();
    on_each_runtime(1, |cluster| async move {
        let (asking, leaving, until) = (joined("asks").await, joined("leaves").await, joined("until").await);
        cluster.pause(1).unwrap();
        is_late(options().join("joins")).await;
        is_late(Session::options().join_until("joins", Instant::now() + LIMIT)).await;
        is_late(asking.members()).await;
        is_late(asking.members()).await;
        asking.send(b"meanwhile").unwrap();
        is_late(leaving.leave()).await;
        is_late(until.leave_until(Instant::now() + LIMIT, |_, _| ())).await;
        cluster.resume(1).unwrap();
        let (sender, mut receiver) = asking.split();
        assert_eq!(message(&mut receiver).await, b"meanwhile");
        let members = eventually("an answer", || async {
            match sender.members().await {
                Err(Error::TimedOut { .. } | Error::CallOutstanding) => None,
                members => Some(members.unwrap()),
            }
        });
        assert_eq!(members.await, [sender.me()]);
        // Those that were left behind are no more.
        for name in ["joins", "leaves", "until"] {
            joined(name).await.leave_until(deadline(), |_, _| ()).await.unwrap();
        }
    });
}

#[test]
fn the_first_join_waits_for_a_daemon_that_is_not_there() {
    own_process!();
    on_each_runtime(1, |cluster| async move {
        cluster.kill(1).unwrap();
        let wait = ConnectOptions::new().wait_for_daemon();
        let joining = tokio::spawn(Session::options().connect_options(wait).join("waits"));
        tokio::time::sleep(2 * LIMIT).await;
        assert!(!joining.is_finished());
        cluster.restart(1).unwrap();
        soon(soon(joining).await.unwrap().unwrap().leave()).await.unwrap();
    });
}

/// The number of all threads of the process: one that has just been started has no name yet.
fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn a_join_that_is_cancelled_ends() {
    own_process!();
    on_each_runtime(1, |cluster| async move {
        cluster.pause(1).unwrap();
        let options =
            Session::options().connect_options(ConnectOptions::new().request_timeout(10 * PATIENCE));
        let before = threads();
        for _ in 0..50 {
            // More than there are handles (A13), if each went on for its time.
            assert!(polled(1, options.join("cancelled")).await.is_none());
        }
        eventually("their threads to end", || async { (threads() <= before).then_some(()) }).await;
        cluster.resume(1).unwrap();
        joined("cancelled").await.leave_until(deadline(), |_, _| ()).await.unwrap();
    });
}
