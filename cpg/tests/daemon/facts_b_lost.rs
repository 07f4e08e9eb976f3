//! Fact B9: after the daemon has died, every call returns an error that says so, and a new connection works.

use std::time::{Duration, Instant};

use crate::support::{deadline, join, name, payloads, pump, views, wait_for};
use cpg::{ConnectOptions, CsError, Error, Handle, Limits, Result, TotemEvents};
use testcluster::Cluster;

fn lost<T>(what: &str, result: Result<T>) {
    let Err(error) = result else { panic!("{what} went well") };
    assert!(error.is_connection_lost() && !error.is_retryable(), "{what}: {error}");
    assert_eq!(error.code(), Some(CsError::Library), "{what}: {error}");
    assert!(error.to_string().contains("connect anew"), "{what}: {error}");
}

#[test]
fn b9_every_call_reports_that_the_daemon_is_dead() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("b9");
        pump(&mut group, |events| views(events).next().is_some());
        let leaving = join("b9 leaving");
        let mut blocked = join("b9 blocked");
        pump(&mut blocked, |events| views(events).next().is_some());
        let blocked = cluster.spawn_on(1, move || blocked.dispatch(Limits::one(), |_, _| ()));
        let mut handle = Handle::connect().unwrap();
        let (joining, closing) = (Handle::connect().unwrap(), Handle::connect().unwrap());
        // The daemon dies while a thread waits.
        let buffer = group.zero_copy(10).unwrap();
        cluster.kill(1).unwrap();

        lost("send", group.send(b"x"));
        lost("a long send", group.send(&vec![0; 3 << 20]));
        lost("send_until", group.send_until(b"x", deadline()));
        lost("a zero-copy send", buffer.send());
        lost("zero_copy", group.zero_copy(10));
        lost("members", group.members());
        lost("groups", handle.groups());
        lost("processes", handle.processes());
        lost("processes_of", handle.processes_of(name("b9")));
        lost("members_of", handle.members_of(name("b9")));
        lost("local_node", handle.local_node());
        lost("dispatch of a handle", handle.dispatch(Limits::available(), |_, _| ()));
        lost("join", joining.join(name("b9 new")).map_err(Error::from));
        lost("close", closing.close());
        lost("leave", leaving.leave());
        drop(buffer);
        for how in [
            Limits::available().at_most(1),
            Limits::available(),
            Limits::one(),
            Limits::forever().until(deadline()),
        ] {
            lost("dispatch", group.dispatch(how, |_, _| ()));
        }
        lost("dispatch", group.dispatch(Limits::one().until(Instant::now()), |_, _| ()));
        lost("a dispatch that waited", blocked.join().unwrap());

        for totem in [TotemEvents::None, TotemEvents::Changes, TotemEvents::InitialAndChanges] {
            let error = ConnectOptions::new().totem_events(totem).connect().unwrap_err();
            assert!(error.is_connection_lost(), "{error}");
            assert!(error.to_string().contains("is corosync running?"), "{error}");
        }

        cluster.restart(1).unwrap();
        lost("an old handle", group.send(b"x"));
        let mut group = join("b9");
        group.send(b"back").unwrap();
        assert_eq!(payloads(&mut group, 1), [b"back"]);
    });
}

#[test]
fn b9_a_zero_copy_buffer_that_cannot_be_made_leaves_no_file() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let group = join("b9 zero-copy");
        cluster.kill(1).unwrap();
        for _ in 0..10 {
            lost("zero_copy", group.zero_copy(1000));
        }
        let files = std::fs::read_dir("/dev/shm").unwrap().map(|file| file.unwrap().file_name());
        let left: Vec<_> = files.filter(|name| name.to_string_lossy().contains("zerocopy")).collect();
        assert!(left.is_empty(), "{left:?}");
    });
}

#[test]
fn b9_the_death_of_a_daemon_under_flow_control_is_reported() {
    let cluster = Cluster::builder().nodes(2).token(Duration::from_secs(10)).start().unwrap();
    cluster.on(1, || {
        let group = join("b9 flow control");
        cluster.pause(2).unwrap();
        let refused = wait_for("flow control", || group.send(&vec![0; 100_000]).err());
        assert!(refused.is_retryable() && !refused.is_connection_lost());
        cluster.kill(1).unwrap();
        // The flag that refuses sends stays set in the shared memory.
        lost("send", group.send(b"x"));
        lost("a long send", group.send(&vec![0; 3 << 20]));
        lost("send_until", group.send_until(b"x", deadline()));
    });
}
