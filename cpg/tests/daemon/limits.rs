//! Every call that waits for the daemon keeps its time: with a daemon that is paused, one that is paused and then killed, and
//! without one.
//!
//! The bound is generous, since machines are busy. `the_table_of_overruns` measures, and is run by hand:
//! `cargo test -p corosync-cpg --test daemon -- --ignored --nocapture limits::`.

use std::fs;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::support::filter::forbid;
use crate::support::process::own_process;
use crate::support::waits::quiet;
use crate::support::{
    deadline, name, payloads, pump, readable, views, wait_for, wait_until_the_lock_is_held,
};
use cpg::{
    ConnectOptions, CsError, Error, Event, Group, Handle, Limits, OwnedEvent, Session, SessionOptions,
};
use std::os::fd::AsFd as _;
use testcluster::Cluster;

/// The time limit of each call.
const LIMIT: Duration = Duration::from_millis(200);

/// How long a call may take beyond that. libcpg alone would wait for as long as the daemon is paused, which is longer.
const OVERRUN: Duration = Duration::from_secs(5);

/// A call that has been prepared.
type Call = Box<dyn FnOnce() -> Result<(), Error>>;

struct Case {
    what: &'static str,
    /// Prepares the call, in a group of this name.
    prepare: fn(&'static str) -> Call,
    paused: Paused,
}

/// What a call says of a paused daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paused {
    /// That the time is over.
    TimesOut,
    /// Nothing: it does what it can without the daemon.
    Fine,
}

fn limited() -> ConnectOptions {
    quiet().request_timeout(LIMIT)
}

fn session_options() -> SessionOptions {
    Session::options().connect_options(limited())
}

fn soon() -> Instant {
    Instant::now() + LIMIT
}

/// Without a limit, so that a busy machine may take its time to prepare.
fn patient(group: &str, then: ConnectOptions) -> Group {
    let mut group = then.connect_until(deadline()).unwrap().join_until(group, deadline()).unwrap();
    pump(&mut group, |events| views(events).next().is_some());
    group
}

fn group(name: &'static str) -> Group {
    patient(name, limited())
}

fn session(name: &'static str) -> Session {
    let mut session = session_options().join_until(name, deadline()).unwrap();
    while !matches!(session.recv().unwrap(), OwnedEvent::ConfChg(_)) {}
    session
}

fn handle() -> Handle {
    limited().connect_until(deadline()).unwrap()
}

/// A function that prepares a call with `$value`; without one the call takes the name itself.
macro_rules! case {
    ($what:literal, $paused:ident, |$name:ident| $call:expr) => {
        Case {
            what: $what,
            prepare: |$name| {
                Box::new(move || -> Result<(), Error> {
                    $call;
                    Ok(())
                })
            },
            paused: Paused::$paused,
        }
    };
    ($what:literal, $paused:ident, |$name:ident| $value:expr, |$prepared:ident| $call:expr) => {
        Case {
            what: $what,
            prepare: |$name| {
                let $prepared = $value;
                Box::new(move || -> Result<(), Error> {
                    $call;
                    Ok(())
                })
            },
            paused: Paused::$paused,
        }
    };
}

/// Those that need no connection come first.
const WITHOUT: usize = 5;

const CASES: &[Case] = &[
    case!("ConnectOptions::connect", TimesOut, |_name| (), |_none| limited().connect()?),
    case!("ConnectOptions::connect_until", TimesOut, |_name| (), |_none| quiet().connect_until(soon())?),
    case!("ConnectOptions::join", TimesOut, |name| limited().join(name)?),
    case!("ConnectOptions::join_until", TimesOut, |name| quiet().join_until(name, soon())?),
    case!("SessionOptions::join", TimesOut, |name| session_options().join(name)?),
    case!("Handle::join", TimesOut, |name| (handle(), name), |parts| parts.0.join(parts.1)?),
    case!("Handle::join_until", TimesOut, |name| (handle(), name), |parts| parts
        .0
        .join_until(parts.1, soon())?),
    case!("Daemon::local_node", TimesOut, |_name| handle(), |handle| handle.local_node()?),
    case!("Daemon::groups", TimesOut, |_name| handle(), |handle| handle.groups()?),
    case!("Daemon::members_of", TimesOut, |name| (handle(), name), |parts| parts.0.members_of(parts.1)?),
    case!("Daemon::answers_until", Fine, |_name| handle(), |handle| assert!(!handle.answers_until(soon())?)),
    case!("Link::members", TimesOut, |name| group(name), |group| group.members()?),
    case!("Link::send", Fine, |name| group(name), |group| group.send(b"short")?),
    case!("Link::send_until of a long message", TimesOut, |name| group(name), |group| {
        group.send_until(&vec![5; 3_000_000], soon())?;
    }),
    case!("Link::zero_copy", TimesOut, |name| group(name), |group| drop(group.zero_copy(10)?)),
    case!("Group::leave", TimesOut, |name| group(name), |group| group.leave()?),
    case!("Group::leave_until", TimesOut, |name| patient(name, quiet()), |group| {
        group.leave_until(soon(), |_, _| ())?;
    }),
    case!("Handle::close", TimesOut, |_name| handle(), |handle| handle.close()?),
    case!("drop of a Handle", Fine, |_name| handle(), |handle| drop(handle)),
    case!("drop of a Group", Fine, |name| group(name), |group| drop(group)),
    case!("drop of a Group, with a call outstanding", Fine, |name| group(name), |group| {
        assert!(group.members().is_err());
        drop(group);
    }),
    case!("Session::members", TimesOut, |name| session(name), |session| session.members()?),
    case!("Session::send", Fine, |name| session(name), |session| session.send(b"short")?),
    case!("Session::leave", TimesOut, |name| session(name), |session| session.leave()?),
    case!("Session::leave_until", TimesOut, |name| session(name), |session| {
        session.leave_until(soon(), |_, _| ())?;
    }),
    case!("drop of a Session", Fine, |name| session(name), |session| drop(session)),
];

/// How a call has gone, and how long it took beyond its limit.
fn timed(call: Call) -> (Result<(), Error>, Duration) {
    let begun = Instant::now();
    let result = call();
    (result, begun.elapsed().saturating_sub(LIMIT))
}

fn is_late(error: &Error) -> bool {
    matches!(error, Error::TimedOut { .. } | Error::CallOutstanding) || error.is_retryable()
}

fn with_a_paused_daemon(cluster: &Cluster, case: &Case) -> Duration {
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
fn with_one_that_is_paused_and_then_killed(cluster: &Cluster, case: &Case) -> Duration {
    let (go, told) = channel();
    let prepare = case.prepare;
    let what = case.what;
    let (ready, prepared) = channel();
    let calling = cluster.spawn_on(1, move || {
        let call = prepare(what);
        ready.send(()).unwrap();
        told.recv().unwrap();
        let result = call();
        (result, Instant::now())
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

fn without_a_daemon(cluster: &Cluster, case: &Case) -> Duration {
    cluster.kill(1).unwrap();
    let (result, overrun) = cluster.on(1, || timed((case.prepare)(case.what)));
    cluster.restart(1).unwrap();
    let error = result.unwrap_err();
    assert!(error.is_connection_lost(), "`{}`: {error}", case.what);
    overrun
}

/// Threads, descriptors and mappings of libqb's rings of this process.
fn resources() -> (usize, usize, usize) {
    let count = |path| fs::read_dir(path).unwrap().count();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    (
        count("/proc/self/task"),
        count("/proc/self/fd"),
        maps.lines().filter(|line| line.contains("/dev/shm/qb-")).count(),
    )
}

fn wait_until_all_is_given_back(what: &str, before: (usize, usize, usize)) {
    wait_for(&format!("what `{what}` left behind to be given back: there was {before:?}"), || {
        let now = resources();
        // A thread that was about to end may have been counted before.
        (now.0 <= before.0 && now.1 <= before.1 && now.2 <= before.2).then_some(())
    });
}

#[test]
fn each_call_keeps_its_time_with_a_paused_daemon_and_leaves_nothing_behind() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    // What the first use of all keeps.
    cluster.on(1, || group("first").leave_until(deadline(), |_, _| ())).unwrap();
    let before = resources();
    for case in CASES {
        let overrun = with_a_paused_daemon(&cluster, case);
        assert!(overrun < OVERRUN, "`{}` took {overrun:?} too long", case.what);
        // The daemon has answered what was left behind: a membership of the same name is not in its way.
        cluster.on(1, || patient(case.what, quiet()).leave_until(deadline(), |_, _| ())).unwrap();
        wait_until_all_is_given_back(case.what, before);
    }
}

#[test]
fn each_call_comes_back_when_a_paused_daemon_is_killed() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || group("first").leave_until(deadline(), |_, _| ())).unwrap();
    let before = resources();
    for case in CASES {
        let overrun = with_one_that_is_paused_and_then_killed(&cluster, case);
        assert!(overrun < OVERRUN, "`{}` took {overrun:?} too long", case.what);
        // An iteration alone may keep its connection (A19): it takes more luck than there is here.
        wait_until_all_is_given_back(case.what, before);
    }
}

#[test]
fn without_a_daemon_nothing_waits() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    for case in &CASES[..WITHOUT] {
        let overrun = without_a_daemon(&cluster, case);
        assert!(overrun < OVERRUN, "`{}` took {overrun:?} too long", case.what);
    }
}

#[test]
#[ignore = "it measures, and asserts nothing that the others do not"]
fn the_table_of_overruns() {
    const ROUNDS: usize = 3;

    own_process!();
    let cluster = Cluster::start(1).unwrap();
    println!("| call | paused | paused, then killed | none |");
    println!("|---|---|---|---|");
    for (number, case) in CASES.iter().enumerate() {
        let most = |with: fn(&Cluster, &Case) -> Duration| {
            let most = (0..ROUNDS).map(|_| with(&cluster, case)).max().unwrap();
            format!("{:.1} ms", most.as_secs_f64() * 1000.0)
        };
        let none = if number < WITHOUT { most(without_a_daemon) } else { "-".to_owned() };
        let (paused, killed) = (most(with_a_paused_daemon), most(with_one_that_is_paused_and_then_killed));
        println!("| `{}` | {paused} | {killed} | {none} |", case.what);
    }
}

#[test]
fn a_request_that_was_left_behind_is_no_loss() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = group("no loss");
        // It waits to be dispatched.
        group.send(b"before").unwrap();
        wait_for("the message", || readable(group.as_fd()).then_some(()));
        cluster.pause(1).unwrap();
        let ask = |group: &Group| group.daemon().local_node();
        assert!(matches!(ask(&group), Err(Error::TimedOut { .. })));
        // Another one waits for its own time, and a send for none.
        let begun = Instant::now();
        assert_eq!(ask(&group), Err(Error::CallOutstanding));
        assert!(begun.elapsed() >= LIMIT);
        assert_eq!(group.send(b"x"), Err(Error::CallOutstanding));
        assert!(Error::CallOutstanding.is_retryable() && !Error::CallOutstanding.is_connection_lost());
        // What had come before is dispatched.
        assert!(readable(group.as_fd()));
        assert_eq!(payloads(&mut group, 1), [b"before"]);
        cluster.resume(1).unwrap();
        // Neither call is taken for the other: the answer to the first is the half's way back, and nobody gets it.
        let node = wait_for("an answer", || group.daemon().local_node().ok());
        assert_eq!(node, group.me().node());
        assert_eq!(group.members().unwrap(), [group.me()]);
        group.send_until(b"after", deadline()).unwrap();
        assert_eq!(payloads(&mut group, 1), [b"after"]);
        group.leave_until(deadline(), |_, _| ()).unwrap();
    });
}

#[test]
fn a_session_queues_while_a_call_is_outstanding_and_goes_on_by_itself() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = session("goes on");
        cluster.pause(1).unwrap();
        assert!(matches!(session.members(), Err(Error::TimedOut { .. })));
        for message in [b"1", b"2", b"3"] {
            session.send(message).unwrap();
        }
        assert_eq!(session.members(), Err(Error::CallOutstanding));
        assert_eq!(session.dispatch(Limits::available(), |_, _| ()).unwrap(), 0);
        cluster.resume(1).unwrap();
        // Nobody asks anything: the thread that has the half wakes the queue.
        let mut heard = Vec::new();
        while heard.len() < 3 {
            let limits = Limits::one().until(deadline());
            let handled = session.dispatch(limits, |_, event| {
                if let Event::Deliver(message) = event {
                    heard.push(message.payload().to_vec());
                }
            });
            assert_eq!(handled.unwrap(), 1, "{heard:?}");
        }
        assert_eq!(heard, [b"1", b"2", b"3"]);
        assert_eq!(session.members().unwrap(), [session.me()]);
        session.leave().unwrap();
    });
}

#[test]
fn a_long_message_under_way_is_a_call_that_is_outstanding() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = session("parts").split();
        let messages = [vec![1; 3_000_000], b"behind it".to_vec()];
        let pause_and_send = || {
            cluster.pause(1).unwrap();
            for message in &messages {
                sender.send(message).unwrap();
            }
        };
        pause_and_send();
        assert_eq!(sender.members(), Err(Error::CallOutstanding));
        assert_eq!(receiver.dispatch(Limits::available(), |_, _| ()).unwrap(), 0);
        cluster.resume(1).unwrap();
        assert!(receive(&mut receiver, 2) == messages);
        assert_eq!(sender.members().unwrap(), [sender.me()]);
        pause_and_send();
        cluster.kill(1).unwrap();
        // Its thread is not waited for: libcpg keeps that for as long as it likes.
        let error = sender.members().unwrap_err();
        assert!(error.is_connection_lost(), "{error}");
        for message in &messages {
            let OwnedEvent::Undelivered(back) = receiver.recv().unwrap() else { panic!() };
            assert!(back.payload() == message);
        }
        assert!(receiver.recv().unwrap_err().is_connection_lost());
    });
}

#[test]
fn a_call_that_is_outstanding_when_the_daemon_dies_is_a_loss_like_any_other() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (mut group, mut session) = (group("dies"), session("dies too"));
        cluster.pause(1).unwrap();
        assert!(matches!(group.members(), Err(Error::TimedOut { .. })));
        assert!(matches!(session.members(), Err(Error::TimedOut { .. })));
        session.send(b"waits").unwrap();
        cluster.kill(1).unwrap();
        for error in [
            group.members().unwrap_err(),
            group.send(b"x").unwrap_err(),
            group.dispatch(Limits::available(), |_, _| ()).unwrap_err(),
            session.members().unwrap_err(),
        ] {
            assert!(error.is_connection_lost() && !error.is_retryable(), "{error}");
        }
        let OwnedEvent::Undelivered(message) = session.recv().unwrap() else { panic!() };
        assert_eq!(message.payload(), b"waits");
        assert!(session.recv().unwrap_err().is_connection_lost());
    });
}

#[test]
fn a_join_waits_for_a_membership_of_this_process_that_is_still_ending() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for _ in 0..10 {
            let before = group("ending");
            // Connected before, so that it asks to join as soon as the daemon goes on.
            let handle = quiet().connect().unwrap();
            cluster.pause(1).unwrap();
            drop(before);
            let joining = cluster.spawn_on(1, move || handle.join_until("ending", deadline()));
            std::thread::sleep(Duration::from_millis(50));
            cluster.resume(1).unwrap();
            let group = joining.join().unwrap().unwrap();
            // One that stands is still an error, at once.
            let begun = Instant::now();
            let exists = quiet().join_until("ending", deadline()).unwrap_err();
            assert_eq!(exists.code(), Some(CsError::Exist));
            assert!(begun.elapsed() < OVERRUN);
            group.leave_until(deadline(), |_, _| ()).unwrap();
        }
    });
}

#[test]
fn a_connect_that_hangs_keeps_nobody_else_beyond_their_time() {
    own_process!();
    let (stopped, running) = (Cluster::start(1).unwrap(), Cluster::start(1).unwrap());
    let (handle, group) = running.on(1, || (handle(), group("others")));
    stopped.pause(1).unwrap();
    let hanging = stopped.spawn_on(1, || quiet().connect_until(deadline()));
    wait_until_the_lock_is_held();
    running.on(1, || {
        for call in [
            (|| limited().connect().map(drop)) as fn() -> Result<(), Error>,
            || limited().join("late").map(drop),
            || session_options().join("late").map(drop),
        ] {
            let begun = Instant::now();
            assert!(matches!(call(), Err(Error::TimedOut { .. })));
            assert!(begun.elapsed() < LIMIT + OVERRUN);
        }
        let begun = Instant::now();
        drop((handle, group));
        assert!(begun.elapsed() < OVERRUN);
    });
    assert!(!hanging.is_finished());
    stopped.resume(1).unwrap();
    hanging.join().unwrap().unwrap();
}

#[test]
fn where_threads_cannot_have_descriptors_of_their_own_a_connect_keeps_its_time_too() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let before = resources();
        forbid(&[libc::SYS_unshare, libc::SYS_close_range]);
        cluster.pause(1).unwrap();
        let (result, overrun) = timed(Box::new(|| limited().connect().map(drop)));
        assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
        assert!(overrun < OVERRUN, "{overrun:?}");
        cluster.resume(1).unwrap();
        // What was left behind is closed when the daemon takes it.
        wait_until_all_is_given_back("connect", before);
        quiet().connect_until(deadline()).unwrap();
    });
}

#[test]
fn a_watchdog_starts_no_thread_after_its_first_call() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let watched = handle();
        assert!(watched.answers_until(deadline()).unwrap());
        let threads = || {
            let tasks = fs::read_dir("/proc/self/task").unwrap();
            tasks.map(|task| task.unwrap().file_name()).collect::<Vec<_>>()
        };
        let before = threads();
        let none_is_new = || threads().iter().all(|thread| before.contains(thread));
        for _ in 0..20 {
            assert!(watched.answers_until(deadline()).unwrap());
            assert!(none_is_new());
        }
        cluster.pause(1).unwrap();
        for _ in 0..5 {
            assert!(!watched.answers_until(Instant::now() + Duration::from_millis(20)).unwrap());
            assert!(!watched.answers_until(Instant::now()).unwrap());
            assert!(none_is_new());
        }
        cluster.resume(1).unwrap();
        assert!(watched.answers_until(deadline()).unwrap());
        assert!(none_is_new());
        cluster.kill(1).unwrap();
        assert!(watched.answers_until(deadline()).unwrap_err().is_connection_lost());
    });
}

/// Starts the daemon when `joining` has waited for it for a while.
fn waits_for_a_daemon<T: Send + 'static>(joining: fn(ConnectOptions) -> Result<T, Error>) -> T {
    let cluster = Cluster::start(1).unwrap();
    cluster.kill(1).unwrap();
    let wait = limited().wait_for_daemon();
    let joined = cluster.spawn_on(1, move || joining(wait));
    std::thread::sleep(2 * LIMIT);
    assert!(!joined.is_finished(), "it has not waited");
    cluster.restart(1).unwrap();
    // While the cluster is there.
    joined.join().unwrap().unwrap()
}

#[test]
fn the_first_connect_and_join_wait_for_a_daemon_that_is_not_there() {
    own_process!();
    waits_for_a_daemon(|wait| wait.connect().map(drop));
    waits_for_a_daemon(|wait| wait.join("waits")?.leave());
    waits_for_a_daemon(|wait| wait.join_until("waits", deadline())?.leave());
    waits_for_a_daemon(|wait| Session::options().connect_options(wait).join("waits")?.leave());
    // No longer than the deadline.
    let cluster = Cluster::start(1).unwrap();
    cluster.kill(1).unwrap();
    let begun = Instant::now();
    let error = cluster.on(1, || limited().wait_for_daemon().join_until(name("none"), soon())).unwrap_err();
    assert!(error.is_connection_lost(), "{error}");
    assert!(begun.elapsed() >= LIMIT && begun.elapsed() < LIMIT + OVERRUN);
}
