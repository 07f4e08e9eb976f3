//! A daemon that is just starting refuses connections with `CS_ERR_TRY_AGAIN` (`exec/ipc_glue.c`,
//! `cs_ipcs_connection_accept`). Connecting and joining wait until it has started.

use std::time::Instant;

use crate::support::process::own_process;
use crate::support::{deadline, name};
use cpg::{ConnectOptions, CsError, Error, Handle};
use testcluster::Cluster;

/// Repeats `call` while a daemon starts, until the result is another one than that no daemon runs.
fn while_it_starts<T: Send>(
    cluster: &Cluster,
    call: impl Fn() -> Result<T, Error> + Sync,
) -> Result<T, Error> {
    cluster.kill(1).unwrap();
    std::thread::scope(|scope| {
        let restarting = scope.spawn(|| cluster.restart(1));
        let result = cluster.on(1, || {
            loop {
                match call() {
                    Err(error) if error.is_connection_lost() => std::thread::yield_now(),
                    result => return result,
                }
            }
        });
        restarting.join().unwrap().unwrap();
        result
    })
}

#[test]
fn connecting_and_joining_wait_for_a_daemon_that_is_starting() {
    // In a separate process: this test would wait for the connect of another test, past the deadline.
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    // Most starts have a moment in which the daemon refuses, but not all.
    let once = || ConnectOptions::new().connect_until(Instant::now()).map(drop);
    let refused = (0..50).find_map(|_| while_it_starts(&cluster, once).err());
    let refused = refused.expect("a start in which the daemon refuses");
    assert_eq!(refused.code(), Some(CsError::TryAgain));
    assert!(refused.to_string().contains("corosync is starting"), "{refused}");
    for _ in 0..10 {
        while_it_starts(&cluster, || Handle::connect().map(drop)).unwrap();
        let early = name("early");
        let group = while_it_starts(&cluster, || ConnectOptions::new().join_until(&early, deadline()));
        cluster.on(1, || group.unwrap().leave().unwrap());
    }
}
