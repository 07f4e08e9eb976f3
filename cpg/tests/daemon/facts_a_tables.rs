//! Fact A13: libcpg's tables, which move in memory when they are full.

use crate::support::process::own_process;
use crate::support::{join, payloads};
use cpg::{ConnectOptions, Error, Handle, Result};
use testcluster::Cluster;

/// The number of entries in libcpg's tables before they move.
const TABLE: usize = 47;

fn connect_all(count: usize) -> Vec<Handle> {
    (0..count).map(|_| Handle::connect().unwrap()).collect()
}

fn assert_full<T: std::fmt::Debug>(result: Result<T>) {
    match result {
        Err(Error::TooManyHandles { open }) => assert_eq!(open, TABLE),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a13_the_48th_handle_is_refused_until_one_is_closed() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut handles = connect_all(TABLE);
        for _ in 0..3 {
            assert_full(Handle::connect());
            handles.swap_remove(7).close().unwrap();
            handles.push(Handle::connect().unwrap());
        }
        assert_full(Handle::connect());
        drop(handles.pop());
        join("one of 47").leave().unwrap();
        handles.push(Handle::connect().unwrap());
        assert_full(Handle::connect());
        assert!(handles.iter().all(|handle| handle.local_node().unwrap().get() == 1));
    });
}

#[test]
fn a13_connections_that_fail_use_no_entry() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let lost = connect_all(TABLE / 2);
        cluster.kill(1).unwrap();
        for _ in 0..TABLE {
            assert!(Handle::connect().unwrap_err().is_connection_lost());
        }
        cluster.restart(1).unwrap();
        // Handles that have lost the daemon keep their entries until they are dropped.
        let handles = connect_all(TABLE - TABLE / 2);
        assert_full(Handle::connect());
        drop(lost);
        let more = connect_all(TABLE / 2);
        assert_full(Handle::connect());
        drop((handles, more));
    });
}

#[test]
fn a13_more_handles_can_be_made_while_no_other_thread_is_in_libcpg() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("moves");
        let mut handles = connect_all(TABLE - 1);
        assert_full(Handle::connect());
        for _ in 0..2 * TABLE {
            // SAFETY: this test runs in a separate process, and no other thread of it is in libcpg.
            let more = unsafe { ConnectOptions::new().more_handles() };
            handles.push(more.connect().unwrap());
        }
        assert!(handles.iter().all(|handle| handle.local_node().unwrap().get() == 1));
        group.send(b"through all moves").unwrap();
        assert_eq!(payloads(&mut group, 1), [b"through all moves"]);
        let Err(Error::TooManyHandles { open }) = Handle::connect() else { panic!("no error") };
        assert_eq!(open, 3 * TABLE);
    });
}

#[test]
fn a13_a_list_needs_a_free_entry_and_a_join_does_not() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut handles = connect_all(TABLE);
        let group = handles.pop().unwrap().join("the 47th").unwrap();
        assert_full(handles[0].groups());
        assert_full(handles[0].processes());
        assert_full(handles[0].processes_of(group.name()));
        assert_full(handles[0].members_of(group.name()));
        drop(handles.pop());
        assert_eq!(handles[0].groups().unwrap(), [group.name().clone()]);
    });
}
