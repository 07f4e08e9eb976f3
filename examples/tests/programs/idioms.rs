//! The idioms, each on a real cluster.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;

use crate::support::{Program, outcome, run_well};
use nix::sys::signal::Signal;
use testcluster::Cluster;

const MAIN_ERRORS: &str = env!("CARGO_BIN_EXE_main_errors");
const QUESTION_MARK: &str = env!("CARGO_BIN_EXE_question_mark");
const SERVICE: &str = env!("CARGO_BIN_EXE_service");
const SHARE: &str = env!("CARGO_BIN_EXE_share");
const REPLY: &str = env!("CARGO_BIN_EXE_reply");
const ASK: &str = env!("CARGO_BIN_EXE_ask");
const CPGCAT: &str = env!("CARGO_BIN_EXE_cpgcat");

/// A member of the group of the idioms that prints all events, once it has joined.
fn watch(cluster: &Cluster, node: u32) -> Program {
    let mut watch = Program::start(cluster, node, CPGCAT, &["--members", "idioms"]);
    watch.expect(&format!("+ {node}:{} join", watch.pid()));
    watch
}

/// Starts an idiom on a node, and waits until it has joined.
fn start(cluster: &Cluster, watch: &mut Program, node: u32, program: &str) -> Program {
    let program = Program::start(cluster, node, program, &[]);
    watch.expect(&format!("+ {node}:{} join", program.pid()));
    program
}

#[test]
fn main_returns_an_error_that_says_what_to_do() {
    let cluster = Cluster::start(1).unwrap();
    let (output, errors) = outcome(cluster.command_on(1, MAIN_ERRORS), &[], 0);
    assert!(output.starts_with("this member is 1:") && errors.is_empty(), "{output}{errors}");
    cluster.kill(1).unwrap();
    let (_, errors) = outcome(cluster.command_on(1, MAIN_ERRORS), &[], 1);
    assert!(errors.starts_with("Error: cannot connect to corosync (cpg_model_initialize"), "{errors}");
    assert!(errors.contains("is corosync running?"), "{errors}");
}

#[test]
fn an_error_in_a_handler_ends_the_run_and_the_group_is_left() {
    let cluster = Cluster::start(1).unwrap();
    let mut watch = watch(&cluster, 1);
    let mut sum = start(&cluster, &mut watch, 1, QUESTION_MARK);
    for line in ["3", "-5", "end"] {
        watch.say(line);
    }
    assert_eq!(sum.line(), "sum -2");
    watch.expect(&format!("- 1:{} leave", sum.pid()));
    assert!(sum.end_well().is_empty());

    let sum = start(&cluster, &mut watch, 1, QUESTION_MARK);
    for line in ["3", "five"] {
        watch.say(line);
    }
    watch.expect(&format!("- 1:{} leave", sum.pid()));
    let (_, errors) = sum.end_with(1);
    assert!(errors.contains("'five': invalid digit found in string"), "{errors}");
}

#[test]
fn a_service_leaves_on_a_signal_after_the_requests_before_its_leave() {
    let cluster = Cluster::start(2).unwrap();
    let mut watch = watch(&cluster, 1);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut service = start(&cluster, &mut watch, 2, SERVICE);
        assert_eq!(service.line(), "ready");
        watch.say("one");
        assert_eq!(service.line(), "request one");
        service.signal(signal);
        watch.expect(&format!("- 2:{} leave", service.pid()));
        assert_eq!(service.end_well(), ["left after 1 requests"]);
    }
}

#[test]
fn a_second_signal_ends_a_service_whose_daemon_does_not_answer() {
    let cluster = Cluster::start(2).unwrap();
    let mut watch = watch(&cluster, 1);
    let mut service = start(&cluster, &mut watch, 2, SERVICE);
    assert_eq!(service.line(), "ready");
    cluster.pause(2).unwrap();
    service.signal(Signal::SIGINT);
    service.signal(Signal::SIGTERM);
    let (status, rest, errors) = service.end();
    cluster.resume(2).unwrap();
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32), "{status}: {rest:?} {errors}");
}

#[test]
fn threads_that_share_a_group_see_what_they_have_sent() {
    let cluster = Cluster::start(2).unwrap();
    let mut watch = watch(&cluster, 2);
    assert_eq!(run_well(cluster.command_on(1, SHARE), b""), b"40 entries\n");
    watch.line_where(|line| line.starts_with("- 1:") && line.ends_with(" leave"));
}

#[test]
fn a_handler_answers_each_question_in_order_even_under_flow_control() {
    const QUESTIONS: usize = 5000;
    let cluster = Cluster::start(2).unwrap();
    let mut watch = watch(&cluster, 1);
    let reply = start(&cluster, &mut watch, 2, REPLY);
    // All questions wait when it goes on, so that it answers faster than the daemon takes messages.
    reply.signal(Signal::SIGSTOP);
    let mut input = watch.take_input();
    let asking = std::thread::spawn(move || {
        let long = "x".repeat(1000);
        (0..QUESTIONS).for_each(|number| writeln!(input, "ask {number} {long}").unwrap());
        input
    });
    watch.line_where(|line| line.contains(&format!("\task {} ", QUESTIONS - 1)));
    let _open = asking.join().unwrap();
    reply.signal(Signal::SIGCONT);
    let from = format!("2:{}\tanswer ", reply.pid());
    for number in 0..QUESTIONS {
        let line = watch.line_where(|line| line.starts_with(&from));
        assert!(line.starts_with(&format!("{from}{number} ")), "{number}: {}", &line[..40]);
    }
}

#[test]
fn a_question_is_over_when_all_have_answered_or_gone_whatever_comes_between() {
    let cluster = Cluster::start(3).unwrap();
    // Members that never answer.
    let mut watch = watch(&cluster, 1);
    let mut silent = Program::start(&cluster, 3, CPGCAT, &["idioms"]);
    watch.expect(&format!("+ 3:{} join", silent.pid()));
    let reply = start(&cluster, &mut watch, 2, REPLY);
    let mut ask = start(&cluster, &mut watch, 2, ASK);
    assert_eq!(ask.line(), format!("2:{} answers", reply.pid()));
    silent.say("something else");
    let (watched, other) = (watch.pid(), silent.pid());
    watch.expect(&format!("3:{other}\tsomething else"));
    silent.signal(Signal::SIGKILL);
    assert_eq!(ask.line(), format!("3:{other} cannot answer: procdown"));
    drop(watch.take_input());
    assert_eq!(ask.line(), format!("1:{watched} cannot answer: leave"));
    assert_eq!(ask.line(), "all have answered or have gone");
    assert!(ask.end_well().is_empty());
}
