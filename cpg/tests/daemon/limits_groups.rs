//! Time limits of the calls of handles and groups.

use std::fs;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use crate::support::filter::forbid;
use crate::support::limits::{
    Case, LIMIT, OVERRUN, answered, case, group, handle, limited, made, patient, resources, soon, timed,
    wait_until_all_is_given_back, waits_for_a_daemon, within_their_limits,
};
use crate::support::process::own_process;
use crate::support::waits::quiet;
use crate::support::{deadline, name, payloads, readable, wait_for, wait_until_the_lock_is_held};
use cpg::{ConnectOptions, CsError, Error, Group, Limits, Session};
use testcluster::Cluster;

pub const CASES: &[Case] = &[
    case!("ConnectOptions::connect", TimesOut, |_name| limited().connect()?),
    case!("ConnectOptions::connect_until", TimesOut, |_name| quiet().connect_until(soon())?),
    case!("ConnectOptions::join", TimesOut, |name| limited().join(name)?),
    case!("ConnectOptions::join_until", TimesOut, |name| quiet().join_until(name, soon())?),
    case!("Handle::join", TimesOut, |name| (handle(), name), |parts| parts.0.join(parts.1)?),
    case!("Handle::join_until", TimesOut, |name| (handle(), name), |parts| parts
        .0
        .join_until(parts.1, soon())?),
    case!("Daemon::local_node", TimesOut, |_name| handle(), keep(|handle| handle.local_node()?)),
    case!("Daemon::groups", TimesOut, |_name| handle(), keep(|handle| handle.groups()?)),
    case!(
        "Daemon::members_of",
        TimesOut,
        |name| (handle(), name),
        keep(|parts| parts.0.members_of(parts.1)?)
    ),
    case!(
        "Daemon::answers_until",
        Fine,
        |_name| handle(),
        keep(|handle| assert!(!handle.answers_until(soon())?))
    ),
    case!("Link::members", TimesOut, |name| group(name), keep(|group| group.members()?)),
    case!("Link::send", Fine, |name| group(name), keep(|group| group.send(b"short")?)),
    case!(
        "Link::send_until of a long message",
        TimesOut,
        |name| group(name),
        keep(|group| {
            group.send_until(&vec![5; 3_000_000], soon())?;
        })
    ),
    case!("Link::zero_copy", TimesOut, |name| group(name), keep(|group| drop(group.zero_copy(10)?))),
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
];

within_their_limits!(CASES);

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
        assert_eq!(answered(|| ask(&group)), group.me().node());
        assert_eq!(answered(|| group.members()), [group.me()]);
        group.send_until(b"after", deadline()).unwrap();
        assert_eq!(payloads(&mut group, 1), [b"after"]);
        group.leave_until(deadline(), |_, _| ()).unwrap();
    });
}

#[test]
fn a_call_of_a_group_that_is_outstanding_when_the_daemon_dies_is_a_loss_like_any_other() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = group("dies");
        cluster.pause(1).unwrap();
        assert!(matches!(group.members(), Err(Error::TimedOut { .. })));
        cluster.kill(1).unwrap();
        for error in [
            group.members().unwrap_err(),
            group.send(b"x").unwrap_err(),
            group.dispatch(Limits::available(), |_, _| ()).unwrap_err(),
        ] {
            assert!(error.is_connection_lost() && !error.is_retryable(), "{error}");
        }
    });
}

#[test]
fn a_join_waits_for_a_membership_of_this_process_that_is_still_ending() {
    own_process!();
    // While the other node is paused the ring stands still, and the daemon takes no more than a part of a long message.
    let cluster = Cluster::builder().nodes(2).token(Duration::from_secs(20)).start().unwrap();
    cluster.on(1, || {
        let join = |until| quiet().connect_until(deadline()).unwrap().join_until("ending", until);
        let before = group("ending");
        cluster.pause(2).unwrap();
        let left_behind = before.send_until(&vec![0; 20 << 20], soon()).unwrap_err();
        assert!(matches!(left_behind, Error::TimedOut { .. }), "{left_behind}");
        // The connection is closed when the message has been sent.
        drop(before);
        let joining = cluster.spawn_on(1, move || join(deadline()));
        for _ in 0..3 {
            let refused = wait_for("an answer", || {
                let refused = join(soon()).unwrap_err().error().clone();
                refused.code().is_some().then_some(refused)
            });
            // The daemon says CS_ERR_EXIST.
            assert_eq!(refused.code(), Some(CsError::TryAgain));
        }
        assert!(!joining.is_finished(), "{:?}", joining.join());
        cluster.resume(2).unwrap();
        let group = joining.join().unwrap().unwrap();
        // One that stands is an error at once.
        let begun = Instant::now();
        assert_eq!(join(deadline()).unwrap_err().error().code(), Some(CsError::Exist));
        assert!(begun.elapsed() < OVERRUN);
        group.leave_until(deadline(), |_, _| ()).unwrap();
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
            || Session::options().connect_options(limited()).join("late").map(drop),
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
        let (result, overrun) = timed(Box::new(|| made(|| limited().connect().map(drop))));
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

#[test]
fn the_first_connect_and_join_wait_for_a_daemon_that_is_not_there() {
    own_process!();
    waits_for_a_daemon(ConnectOptions::connect);
    waits_for_a_daemon(|wait| wait.join("waits"));
    waits_for_a_daemon(|wait| wait.join_until("waits", deadline()));
    // No longer than the deadline.
    let cluster = Cluster::start(1).unwrap();
    cluster.kill(1).unwrap();
    let begun = Instant::now();
    let error = cluster.on(1, || limited().wait_for_daemon().join_until(name("none"), soon())).unwrap_err();
    // On a busy machine the last try is still under way.
    assert!(error.is_connection_lost() || matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(begun.elapsed() >= LIMIT && begun.elapsed() < LIMIT + OVERRUN);
}
