//! Facts B18 and B19: the type of the connection to the daemon, and the user of the daemon.

use std::fs;
use std::os::unix::fs::chown;
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::support::fake_daemon::FakeDaemon;
use crate::support::other_user::real_root;
use crate::support::process::own_process;
use crate::support::{deadline, join, join_with, messages, pump, pump_session, wait_for};
use cpg::{ConnectOptions, Error, Group, Handle, Limits, OwnedEvent, Reconnect, Session};
use testcluster::child::succeed;
use testcluster::{Cluster, find};

const NOBODY: u32 = 65534;

const CONFIGURATION: &str = "/run/testcluster/corosync.conf";

/// Dispatches a session that has lost its daemon until it ends, and returns the error that ended it.
fn end_of(session: &mut Session) -> Error {
    let mut events = Vec::new();
    let ended = wait_for("the end of the session", || {
        session.dispatch(Limits::one().until(deadline()), |_, event| events.push(event.into_owned())).err()
    });
    assert!(
        matches!(events.last(), Some(OwnedEvent::Lost(lost)) if lost.error().is_connection_lost()),
        "{events:?}"
    );
    let again = session.dispatch(Limits::available(), |_, event| panic!("{event:?}"));
    assert_eq!(again, Err(ended.clone()), "the session has not ended for good");
    ended
}

#[test]
fn b18_a_daemon_that_serves_datagrams_is_refused() {
    let cluster = Cluster::builder().datagram_ipc().start().unwrap();
    cluster.on(1, || {
        // There are more attempts than the table has entries, so each must give its entry back.
        for _ in 0..60 {
            let refused = Handle::connect().unwrap_err();
            assert!(matches!(refused, Error::DatagramIpc), "{refused}");
            assert!(!refused.is_connection_lost() && !refused.is_retryable());
        }
        let refused = Group::join("b18").unwrap_err();
        assert!(refused.to_string().contains("qb_ipc_type: socket"), "{refused}");
    });
}

#[test]
fn b18_a_session_does_not_rejoin_a_daemon_that_now_serves_datagrams() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(Session::options().reconnect(Reconnect::new()), "b18 back");
        let text = fs::read_to_string(CONFIGURATION).unwrap();
        fs::write(CONFIGURATION, text.replace("system {\n", "system {\n    qb_ipc_type: socket\n")).unwrap();
        cluster.restart(1).unwrap();
        assert!(matches!(end_of(&mut session), Error::DatagramIpc));
    });
}

fn untrusted(error: &Error) -> bool {
    matches!(error, Error::UntrustedDaemon { uid: NOBODY, is_overflow: false })
        && !error.is_connection_lost()
        && !error.is_retryable()
}

#[test]
fn b19_a_listener_of_another_user_is_not_taken_for_the_daemon() {
    if !real_root() {
        println!("passed over: there is one user in this namespace");
        return;
    }
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(Session::options().reconnect(Reconnect::new()), "b19");
        cluster.kill(1).unwrap();
        // A file that only root may write, and that libqb would use as a ring buffer.
        fs::write("/run/precious-header", "precious").unwrap();
        let fake = FakeDaemon::start(&cluster, 1, "/run/precious");
        for refused in [
            Handle::connect().map(drop),
            Group::join("b19").map(drop),
            ConnectOptions::new().allow_daemon_uid(1000).connect().map(drop),
        ] {
            let refused = refused.unwrap_err();
            assert!(untrusted(&refused), "{refused}");
            assert!(refused.to_string().contains("runs as user 65534: neither root nor"), "{refused}");
        }
        let ended = end_of(&mut session);
        assert!(untrusted(&ended), "{ended}");
        assert_eq!(fs::read("/run/precious-header").unwrap(), b"precious", "libqb has opened it");

        drop(fake);
        cluster.restart(1).unwrap();
        join("b19").leave().unwrap();
    });
}

#[test]
fn b19_a_listener_of_another_user_is_refused_also_when_it_accepts_late() {
    own_process!();
    if !real_root() {
        println!("passed over: there is one user in this namespace");
        return;
    }
    let cluster = Cluster::start(1).unwrap();
    cluster.kill(1).unwrap();
    let _fake = FakeDaemon::start_full(&cluster, 1, "/run/precious");
    cluster.on(1, || {
        fs::write("/run/precious-header", "precious").unwrap();
        let mut tries = [0, 0];
        for _ in 0..2000 {
            let refused = ConnectOptions::new().connect_until(Instant::now()).unwrap_err();
            assert!(untrusted(&refused) || refused.is_retryable(), "{refused}");
            tries[usize::from(untrusted(&refused))] += 1;
        }
        println!("no room for {}, refused {}", tries[0], tries[1]);
        assert_eq!(fs::read("/run/precious-header").unwrap(), b"precious", "libqb has opened it");
    });
}

/// Starts a daemon as the user nobody, on a node that has none.
fn run_as_nobody(cluster: &Cluster) -> Child {
    cluster.on(1, || {
        let _ = fs::remove_file("/run/corosync.pid");
        fs::remove_dir_all("/run/corosync-state").unwrap();
        fs::create_dir("/run/corosync-state").unwrap();
        for directory in ["/run", "/run/corosync-state"] {
            chown(directory, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    });
    let daemon = cluster
        .command_on(1, "setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(find("corosync").unwrap())
        .args(["-f", "-c", CONFIGURATION])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    cluster.on(1, || {
        wait_for("the daemon", || match Handle::connect() {
            Err(error) if error.is_connection_lost() => None,
            _ => Some(()),
        });
    });
    daemon
}

#[test]
fn b19_a_daemon_of_another_user_is_trusted_if_the_program_allows_that_user() {
    if !real_root() {
        println!("passed over: there is one user in this namespace");
        return;
    }
    let cluster = Cluster::start(1).unwrap();
    cluster.kill(1).unwrap();
    let mut daemon = run_as_nobody(&cluster);
    cluster.on(1, || {
        let refused = Handle::connect().unwrap_err();
        assert!(untrusted(&refused), "{refused}");
        let trusting = ConnectOptions::new().allow_daemon_uid(NOBODY);
        let mut group = trusting.join_until("b19 named", deadline()).unwrap();
        group.send(b"to nobody's").unwrap();
        pump(&mut group, |events| messages(events).next().is_some());

        // A session checks the user each time that it connects.
        let options = Session::options().connect_options(trusting).reconnect(Reconnect::new());
        let mut session = join_with(options, "b19 back");
        drop(group);
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        daemon = run_as_nobody(&cluster);
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Rejoined(_))));
        session.leave().unwrap();
    });
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

/// Is the child in [`b19_a_number_that_stands_for_many_users_is_not_trusted`].
#[test]
#[ignore = "a part of another test, in a user namespace without users"]
fn child_in_a_user_namespace() {
    let refused = Handle::connect().unwrap_err();
    assert!(matches!(refused, Error::UntrustedDaemon { uid: NOBODY, is_overflow: true }), "{refused}");
    assert!(refused.to_string().contains("without a number in this user namespace"), "{refused}");
    ConnectOptions::new().allow_daemon_uid(NOBODY).connect().unwrap().close().unwrap();
}

/// In this user namespace, the daemon, the client and all other users have the same number.
#[test]
fn b19_a_number_that_stands_for_many_users_is_not_trusted() {
    let cluster = Cluster::start(1).unwrap();
    let child =
        succeed(cluster.command_on(1, "unshare").arg("--user").arg(std::env::current_exe().unwrap()).args([
            "--exact",
            "facts_b_daemon::child_in_a_user_namespace",
            "--ignored",
            "--nocapture",
        ]));
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(text.contains("1 passed"), "{text}");
}
