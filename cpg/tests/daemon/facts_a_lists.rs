//! Fact A19: lists of groups and members, and daemons that die while a list is read.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::support::process::own_process;
use crate::support::{PATIENCE, deadline, join, join_with, name, wait_for};
use cpg::{Error, Event, Group, Handle, Limits, Reconnect, Session};
use testcluster::Cluster;

const THREADS: usize = 8;

/// The work of the threads: they list groups, join them, or ask for members, and begin again at once.
#[derive(Debug, Clone, Copy)]
enum Asks {
    Lists,
    Members,
    Joins,
}

/// Lets threads ask until the daemon is killed, so many times. Each thread must return and report that the connection
/// is lost.
fn killed_while(asks: Asks, times: usize) {
    let cluster = Cluster::start(1).unwrap();
    for round in 0..times {
        let groups: Vec<Group> = cluster.on(1, || (0..10).map(|i| join(&format!("a19 {i}"))).collect());
        // All are connected before the daemon is killed.
        let handles: Vec<Handle> =
            cluster.on(1, || (0..THREADS).map(|_| Handle::connect().unwrap()).collect());
        let answers = AtomicUsize::new(0);
        let (say, came_back) = channel();
        let (cluster, answers) = (&cluster, &answers);
        std::thread::scope(|scope| {
            for (number, handle) in handles.into_iter().enumerate() {
                let say = say.clone();
                scope.spawn(move || {
                    let error =
                        cluster.on(1, move || ask(asks, &handle, &format!("a19 of {number}"), answers));
                    // The send fails when the test has ended because another thread hangs.
                    let _ = say.send(error);
                });
            }
            // A thread that panics reports nothing, but it does not hang.
            drop(say);
            // The daemon is killed at another moment in each round.
            wait_for("answers", || (answers.load(Ordering::Relaxed) > 10 + round).then_some(()));
            cluster.kill(1).unwrap();
            for number in 0..THREADS {
                match came_back.recv_timeout(PATIENCE) {
                    Ok(error) => assert!(error.is_connection_lost(), "{error}"),
                    Err(RecvTimeoutError::Timeout) => {
                        // The process exits here, because the end of the scope would wait for the threads that hang.
                        eprintln!("{} of {THREADS} threads hang in round {round}", THREADS - number);
                        std::process::exit(1);
                    }
                    Err(RecvTimeoutError::Disconnected) => panic!("a thread has panicked"),
                }
            }
        });
        drop(groups);
        cluster.restart(1).unwrap();
    }
    // At most one for each death of the daemon.
    let lost = lost(&cluster);
    println!("{asks:?}: {times} deaths have kept {lost} connections");
    assert!(lost <= times);
}

fn ask(asks: Asks, handle: &Handle, own: &str, answers: &AtomicUsize) -> Error {
    loop {
        let result = match asks {
            Asks::Lists => handle.groups().map(drop),
            Asks::Members => handle.members_of(name("a19 1")).map(drop),
            Asks::Joins => {
                Handle::connect().and_then(|handle| Ok(handle.join_until(own, deadline())?)).map(drop)
            }
        };
        match result {
            Err(error) if !error.is_retryable() => return error,
            _ => answers.fetch_add(1, Ordering::Relaxed),
        };
    }
}

/// Returns the number of handles that are missing: the limit of a process (A13) minus those that it can make now.
fn lost(cluster: &Cluster) -> usize {
    cluster.on(1, || {
        let mut handles = Vec::new();
        loop {
            match Handle::connect() {
                Ok(handle) => handles.push(handle),
                Err(Error::TooManyHandles { open }) => return open - handles.len(),
                Err(error) => panic!("{error}"),
            }
        }
    })
}

#[test]
fn a19_listing_returns_when_the_daemon_is_killed() {
    own_process!();
    killed_while(Asks::Lists, 20);
}

#[test]
fn a19_asking_for_members_returns_when_the_daemon_is_killed() {
    own_process!();
    killed_while(Asks::Members, 10);
}

#[test]
fn a19_joining_returns_when_the_daemon_is_killed() {
    own_process!();
    killed_while(Asks::Joins, 10);
}

const SESSIONS: usize = 20;

/// The number of restarts after each of which all sessions rejoin.
const UNTIL_BACK: usize = 10;

/// Runs sessions that reconnect, and kills their daemon so many times, each time as soon as it can be reached.
fn come_back(restarts: usize) {
    let cluster = Cluster::start(1).unwrap();
    let (stop, back) = (AtomicBool::new(false), [(); SESSIONS].map(|()| AtomicBool::new(false)));
    let (pause, longest) = (Duration::from_millis(1), Duration::from_millis(10));
    std::thread::scope(|scope| {
        for (number, back) in back.iter().enumerate() {
            let (cluster, stop) = (&cluster, &stop);
            scope.spawn(move || {
                cluster.on(1, || {
                    let how = Session::options().reconnect(Reconnect::new().pauses(pause, longest));
                    let mut session = join_with(how, &format!("a19 session {number}"));
                    back.store(true, Ordering::Relaxed);
                    while !stop.load(Ordering::Relaxed) {
                        let soon = Limits::one().until(Instant::now() + Duration::from_millis(50));
                        session
                            .dispatch(soon, |_, event| match event {
                                // The session has no membership at the moment.
                                Event::Lost(_) => back.store(false, Ordering::Relaxed),
                                Event::Rejoined(_) => back.store(true, Ordering::Relaxed),
                                _ => {}
                            })
                            .unwrap();
                    }
                });
            });
        }
        let all_back = || {
            wait_for("all sessions to be in their groups", || {
                back.iter().all(|back| back.load(Ordering::Relaxed)).then_some(())
            });
        };
        all_back();
        for round in 0..restarts {
            cluster.wait_after_changes(false);
            cluster.kill(1).unwrap();
            cluster.restart(1).unwrap();
            cluster.on(1, || wait_for("the daemon", || Handle::connect().ok()));
            // The kills hit all phases of 20 joins.
            std::thread::sleep(Duration::from_millis(u64::try_from(round % 26).unwrap()));
            if round % UNTIL_BACK == UNTIL_BACK - 1 || round == restarts - 1 {
                cluster.settle().unwrap();
                all_back();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    // A session that reconnects makes no iterations. Its search may still be closing a connection.
    wait_for("all connections to be closed", || (lost(&cluster) == 0).then_some(()));
}

#[test]
fn a19_sessions_rejoin_after_every_restart() {
    own_process!();
    come_back(10);
}

#[test]
#[ignore = "takes some minutes"]
fn a19_sessions_rejoin_after_200_restarts() {
    own_process!();
    come_back(200);
}
