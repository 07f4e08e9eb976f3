//! The faults of a round: a daemon that is killed, paused, or paused and then killed; a partition; a full `/dev/shm`.

use std::time::{Duration, Instant};

use cpg::{ConnectOptions, Error, Group, Session};
use cpg_faults::shared_memory;
use testcluster::Cluster;

use super::{PATIENCE, deadline};

/// The time limit of requests to a daemon that is paused.
const LIMIT: Duration = Duration::from_millis(100);

fn limited() -> ConnectOptions {
    ConnectOptions::new().request_timeout(LIMIT)
}

/// Asserts that a call has come back without an answer.
fn is_late<T>(call: &str, result: Result<T, Error>) {
    match result {
        Err(Error::TimedOut { .. } | Error::CallOutstanding) => {}
        Err(error) if error.is_retryable() => {}
        Err(error) => panic!("{call}: {error}"),
        Ok(_) => panic!("{call} of a paused daemon has succeeded"),
    }
}

/// Joins, and leaves a request behind with a daemon that is paused by then.
fn left_behind(cluster: &Cluster, group: &str) -> Group {
    let group = limited().join_until(group, deadline()).unwrap();
    cluster.pause(1).unwrap();
    is_late("members", group.members());
    group
}

/// Leaves calls of all kinds behind with a paused daemon, which answers them afterwards.
pub fn pause(cluster: &Cluster) {
    let options = Session::options().connect_options(limited());
    let session = options.join_until("paused session", deadline()).unwrap();
    let group = left_behind(cluster, "paused");
    is_late("a long message", group.send_until(&vec![1; 3_000_000], Instant::now() + LIMIT));
    is_late("connect", limited().connect());
    is_late("members of a session", session.members());
    session.send(&vec![2; 2_000_000]).unwrap();
    drop(group);
    cluster.resume(1).unwrap();
    session.leave_until(deadline(), |_, _| ()).unwrap();
}

/// Kills the daemon; every other time it is paused before, and a request is left behind.
pub fn kill(cluster: &Cluster, round: usize) {
    let mut lost = if round % 2 == 0 {
        ConnectOptions::new().join_until("lost", deadline()).unwrap()
    } else {
        left_behind(cluster, "lost")
    };
    cluster.kill(1).unwrap();
    // A group that does not come back ends with its daemon.
    let error = loop {
        if let Err(error) = lost.recv() {
            break error;
        }
    };
    assert!(error.is_connection_lost(), "{error}");
}

/// Separates the nodes until each has noticed it.
pub fn partition(cluster: &Cluster) {
    cluster.partition(&[&[1], &[2]]).unwrap();
    cluster.wait_members(1, &[1], PATIENCE).unwrap();
    cluster.heal().unwrap();
    cluster.wait_members(1, &[1, 2], PATIENCE).unwrap();
}

/// Fills `/dev/shm`, so that nobody can connect, unless memory of a connection that has ended becomes free meanwhile.
pub fn fill(cluster: &Cluster) {
    shared_memory::fill(cluster, 1).unwrap();
    let _: Result<_, Error> = ConnectOptions::new().connect_until(Instant::now() + LIMIT);
    shared_memory::free(cluster, 1).unwrap();
}
