//! The reaction to each answer to a connect.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Mutex;
use std::time::Duration;

use cpg::{ConnectOptions, CsError, Error, Handle, Limits, Reconnect, Session};
use cpg_sys::CS_ERR_LIBRARY;

use crate::join_session;
use crate::stub::{self, Stub};
use crate::support::other_user::{become_nobody, real_root};
use crate::support::process::own_process;
use crate::support::wait_for;

#[test]
fn a22_a_connect_that_failed_half_way_is_an_error() {
    let _alone = stub::alone();
    let broken: [fn(Stub); 3] = [
        Stub::forget,
        |stub| stub.descriptor(-1),
        // Another file has this number by now.
        |stub| stub.descriptor(File::open("/dev/null").unwrap().as_raw_fd()),
    ];
    for work in broken {
        // There are more attempts than the table has entries, so each must give its entry back.
        for _ in 0..60 {
            stub::on_open(work);
            let error = Handle::connect().unwrap_err();
            assert!(matches!(error, Error::Cs { call: "cpg_fd_get", code: CsError::BadHandle }), "{error}");
            assert!(!error.is_connection_lost() && !error.is_retryable());
            assert!(error.to_string().contains("libqb has failed in the middle of connecting"), "{error}");
        }
    }
}

#[test]
fn b18_a_connection_of_datagrams_is_refused() {
    let _alone = stub::alone();
    stub::on_open(|stub| {
        static SOCKET: Mutex<Option<UnixDatagram>> = Mutex::new(None);
        let mut socket = SOCKET.lock().unwrap();
        stub.descriptor(socket.insert(UnixDatagram::unbound().unwrap()).as_raw_fd());
    });
    assert!(matches!(Handle::connect(), Err(Error::DatagramIpc)));
}

/// The daemon that was checked first has ended since, and another process has taken its name.
#[test]
fn b19_a_connection_to_another_user_is_refused() {
    let _alone = stub::alone();
    if !real_root() {
        println!("passed over: there is one user in this namespace");
        return;
    }
    let of_nobody = |stub: Stub| {
        let sockets = std::thread::spawn(|| {
            become_nobody();
            UnixStream::pair().unwrap()
        });
        stub.sockets(sockets.join().unwrap());
    };
    stub::on_open(of_nobody);
    let refused = Handle::connect().unwrap_err();
    assert!(matches!(refused, Error::UntrustedDaemon { uid: 65534, is_overflow: false }), "{refused}");
    stub::on_open(of_nobody);
    ConnectOptions::new().allow_daemon_uid(65534).connect().unwrap();
}

/// Returns the codes of a connect on the page about codes, with their remedies.
fn rows() -> Vec<(CsError, &'static str)> {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/codes.md"));
    let mut rows = Vec::new();
    for line in page.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, function, code, _, mended, _] = cells[..] else { continue };
        if matches!(function, "`cpg_model_initialize`" | "any function") {
            let code = code.trim_matches('`');
            let code = (0..200).map(CsError::from).find(|known| known.name() == Some(code));
            rows.push((code.expect(line), mended));
        }
    }
    rows
}

#[test]
fn a_session_retries_if_waiting_may_help_and_else_ends() {
    let _alone = stub::alone();
    own_process!();
    let rows = rows();
    assert!(rows.len() > 10, "{} rows found", rows.len());
    for (code, mended) in rows {
        let pause = Duration::from_millis(1);
        let options = Session::options().reconnect(Reconnect::new().pauses(pause, pause));
        let (mut session, stub) = join_session(options);
        // The connection on which the members were counted is left behind on a busy machine.
        wait_for("the session's connection to be alone", || (stub::open_handles() == 1).then_some(()));
        stub.plan(|_| CS_ERR_LIBRARY);
        stub::refuse([u32::from(code); 2]);
        let mut ended = None;
        wait_for("the session to go on, or to end", || {
            // The lost connection is closed first.
            ended = session.dispatch(Limits::available(), |_, _| ()).err();
            let back = stub::refusals_left() == 0 && stub::open_handles() == 1;
            (back || ended.is_some()).then_some(())
        });
        if mended == "person" {
            assert_eq!(ended.and_then(|error| error.code()), Some(code));
            assert_eq!(stub::refusals_left(), 1, "{code} was tried again");
            assert!(Handle::connect().is_err(), "the one that is left");
        } else {
            assert_eq!(ended, None, "{code}");
        }
        drop(session);
        // A connection that the session has not taken yet is closed by the thread that made it.
        wait_for("all connections to be closed", || (stub::open_handles() == 0).then_some(()));
    }
}
