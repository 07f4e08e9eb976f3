//! `members` on a real cluster.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use crate::support::{Program, outcome, wait_for};
use cpg::GroupName;
use testcluster::child::assert_ended;
use testcluster::{Cluster, find};

const MEMBERS: &str = env!("CARGO_BIN_EXE_members");
const CPGCAT: &str = env!("CARGO_BIN_EXE_cpgcat");

/// Starts a member, and waits until it has joined.
fn joined(cluster: &Cluster, node: u32, arguments: &[&str]) -> Program {
    let mut program = Program::start(cluster, node, CPGCAT, &[&["--members"], arguments].concat());
    program.expect(&format!("+ {node}:{} join", program.pid()));
    program
}

/// Returns the rows of a table: GROUP, NODE and PID.
fn rows(table: &str) -> BTreeSet<Vec<String>> {
    let mut lines = table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect());
    assert_eq!(lines.next(), Some(["GROUP", "NODE", "PID"].map(str::to_owned).to_vec()));
    lines.collect()
}

fn row(group: &str, node: u32, program: &Program) -> Vec<String> {
    vec![group.to_owned(), node.to_string(), program.pid().to_string()]
}

#[test]
fn members_prints_the_members_that_corosync_cpgtool_prints() {
    let cluster = Cluster::start(3).unwrap();
    let members = || outcome(cluster.command_on(3, MEMBERS), &[], 0);
    assert_eq!(members(), ("GROUP        NODE         PID\n".to_owned(), String::new()));
    let programs = [
        ("one", 1, joined(&cluster, 1, &["one"])),
        ("one", 2, joined(&cluster, 2, &["one"])),
        ("one", 2, joined(&cluster, 2, &["one"])),
        ("another", 3, joined(&cluster, 3, &["another"])),
    ];
    let (table, errors) = members();
    assert_eq!(errors, "");
    let expected: BTreeSet<_> =
        programs.iter().map(|(group, node, program)| row(group, *node, program)).collect();
    assert_eq!(rows(&table), expected);

    let tool = find("corosync-cpgtool").unwrap();
    let (list, _) = outcome(cluster.command_on(3, tool), &["-d", " "], 0);
    // The tool prints a line GROUP PID NODE for each member.
    let of_tool = list.lines().skip(1).map(|line| {
        let [group, pid, node] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        [group, node, pid].map(str::to_owned).to_vec()
    });
    assert_eq!(of_tool.collect::<BTreeSet<_>>(), expected, "{list}");

    let counted = joined(&cluster, 1, &["--with-nul", "one"]);
    let name = GroupName::with_nul("one").unwrap().to_string();
    assert!(rows(&members().0).contains(&row(&name, 1, &counted)));
}

#[test]
fn watch_shows_each_join_and_leave() {
    let cluster = Cluster::start(2).unwrap();
    let mut watch = Program::start(&cluster, 1, MEMBERS, &["--watch"]);
    let mut tables_until = |wanted: &[Vec<String>]| {
        let mut table = Vec::new();
        watch.line_where(|line| {
            table.push(line.to_owned());
            // An empty line ends a table.
            let ended = line.is_empty() && rows(table.join("\n").trim_end()).iter().eq(wanted);
            if line.is_empty() {
                table.clear();
            }
            ended
        });
    };
    tables_until(&[]);
    let first = joined(&cluster, 1, &["g"]);
    tables_until(&[row("g", 1, &first)]);
    let second = joined(&cluster, 2, &["g"]);
    tables_until(&[row("g", 1, &first), row("g", 2, &second)]);
    cluster.partition(&[&[1], &[2]]).unwrap();
    tables_until(&[row("g", 1, &first)]);
    cluster.heal().unwrap();
    tables_until(&[row("g", 1, &first), row("g", 2, &second)]);
    first.end_well();
    tables_until(&[row("g", 2, &second)]);
}

#[test]
fn watch_ends_when_its_output_is_closed() {
    let cluster = Cluster::start(1).unwrap();
    let mut command = cluster.command_on(1, MEMBERS);
    let mut child = command.arg("--watch").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = wait_for("its end", || child.try_wait().unwrap());
    let errors = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert_ended("members", status, 0, &errors);
    assert_eq!(errors, "");
}

#[test]
fn wrong_arguments_and_a_missing_daemon_are_reported() {
    let (_, errors) = outcome(Command::new(MEMBERS), &["group"], 2);
    assert_eq!(errors.lines().next(), Some("members: unexpected argument \"group\""));

    let cluster = Cluster::start(1).unwrap();
    let mut watch = Program::start(&cluster, 1, MEMBERS, &["--watch"]);
    watch.line();
    cluster.kill(1).unwrap();
    let (_, errors) = watch.end_with(1);
    assert!(errors.contains("the connection to corosync is lost"), "{errors}");
    let (_, errors) = outcome(cluster.command_on(1, MEMBERS), &[], 1);
    assert!(
        errors.starts_with("members: cannot connect to corosync (cpg_model_initialize: CS_ERR_LIBRARY"),
        "{errors}"
    );
}
