//! Fact B30: a process that may not open any descriptors.

use std::time::{Duration, Instant};

use crate::support::process::own_process;
use crate::support::{deadline, join, join_with, messages, payloads, pump_session};
use cpg::{Error, Limits, Session};
use testcluster::Cluster;

/// Sets the limit of open descriptors of the process, and returns the old one.
fn limit_descriptors(soft: libc::rlim_t) -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it writes one struct.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    let before = std::mem::replace(&mut limit.rlim_cur, soft);
    // SAFETY: it reads one struct.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    before
}

#[test]
fn b30_the_error_names_a_limit_of_no_descriptors_and_the_membership_goes_on() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("a group");
        let mut session = join_with(Session::options(), "a session");
        let soon = || Limits::forever().until(Instant::now() + Duration::from_millis(10));
        for _ in 0..2 {
            group.dispatch(soon(), |_, _| ()).unwrap();
            session.dispatch(soon(), |_, _| ()).unwrap();
        }
        for soft in [0, 1] {
            let before = limit_descriptors(soft);
            let refused = [
                group.dispatch(Limits::available(), |_, _| ()).map(drop),
                group.dispatch(soon(), |_, _| ()).map(drop),
                group.daemon().local_node().map(drop),
                group.members().map(drop),
                session.dispatch(Limits::available(), |_, _| ()).map(drop),
                session.dispatch(soon(), |_, _| ()).map(drop),
                session.members().map(drop),
            ];
            limit_descriptors(before);
            // With a limit of one, the result depends on the number of descriptors for which libqb waits.
            assert!(soft == 1 || (refused[0].is_err() && refused[4].is_err()), "libqb's polls are refused");
            for (number, refused) in refused.into_iter().enumerate() {
                let Err(error) = refused else { continue };
                assert!(matches!(error, Error::Io { call: "poll", .. }), "{soft}, {number}: {error}");
                assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
                assert!(!error.is_retryable() && !error.is_connection_lost());
            }
        }
        group.send(b"still here").unwrap();
        assert_eq!(payloads(&mut group, 1), [b"still here"]);
        session.send(b"still here").unwrap();
        pump_session(&mut session, |events| messages(events).count() == 1);
        session.leave_until(deadline(), |_, _| ()).unwrap();
    });
}
