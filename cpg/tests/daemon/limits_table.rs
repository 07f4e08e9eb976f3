//! A measurement of the time limits: how much longer than its limit each call takes. It is run by hand:
//! `cargo test -p corosync-cpg --test daemon -- --ignored --nocapture limits_table`.

use std::time::Duration;

use crate::support::limits::{
    Case, Connection, with_a_paused_daemon, with_one_that_is_paused_and_then_killed, without_a_daemon,
};
use crate::support::process::own_process;
use crate::{limits_groups, limits_sessions};
use testcluster::Cluster;

#[test]
#[ignore = "it measures, and asserts nothing that the others do not"]
fn the_table_of_overruns() {
    const ROUNDS: usize = 3;

    own_process!();
    let cluster = Cluster::start(1).unwrap();
    println!("| call | paused | paused, then killed | none |");
    println!("|---|---|---|---|");
    for case in limits_groups::CASES.iter().chain(limits_sessions::CASES) {
        let most = |with: fn(&Cluster, &Case) -> Duration| {
            let most = (0..ROUNDS).map(|_| with(&cluster, case)).max().unwrap();
            format!("{:.1} ms", most.as_secs_f64() * 1000.0)
        };
        let none = match case.connection {
            Connection::Makes => most(without_a_daemon),
            Connection::Has => "-".to_owned(),
        };
        let (paused, killed) = (most(with_a_paused_daemon), most(with_one_that_is_paused_and_then_killed));
        println!("| `{}` | {paused} | {killed} | {none} |", case.what);
    }
}
