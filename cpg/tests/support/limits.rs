//! The frame of the tests of time limits. Each call that waits for the daemon is tested with a daemon that is paused, with
//! one that is paused and then killed, and, if it needs no connection, without one.
//!
//! The bounds are generous, since machines are busy. `limits_table.rs` measures.

use std::fs;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use cpg::{ConnectOptions, Error, Group, Handle};
use testcluster::Cluster;

use super::waits::quiet;
use super::{deadline, pump, views, wait_for};

/// The time limit of each call.
pub const LIMIT: Duration = Duration::from_millis(200);

/// The time that a call may take beyond [`LIMIT`]. libcpg alone would wait for as long as the daemon is paused, which is longer.
pub const OVERRUN: Duration = Duration::from_secs(5);

/// A call that has been prepared. It gives the time at which it has ended, before the end of what it was prepared with.
pub type Call = Box<dyn FnOnce() -> (Result<(), Error>, Instant)>;

/// Makes a call.
pub fn made(call: impl FnOnce() -> Result<(), Error>) -> (Result<(), Error>, Instant) {
    let result = call();
    (result, Instant::now())
}

pub struct Case {
    pub what: &'static str,
    /// Prepares the call, in a group of this name.
    pub prepare: fn(&'static str) -> Call,
    pub paused: Paused,
    pub connection: Connection,
}

/// The result of a call while the daemon is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    /// An error that says that the time is over.
    TimesOut,
    /// No error: the call does what it can without the daemon.
    Fine,
}

/// The place where a call has its connection from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// The call makes the connection.
    Makes,
    /// The connection is made before.
    Has,
}

pub fn limited() -> ConnectOptions {
    quiet().request_timeout(LIMIT)
}

pub fn soon() -> Instant {
    Instant::now() + LIMIT
}

/// Without a limit, so that a busy machine may take its time to prepare.
pub fn patient(name: &str, then: ConnectOptions) -> Group {
    let handle = then.connect_until(deadline()).unwrap();
    let mut group =
        handle.join_until(name, deadline()).unwrap_or_else(|error| panic!("joining `{name}`: {error}"));
    pump(&mut group, |events| views(events).next().is_some());
    group
}

pub fn group(name: &str) -> Group {
    patient(name, limited())
}

pub fn handle() -> Handle {
    limited().connect_until(deadline()).unwrap()
}

/// A call that makes its connection, with the name of its group; or one that is prepared with `$value`, and uses it up, or
/// keeps it.
#[allow(unused_macros, reason = "each layer uses a part")]
macro_rules! case {
    ($what:literal, $paused:ident, |$name:ident| $call:expr) => {
        case!($what, $paused, Makes, |$name| Box::new(move || {
            crate::support::limits::made(move || {
                $call;
                Ok(())
            })
        }))
    };
    ($what:literal, $paused:ident, |$name:ident| $value:expr, |$prepared:ident| $call:expr) => {
        case!($what, $paused, Has, |$name| {
            let $prepared = $value;
            Box::new(move || {
                crate::support::limits::made(move || {
                    $call;
                    Ok(())
                })
            })
        })
    };
    ($what:literal, $paused:ident, |$name:ident| $value:expr, keep(|$prepared:ident| $call:expr)) => {
        case!($what, $paused, Has, |$name| {
            let mut kept = $value;
            Box::new(move || {
                let $prepared = &mut kept;
                crate::support::limits::made(move || {
                    $call;
                    Ok(())
                })
            })
        })
    };
    ($what:literal, $paused:ident, $connection:ident, |$name:ident| $prepare:expr) => {
        crate::support::limits::Case {
            what: $what,
            prepare: |$name| $prepare,
            paused: crate::support::limits::Paused::$paused,
            connection: crate::support::limits::Connection::$connection,
        }
    };
}
#[allow(unused_imports, reason = "each layer uses a part")]
pub(crate) use case;

/// Makes a call. Returns its result, and the time that it took beyond its limit.
pub fn timed(call: Call) -> (Result<(), Error>, Duration) {
    let begun = Instant::now();
    let (result, ended) = call();
    (result, ended.saturating_duration_since(begun + LIMIT))
}

/// Repeats a call until the daemon answers within the time limit of the call, which a busy machine can exceed.
pub fn answered<T>(mut call: impl FnMut() -> Result<T, Error>) -> T {
    wait_for("an answer", || match call() {
        Ok(answer) => Some(answer),
        Err(error) if is_late(&error) => None,
        Err(error) => panic!("{error}"),
    })
}

fn is_late(error: &Error) -> bool {
    matches!(error, Error::TimedOut { .. } | Error::CallOutstanding) || error.is_retryable()
}

pub fn with_a_paused_daemon(cluster: &Cluster, case: &Case) -> Duration {
    cluster.on(1, || {
        let call = (case.prepare)(case.what);
        cluster.pause(1).unwrap();
        let (result, overrun) = timed(call);
        cluster.resume(1).unwrap();
        match (result, case.paused) {
            (Ok(()), Paused::Fine) => {}
            (Err(error), Paused::TimesOut) if is_late(&error) => {}
            (result, _) => panic!("`{}` gave {result:?}", case.what),
        }
        overrun
    })
}

/// The time is that from the death.
pub fn with_one_that_is_paused_and_then_killed(cluster: &Cluster, case: &Case) -> Duration {
    let (go, told) = channel();
    let prepare = case.prepare;
    let what = case.what;
    let (ready, prepared) = channel();
    let calling = cluster.spawn_on(1, move || {
        let call = prepare(what);
        ready.send(()).unwrap();
        told.recv().unwrap();
        call()
    });
    prepared.recv().unwrap();
    cluster.pause(1).unwrap();
    go.send(()).unwrap();
    std::thread::sleep(LIMIT / 2);
    let killed = Instant::now();
    cluster.kill(1).unwrap();
    let (result, ended) = calling.join().unwrap();
    if let Err(error) = result {
        assert!(error.is_connection_lost() || is_late(&error), "`{what}`: {error}");
    }
    cluster.restart(1).unwrap();
    ended.saturating_duration_since(killed)
}

pub fn without_a_daemon(cluster: &Cluster, case: &Case) -> Duration {
    cluster.kill(1).unwrap();
    let (result, overrun) = cluster.on(1, || timed((case.prepare)(case.what)));
    cluster.restart(1).unwrap();
    let error = result.unwrap_err();
    assert!(error.is_connection_lost(), "`{}`: {error}", case.what);
    overrun
}

/// Threads, descriptors and mappings of libqb's rings of this process.
pub fn resources() -> (usize, usize, usize) {
    let count = |path| fs::read_dir(path).unwrap().count();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    (
        count("/proc/self/task"),
        count("/proc/self/fd"),
        maps.lines().filter(|line| line.contains("/dev/shm/qb-")).count(),
    )
}

pub fn wait_until_all_is_given_back(what: &str, before: (usize, usize, usize)) {
    wait_for(&format!("what `{what}` left behind to be given back: there was {before:?}"), || {
        let now = resources();
        // A thread that was about to end may have been counted before.
        (now.0 <= before.0 && now.1 <= before.1 && now.2 <= before.2).then_some(())
    });
}

/// Makes the tests of the cases of a file, each in a separate process.
#[allow(unused_macros, reason = "each layer uses a part")]
macro_rules! within_their_limits {
    ($cases:expr) => {
        #[test]
        fn each_call_keeps_its_time_with_a_paused_daemon_and_leaves_nothing_behind() {
            crate::support::process::own_process!();
            crate::support::limits::keep_their_time_with_a_paused_daemon($cases);
        }

        #[test]
        fn each_call_comes_back_when_a_paused_daemon_is_killed() {
            crate::support::process::own_process!();
            crate::support::limits::come_back_when_a_paused_daemon_is_killed($cases);
        }

        #[test]
        fn without_a_daemon_nothing_waits() {
            crate::support::process::own_process!();
            crate::support::limits::do_not_wait_without_a_daemon($cases);
        }
    };
}
#[allow(unused_imports, reason = "each layer uses a part")]
pub(crate) use within_their_limits;

/// Makes each call while the daemon is paused. It must keep its time and leave nothing behind.
pub fn keep_their_time_with_a_paused_daemon(cases: &[Case]) {
    let cluster = Cluster::start(1).unwrap();
    // What the first use of all keeps.
    cluster.on(1, || group("first").leave_until(deadline(), |_, _| ())).unwrap();
    let before = resources();
    for case in cases {
        let overrun = with_a_paused_daemon(&cluster, case);
        assert!(overrun < OVERRUN, "`{}` took {overrun:?} too long", case.what);
        // The daemon has answered what was left behind: a membership of the same name is not in its way.
        cluster.on(1, || patient(case.what, quiet()).leave_until(deadline(), |_, _| ())).unwrap();
        wait_until_all_is_given_back(case.what, before);
    }
}

/// Kills the paused daemon during each call, which must come back.
pub fn come_back_when_a_paused_daemon_is_killed(cases: &[Case]) {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || group("first").leave_until(deadline(), |_, _| ())).unwrap();
    let before = resources();
    for case in cases {
        let overrun = with_one_that_is_paused_and_then_killed(&cluster, case);
        assert!(overrun < OVERRUN, "`{}` took {overrun:?} too long", case.what);
    }
    // All at once, since libqb takes two seconds to notice the death in a request. An iteration alone may keep its connection
    // (A19): it takes more luck than there is here.
    wait_until_all_is_given_back("all of them", before);
}

/// Makes each call that makes its connection without a daemon.
pub fn do_not_wait_without_a_daemon(cases: &[Case]) {
    let cluster = Cluster::start(1).unwrap();
    for case in cases.iter().filter(|case| case.connection == Connection::Makes) {
        let overrun = without_a_daemon(&cluster, case);
        assert!(overrun < OVERRUN, "`{}` took {overrun:?} too long", case.what);
    }
}

/// Starts the daemon when `joining` has waited for it for a while, and returns what it has joined.
pub fn waits_for_a_daemon<T: Send + 'static>(joining: fn(ConnectOptions) -> Result<T, Error>) {
    let cluster = Cluster::start(1).unwrap();
    cluster.kill(1).unwrap();
    let wait = limited().wait_for_daemon();
    let joined = cluster.spawn_on(1, move || joining(wait));
    std::thread::sleep(2 * LIMIT);
    assert!(!joined.is_finished(), "it has not waited");
    cluster.restart(1).unwrap();
    // While the cluster is there.
    drop(joined.join().unwrap().unwrap());
}
