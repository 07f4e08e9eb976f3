//! `counter` on a real cluster.

use crate::support::{Program, outcome};
use testcluster::Cluster;

const COUNTER: &str = env!("CARGO_BIN_EXE_counter");

#[test]
fn members_keep_a_sum_through_partitions_and_restarts() {
    let cluster = Cluster::start(2).unwrap();
    let mut one = Program::start(&cluster, 1, COUNTER, &["sum"]);
    one.say("5");
    one.expect("sum 5");
    let mut two = Program::start(&cluster, 2, COUNTER, &["sum"]);
    two.expect("sum 5");
    two.say("10");
    one.expect("sum 15");

    // Both sides go on counting, and have the same sum when they merge.
    cluster.partition(&[&[1], &[2]]).unwrap();
    one.expect("members 1");
    two.expect("members 1");
    one.say("100");
    one.expect("sum 115");
    two.say("1000");
    two.expect("sum 1015");
    cluster.heal().unwrap();
    one.expect("sum 1115");
    two.expect("sum 1115");

    // A number that is added without a daemon is sent when the daemon is back.
    cluster.kill(1).unwrap();
    one.line_where(|line| line.starts_with("lost: cpg_"));
    one.say("10000");
    two.say("100000");
    two.expect("sum 101115");
    cluster.restart(1).unwrap();
    two.expect("sum 111115");
    one.expect("sum 111115");

    // What a member has added stays when it leaves, also for a member that comes later.
    one.end_well();
    two.expect("members 1");
    let mut three = Program::start(&cluster, 1, COUNTER, &["sum"]);
    three.expect("sum 111115");
    three.say("1");
    two.expect("sum 111116");
    three.end_well();
    two.end_well();
}

#[test]
fn a_missing_group_and_a_wrong_number_are_reported() {
    let cluster = Cluster::start(1).unwrap();
    let (_, errors) = outcome(cluster.command_on(1, COUNTER), &[], 2);
    assert_eq!(errors.lines().next(), Some("counter: which GROUP?"));
    let mut one = Program::start(&cluster, 1, COUNTER, &["sum"]);
    one.say("five");
    let (_, errors) = one.end_with(1);
    assert!(errors.starts_with("counter: 'five': invalid digit"), "{errors}");
}
