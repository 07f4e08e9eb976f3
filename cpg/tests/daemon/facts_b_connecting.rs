//! Facts B20 to B23: obstacles to a connection.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::thread::JoinHandleExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::filter::forbid;
use crate::support::mounts::{
    limit_shared_memory, mount_memory, used_shared_memory, wait_for_shared_memory_of_others,
};
use crate::support::other_user::{become_nobody, real_root};
use crate::support::process::own_process;
use crate::support::{join_with, pump_session, wait_for};
use cpg::{ConnectOptions, CsError, Error, Handle, OwnedEvent, Reconnect, Session};
use testcluster::Cluster;

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

fn handle_signals() {
    // SAFETY: all zero is a value of it.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as extern "C" fn(_) as usize;
    // SAFETY: the handler is one, and does nothing that a signal must not interrupt.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) }, 0);
}

/// Sends signals to a thread, each after the one before was handled, until the number is reached or the thread has
/// ended.
fn interrupt<T>(thread: &JoinHandle<T>, times: usize) {
    let before = SIGNALS.load(Ordering::Relaxed);
    for sent in 1..=times {
        // SAFETY: the thread has not been joined.
        unsafe { libc::pthread_kill(thread.as_pthread_t(), libc::SIGUSR1) };
        wait_for("the signal", || {
            let handled = SIGNALS.load(Ordering::Relaxed) - before;
            (thread.is_finished() || handled >= sent).then_some(())
        });
    }
}

/// Keeps this thread and those that it starts from tables of their own: connecting is then done by a thread that can be left behind.
fn forbid_tables() {
    forbid(&[libc::SYS_unshare, libc::SYS_close_range]);
}

#[test]
fn b20_a_signal_neither_fails_a_connect_nor_keeps_it_from_its_deadline() {
    own_process!();
    handle_signals();
    let cluster = Cluster::start(1).unwrap();
    for prepare in [|| {}, forbid_tables] {
        cluster.pause(1).unwrap();
        let connecting = cluster.spawn_on(1, move || {
            prepare();
            Handle::connect().map(drop)
        });
        interrupt(&connecting, 100);
        assert!(!connecting.is_finished(), "{:?}", connecting.join());
        cluster.resume(1).unwrap();
        connecting.join().unwrap().unwrap();
    }

    cluster.pause(1).unwrap();
    let start = Instant::now();
    let soon = start + Duration::from_millis(300);
    let connecting = cluster.spawn_on(1, move || {
        forbid_tables();
        ConnectOptions::new().connect_until(soon).map(drop)
    });
    while !connecting.is_finished() {
        interrupt(&connecting, 1);
        assert!(start.elapsed() < Duration::from_secs(20), "the deadline has passed");
    }
    let error = connecting.join().unwrap().unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(Instant::now() >= soon);
    cluster.resume(1).unwrap();
}

#[test]
fn b21_a_reconnecting_session_waits_for_room_in_the_shared_memory() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        wait_for_shared_memory_of_others();
        let of_daemon = used_shared_memory();
        let mut session = join_with(Session::options().reconnect(Reconnect::new()), "b21");
        let of_connection = used_shared_memory() - of_daemon;
        assert!((3_000_000..3_300_000).contains(&of_connection), "{of_connection} bytes for a connection");
        cluster.kill(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        wait_for("the room that the lost connection took", || {
            for entry in fs::read_dir("/dev/shm").unwrap() {
                let path = entry.unwrap().path();
                let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
            }
            (used_shared_memory() == 0).then_some(())
        });
        // There is room for the daemon, and for no client.
        limit_shared_memory(of_daemon + (1 << 20));
        cluster.wait_after_changes(false);
        cluster.restart(1).unwrap();
        let refused = wait_for("the daemon", || {
            let refused = Handle::connect().err();
            refused.filter(|error| !error.is_connection_lost() && !error.is_retryable())
        });
        assert_eq!(refused.code(), Some(CsError::NoSpace), "{refused}");
        assert!(!refused.is_retryable() && !refused.is_connection_lost());
        assert!(refused.to_string().contains("a connection takes 3.1 MiB"), "{refused}");
        wait_for("the session to be refused", || {
            let log = cluster.log(1);
            (log.matches("No space left on device").count() > 4).then_some(())
        });
        limit_shared_memory(16 << 20);
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Rejoined(_))));
        session.leave().unwrap();
    });
}

/// Returns true for the path of the socket to which clients of CPG connect.
fn is_of_cpg(path: &&str) -> bool {
    path.starts_with('/') && path.ends_with("/cpg")
}

/// In a separate process, because libqb looks for the file once per process.
#[test]
fn b22_a_missing_socket_file_means_that_no_daemon_runs() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        mount_memory("/etc");
        // The directory in which libqb makes the sockets on Debian. All nodes of all clusters share it.
        mount_memory("/tmp");
        fs::create_dir("/etc/libqb").unwrap();
        fs::write("/etc/libqb/force-filesystem-sockets", "").unwrap();
        let refused = |of: &str| {
            let refused = Handle::connect().unwrap_err();
            assert_eq!(refused.code(), Some(CsError::NotExist), "{of}: {refused}");
            assert!(refused.is_connection_lost() && !refused.is_retryable());
            assert!(refused.to_string().contains(
                "if the file /etc/libqb/force-filesystem-sockets exists here, corosync does not run"
            ));
        };
        refused("the daemon has started without the file");
        cluster.restart(1).unwrap();
        let mut session = join_with(Session::options().reconnect(Reconnect::new()), "b22");
        let sockets = fs::read_to_string("/proc/thread-self/net/unix").unwrap();
        let socket =
            sockets.lines().find_map(|line| line.split_whitespace().last().filter(is_of_cpg)).unwrap();
        cluster.kill(1).unwrap();
        let refused_by_what_is_left = Handle::connect().unwrap_err();
        assert_eq!(refused_by_what_is_left.code(), Some(CsError::Library));
        fs::remove_file(socket).unwrap();
        refused("there is no daemon");
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        cluster.restart(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Rejoined(_))));
        session.leave().unwrap();
    });
}

#[test]
fn b23_an_admitted_user_who_may_not_open_the_files_gets_an_error_about_both() {
    if !real_root() {
        println!("passed over: there is one user in this namespace");
        return;
    }
    let admit = |text: String| text + "uidgid {\n    uid: 65534\n}\n";
    let cluster = Cluster::builder().config(admit).start().unwrap();
    cluster.on(1, || {
        fs::set_permissions("/dev/shm", fs::Permissions::from_mode(0o700)).unwrap();
        become_nobody();
        let refused = Handle::connect().unwrap_err();
        assert_eq!(refused.code(), Some(CsError::Access));
        let text = refused.to_string();
        let uidgid = text.find("may not admit this user (uid 65534)").expect(&text);
        let files = text.find("SELinux, AppArmor or the mode of /dev/shm").expect(&text);
        assert!(uidgid < files, "the likelier cause comes first: {text}");
        assert!(matches!(refused, Error::Cs { .. }) && !cluster.log(1).contains("Denied connection attempt"));
    });
}
