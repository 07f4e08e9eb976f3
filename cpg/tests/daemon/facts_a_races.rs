//! Fact A12: libcpg's tables, which all threads of a process share without a lock in libcpg.

use std::collections::BTreeSet;
use std::sync::{Barrier, Mutex};
use std::thread;

use crate::support::process::own_process;
use crate::support::{deadline, join, name, payloads, pump, views};
use cpg::{ConnectOptions, CsError, Error, Event, Handle, Limits, TotemEvents};
use testcluster::Cluster;

const THREADS: usize = 4;

/// The daemon of the node: it runs, or there is none.
const GROUPS: [&str; 3] = ["a", "b", "c"];

/// Runs `work` in threads of node 1 that start together. Its argument is the number of the thread.
fn at_once(cluster: &Cluster, work: impl Fn(usize) + Sync) {
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                cluster.on(1, || {
                    start.wait();
                    work(number);
                });
            });
        }
    });
}

/// Repeats a call that fails with `CS_ERR_TRY_AGAIN`: a request that no daemon takes blocks the next ones, and libqb
/// then says so.
fn assert_lost<T: std::fmt::Debug>(result: Result<T, Error>, from: &str) {
    match result {
        Err(Error::Cs { call, code: CsError::Library | CsError::TryAgain }) => assert_eq!(call, from),
        other => panic!("{other:?}"),
    }
}

/// Without a daemon, a call does little except use the tables, so threads meet there all the time.
#[test]
fn a12_only_one_thread_at_a_time_makes_an_entry_of_the_tables() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    let handles = cluster.on(1, || (0..THREADS).map(|_| Handle::connect().unwrap()).collect::<Vec<_>>());
    let handles = Mutex::new(handles);
    cluster.kill(1).unwrap();
    at_once(&cluster, |_| {
        let handle = handles.lock().unwrap().pop().unwrap();
        for _ in 0..3_000 {
            assert_lost(Handle::connect(), "cpg_model_initialize");
        }
        for _ in 0..20_000 {
            assert_lost(handle.groups(), "cpg_iteration_initialize");
        }
    });
    cluster.restart(1).unwrap();
    at_once(&cluster, |_| {
        let handles: Vec<Handle> = (0..5).map(|_| Handle::connect().unwrap()).collect();
        assert!(handles.iter().all(|handle| handle.groups().unwrap().is_empty()));
    });
}

#[test]
fn a12_threads_can_connect_and_close_at_once() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    at_once(&cluster, |_| {
        for _ in 0..200 {
            let mut handle = Handle::connect().unwrap();
            assert_eq!(handle.local_node().unwrap().get(), 1);
            handle.dispatch(Limits::available(), |_, _| {}).unwrap();
            handle.close().unwrap();
        }
    });
}

#[test]
fn a12_each_event_reaches_its_handle() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    at_once(&cluster, |number| {
        for round in 0..25 {
            let own = format!("{number} in round {round}");
            let handle =
                ConnectOptions::new().totem_events(TotemEvents::InitialAndChanges).connect().unwrap();
            let mut group = handle.join_until(own.as_str(), deadline()).unwrap();
            let me = group.me();
            let events = pump(&mut group, |events| events.len() == 2);
            assert!(views(&events).all(|view| view.group() == &name(&own) && view.members() == [me]));
            group.send_until(own.as_bytes(), deadline()).unwrap();
            assert_eq!(payloads(&mut group, 1), [own.as_bytes()]);
            if round % 2 == 0 {
                group
                    .leave_until(deadline(), |link, event| {
                        let Event::ConfChg(view) = event else { panic!("{event:?}") };
                        assert_eq!((view.group(), view.left()), (link.name(), &[link.me()][..]));
                    })
                    .unwrap();
            }
        }
    });
}

#[test]
fn a12_threads_can_iterate_at_once() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    let all = BTreeSet::from(GROUPS.map(name));
    cluster.on(1, || {
        let _groups = GROUPS.map(join);
        at_once(&cluster, |number| {
            let handle = Handle::connect().unwrap();
            let group = name(GROUPS[number % GROUPS.len()]);
            for _ in 0..25 {
                let names = handle.groups().unwrap();
                assert_eq!((names.len(), names.into_iter().collect()), (all.len(), all.clone()));
                let processes = handle.processes_of(&group).unwrap();
                assert!(matches!(&processes[..], [process] if *process.group() == group));
            }
        });
    });
}
