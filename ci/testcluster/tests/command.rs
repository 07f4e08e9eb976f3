//! The command `testcluster`.

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use common::{MARK, busy, mark, marked, none_stays, pid, traces, wait_ready};
use nix::sys::signal::{Signal, kill, killpg};
use testcluster::child::succeed;

const PROGRAM: &str = env!("CARGO_BIN_EXE_testcluster");

fn testcluster(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs a shell script in a cluster, and returns its output.
fn script(options: &[&str], script: &str) -> String {
    let mut command = Command::new(PROGRAM);
    command.arg("run").args(options).args(["--", "sh", "-euc", script]).stdin(Stdio::null());
    String::from_utf8(succeed(&mut command).stdout).unwrap()
}

#[test]
fn the_exit_status_is_that_of_the_command() {
    let status = |arguments: &[&str]| testcluster(arguments).status.code();
    assert_eq!(status(&["run", "true"]), Some(0));
    assert_eq!(status(&["run", "--", "sh", "-c", "exit 7"]), Some(7));
    assert_eq!(status(&["run", "--", "sh", "-c", "kill -KILL $$"]), Some(128 + 9));
    assert_eq!(status(&["run", "--", "sh", "-c", "testcluster on 1 -- sh -c 'exit 5'"]), Some(5));
    assert_eq!(status(&["run", "/nowhere"]), Some(127));
    assert_eq!(status(&["run", "--nodes", "0", "true"]), Some(125));
    assert_eq!(status(&["run", "--nodes", "some"]), Some(2));
    assert_eq!(status(&["--help"]), Some(0));
}

#[test]
fn a_script_breaks_the_cluster() {
    let printed = script(
        &["--nodes", "3", "--token", "500"],
        "members() { testcluster status | tail -n +2 | while read -r node _ _ state members; do
             echo $node $state $members; done; }
         members
         testcluster partition 1,2/3; members
         testcluster heal; testcluster kill 2; members
         testcluster pause 3; testcluster settle; members
         testcluster resume 3; testcluster restart 2; testcluster settle; members",
    );
    let expected = "\
1 running 1,2,3\n2 running 1,2,3\n3 running 1,2,3
1 running 1,2\n2 running 1,2\n3 running 3
1 running 1,3\n2 dead -\n3 running 1,3
1 running 1\n2 dead -\n3 paused -
1 running 1,2,3\n2 running 1,2,3\n3 running 1,2,3\n";
    assert_eq!(printed, expected);
}

#[test]
fn commands_run_on_nodes() {
    let printed = script(
        &["--nodes", "2", "--transport", "knet"],
        "cd /usr/lib
         ip -brief -4 address show eth0
         echo typed | testcluster on 2 sh -c 'cat; pwd; ip -brief -4 address show eth0'
         testcluster log 2 | grep -c 'ready to provide service' >&2",
    );
    let words: Vec<&str> = printed.split_whitespace().filter(|word| !word.starts_with("eth0")).collect();
    assert_eq!(words, ["UP", "10.0.0.1/24", "typed", "/usr/lib", "UP", "10.0.0.2/24"]);
}

#[test]
fn a_cluster_can_have_another_inside() {
    let printed = script(
        &["--nodes", "2"],
        "testcluster kill 2
         testcluster run --nodes 3 testcluster status | grep -c running
         testcluster status | grep -c running",
    );
    assert_eq!(printed, "3\n1\n");
}

#[test]
fn system_programs_are_found_with_the_path_of_a_user() {
    let mut command = Command::new(PROGRAM);
    command.args(["run", "--", "sh", "-euc", "corosync-cpgtool -n; testcluster on 1 corosync-cpgtool -n"]);
    succeed(command.env("PATH", "/usr/local/bin:/usr/bin:/bin"));
    succeed(Command::new(PROGRAM).args(["run", "corosync-cpgtool", "-n"]).env("PATH", "/usr/bin:/bin"));
}

#[test]
fn status_shows_why_the_members_of_a_node_are_not_known() {
    let status = script(
        &["--nodes", "2"],
        "kill -STOP $(testcluster status | awk '$1 == 2 { print $3 }'); testcluster status",
    );
    let line = status.lines().nth(2).unwrap();
    assert!(line.contains("running  ? (`") && line.ends_with("did not end in time)"), "{status}");
}

#[test]
fn the_command_prints_its_version() {
    for option in ["--version", "-V"] {
        let output = testcluster(&[option]);
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            concat!("testcluster ", env!("CARGO_PKG_VERSION"), "\n")
        );
    }
}

#[test]
fn wrong_arguments_are_reported() {
    let told = |arguments: &[&str]| String::from_utf8(testcluster(arguments).stderr).unwrap();
    assert!(told(&["status"]).contains("inside a cluster"));
    assert!(told(&["frobnicate"]).starts_with("testcluster: there is no command `frobnicate`\n"));
    assert!(told(&["run", "testcluster", "kill", "9"]).contains("no node \"9\""));
    assert!(told(&["run", "testcluster", "partition", "1,2,x"]).contains("not a partition"));
}

/// Returns true if this process ignores a signal.
fn ignores(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & (1 << (signal as i32 - 1)) != 0
}

#[test]
fn a_killed_command_leaves_nothing_behind() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGHUP] {
        // For example under nohup. Then its children ignore the signal as well.
        if ignores(signal) {
            continue;
        }
        let (before, mark) = (traces(), mark(signal.as_str()));
        let mut child = busy(&mut Command::new(PROGRAM), &mark);
        kill(pid(child.id()), signal).unwrap();
        child.wait().unwrap();
        none_stays(&mark);
        assert_eq!(traces(), before);
    }
}

#[test]
fn a_command_of_which_a_process_is_killed_leaves_nothing_behind() {
    for part in ["internal-init", "internal-session"] {
        let mark = mark(part);
        let mut child = busy(&mut Command::new(PROGRAM), &mark);
        let running = marked(&mark);
        let (part, _) = running.iter().find(|(_, line)| line.contains(part)).unwrap();
        kill(pid(*part), Signal::SIGKILL).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(128 + 9));
        none_stays(&mark);
    }
}

#[test]
fn processes_that_the_command_leaves_are_ended() {
    let mark = mark("leaves");
    succeed(
        Command::new(PROGRAM)
            .args(["run", "--", "sh", "-c", "setsid sleep 1000 & exit 0"])
            .env(MARK, &mark)
            // With a pipe, the test would wait until the remaining process closes it.
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit()),
    );
    assert!(marked(&mark).is_empty());
}

#[test]
fn an_interrupt_is_for_the_command() {
    let mut child = Command::new(PROGRAM)
        .args(["run", "--", "sh", "-c", "trap 'exit 3' INT; echo ready; sleep 1000 & wait"])
        .stdout(Stdio::piped())
        // To all processes of the group, as a terminal does.
        .process_group(0)
        .spawn()
        .unwrap();
    wait_ready(&mut child);
    killpg(pid(child.id()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
}
