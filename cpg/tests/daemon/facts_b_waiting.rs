//! Facts B6, B10, B11, B14 and B16: calls that wait, the limits of their waits, and threads that must not wait with
//! them.

use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::process::own_process;
use crate::support::{deadline, join, payloads, pump, views, wait_for};
use cpg::{Handle, Limits};
use testcluster::Cluster;

#[test]
fn b6_a_dispatch_with_a_deadline_ends_in_an_idle_group() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("b6");
        pump(&mut group, |events| views(events).next().is_some());
        let soon = || Instant::now() + Duration::from_millis(20);
        for _ in 0..3 {
            assert_eq!(group.dispatch(Limits::one().until(soon()), |_, _| panic!()).unwrap(), 0);
            assert_eq!(group.dispatch(Limits::forever().until(soon()), |_, _| panic!()).unwrap(), 0);
        }
        let past = Instant::now();
        assert_eq!(group.dispatch(Limits::one().until(past), |_, _| panic!()).unwrap(), 0);
        // A dispatch with a deadline goes on after an event, and still ends.
        group.send(b"one").unwrap();
        let mut heard = 0;
        while heard == 0 {
            heard = group.dispatch(Limits::forever().until(soon()), |_, _| ()).unwrap();
        }
        assert_eq!(heard, 1);
    });
}

#[test]
fn b10_a_dispatch_without_waiting_returns_zero_if_there_is_no_event() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("b10");
        pump(&mut group, |events| views(events).next().is_some());
        for how in [Limits::available().at_most(1), Limits::available()] {
            assert_eq!(group.dispatch(how, |_, _| panic!()).unwrap(), 0);
        }
        let mut handle = Handle::connect().unwrap();
        assert_eq!(handle.dispatch(Limits::available(), |_, _| panic!()).unwrap(), 0);
    });
}

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_signal(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn b11_a_signal_does_not_end_a_dispatch() {
    static THREAD: AtomicI32 = AtomicI32::new(0);

    own_process!();
    let handler = count_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler does nothing but add to an atomic.
    assert_ne!(unsafe { libc::signal(libc::SIGUSR1, handler) }, libc::SIG_ERR);
    let cluster = Cluster::start(1).unwrap();
    let dispatching = cluster.spawn_on(1, || {
        let mut group = join("b11");
        pump(&mut group, |events| views(events).next().is_some());
        // SAFETY: `gettid` has no precondition.
        THREAD.store(unsafe { libc::gettid() }, Ordering::SeqCst);
        group.dispatch(Limits::one(), |_, _| ()).map(|handled| (handled, group))
    });
    let thread = wait_for("the thread", || Some(THREAD.load(Ordering::SeqCst)).filter(|&id| id != 0));
    for sent in 0..5 {
        wait_for("the thread to sleep", || {
            let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
            (stat.contains(") S ") || dispatching.is_finished()).then_some(())
        });
        assert!(!dispatching.is_finished(), "after {sent} signals: {:?}", dispatching.join());
        let process = libc::pid_t::try_from(std::process::id()).unwrap();
        // SAFETY: the thread runs, and the signal has a handler.
        assert_eq!(unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) }, 0);
        wait_for("the signal", || (SIGNALS.load(Ordering::SeqCst) > sent).then_some(()));
    }
    // Now there is an event: another member joins.
    let _c = crate::support::Members::start(&cluster, 1, &crate::support::name("b11"), 1);
    let (events, group) = dispatching.join().unwrap().unwrap();
    assert_eq!((events, group.name().to_string()), (1, "b11".to_owned()));
}

/// Returns the memory of the daemon in kilobytes.
fn daemon_memory(cluster: &Cluster) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", cluster.daemon_pid(1))).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn b14_undispatched_events_use_memory_of_the_daemon() {
    const COUNT: u8 = 64;

    own_process!();
    let cluster = Cluster::start(2).unwrap();
    let mut slow = cluster.on(1, || join("b14"));
    cluster.on(2, || {
        // A process on another node is another member, even if it is the same process.
        let mut group = join("b14");
        let before = daemon_memory(&cluster);
        for number in 0..COUNT {
            group.send_until(&vec![number; 1_000_000], deadline()).unwrap();
            assert_eq!(payloads(&mut group, 1), [vec![number; 1_000_000]]);
        }
        // The sender goes on. All messages that do not fit into the slow member's ring buffer wait in the daemon's
        // memory.
        wait_for("the daemon to grow", || (daemon_memory(&cluster) > before + 40_000).then_some(()));
    });
    let heard: Vec<_> = payloads(&mut slow, COUNT.into()).iter().map(|message| message[0]).collect();
    assert_eq!(heard, (0..COUNT).collect::<Vec<_>>());
}

#[test]
fn b16_a_request_waits_for_a_paused_daemon_and_a_send_does_not() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    let (answer, connected) = cluster.on(1, || {
        let asking = join("b16 asking");
        let mut group = join("b16");
        pump(&mut group, |events| views(events).next().is_some());
        cluster.pause(1).unwrap();
        let asking = cluster.spawn_on(1, move || asking.members().map(|members| (members, asking)));
        // Meanwhile this thread holds the lock for making handles.
        let connecting = cluster.spawn_on(1, Handle::connect);
        let sending = cluster.spawn_on(1, move || {
            for _ in 0..100 {
                group.send(b"into the ring buffer").unwrap();
                assert_eq!(group.dispatch(Limits::available(), |_, _| panic!()).unwrap(), 0);
            }
            assert!(group.as_raw_fd() > 0);
            group
        });
        wait_for("the sends", || sending.is_finished().then_some(()));
        assert!(!asking.is_finished() && !connecting.is_finished());
        cluster.resume(1).unwrap();
        assert_eq!(payloads(&mut sending.join().unwrap(), 100), vec![b"into the ring buffer"; 100]);
        (asking.join().unwrap(), connecting.join().unwrap())
    });
    let (members, asking) = answer.unwrap();
    assert_eq!(members, [asking.me()]);
    connected.unwrap();
}

#[test]
fn b16_sends_that_do_not_fit_into_a_paused_daemons_socket_are_refused() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("b16 room");
        pump(&mut group, |events| views(events).next().is_some());
        cluster.pause(1).unwrap();
        let sending = cluster.spawn_on(1, move || {
            // libqb would spin until it can send the byte that tells the daemon of a message.
            let mut sent = 0;
            let refused = loop {
                match group.send(b"small") {
                    Ok(()) => sent += 1,
                    Err(error) => break error,
                }
            };
            assert!(refused.is_retryable() && !refused.is_connection_lost(), "{refused}");
            (sent, group)
        });
        wait_for("a refusal", || sending.is_finished().then_some(()));
        let (sent, mut group) = sending.join().unwrap();
        assert!(sent > 100, "{sent}");
        cluster.resume(1).unwrap();
        group.send_until(b"last", deadline()).unwrap();
        let mut expected = vec![b"small".to_vec(); sent];
        expected.push(b"last".to_vec());
        assert_eq!(payloads(&mut group, sent + 1), expected);
    });
}

#[test]
fn b16_a_send_that_was_refused_reports_the_death_of_the_daemon() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let group = join("b16 gone");
        cluster.pause(1).unwrap();
        let refused = wait_for("a refusal", || group.send(b"small").err());
        assert!(refused.is_retryable(), "{refused}");
        cluster.kill(1).unwrap();
        let gone = group.send(b"small").unwrap_err();
        assert!(gone.is_connection_lost() && !gone.is_retryable(), "{gone}");
    });
}
