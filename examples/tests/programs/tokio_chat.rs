//! `tokio_chat` on a real cluster.
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Program, outcome, wait_for};
use nix::sys::signal::Signal;
use testcluster::Cluster;

const TOKIO_CHAT: &str = env!("CARGO_BIN_EXE_tokio_chat");
const CHAT: &str = env!("CARGO_BIN_EXE_chat");

fn tokio_chat(cluster: &Cluster, node: u32, name: &str) -> Program {
    Program::start(cluster, node, TOKIO_CHAT, &["--name", name])
}

#[test]
fn members_of_tokio_chat_and_chat_talk_to_each_other() {
    let cluster = Cluster::start(2).unwrap();
    let mut alice = tokio_chat(&cluster, 1, "alice");
    let a = format!("alice (1:{})", alice.pid());
    assert_eq!(alice.line(), format!("* {a} is here"));
    let mut bob = Program::start(&cluster, 2, CHAT, &["--name", "bob"]);
    let b = format!("bob (2:{})", bob.pid());
    assert_eq!(alice.line(), format!("* {b} is here"));
    bob.expect(&format!("* {a} is here"));
    alice.say("hello");
    bob.expect("alice: hello");
    bob.say("hello\tyourself");
    assert_eq!(alice.lines(2), ["alice: hello", "bob: hello\u{fffd}yourself"]);
    bob.expect("bob: hello\u{fffd}yourself");

    // The last line is delivered before the leave, to its sender as well.
    alice.say("bye");
    assert_eq!(alice.end_well(), ["alice: bye", &format!("* {a} goes: leave")]);
    assert_eq!(bob.lines(2), ["alice: bye".to_owned(), format!("* {a} goes: leave")]);
}

#[test]
fn a_signal_makes_it_leave_and_a_lost_daemon_is_reported() {
    let cluster = Cluster::start(1).unwrap();
    let mut alice = tokio_chat(&cluster, 1, "alice");
    alice.line();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut bob = tokio_chat(&cluster, 1, "bob");
        let b = format!("bob (1:{})", bob.pid());
        alice.expect(&format!("* {b} is here"));
        // The input stays open, so that the signal is what ends the program.
        let input = bob.take_input();
        bob.signal(signal);
        alice.expect(&format!("* {b} goes: leave"));
        bob.end_well();
        drop(input);
    }
    let input = alice.take_input();
    cluster.kill(1).unwrap();
    let (_, errors) = alice.end_with(1);
    drop(input);
    assert!(errors.starts_with("tokio_chat: cpg_"), "{errors}");
    assert!(errors.contains("the connection to corosync is lost"), "{errors}");
    let (_, errors) = outcome(cluster.command_on(1, TOKIO_CHAT), &[], 1);
    assert!(errors.contains("is corosync running?"), "{errors}");
}

#[test]
fn events_are_handled_while_a_line_waits_for_space_in_the_queue() {
    let cluster = Cluster::start(1).unwrap();
    let mut alice = tokio_chat(&cluster, 1, "alice");
    alice.line();
    cluster.pause(1).unwrap();
    let (mut input, written) = (alice.take_input(), Arc::new(AtomicUsize::new(0)));
    let saying = std::thread::spawn({
        let written = Arc::clone(&written);
        move || {
            let line = ".".repeat(10_000);
            for _ in 0..1000 {
                writeln!(input, "{line}").unwrap();
                written.fetch_add(1, Ordering::Relaxed);
            }
            writeln!(input, "the end").unwrap();
            input
        }
    });
    // The count stays the same for many looks: the program has stopped reading.
    let (mut before, mut same) = (0, 0);
    wait_for("the queue to be full", || {
        let now = written.load(Ordering::Relaxed);
        same = if now == std::mem::replace(&mut before, now) { same + 1 } else { 0 };
        (now > 0 && same == 100).then_some(())
    });
    assert!(!saying.is_finished(), "the queue had space for all lines");
    cluster.resume(1).unwrap();
    alice.expect("alice: the end");
    drop(saying.join().unwrap());
    alice.end_well();
}

#[test]
fn a_second_signal_ends_it_while_its_daemon_does_not_answer() {
    let cluster = Cluster::start(1).unwrap();
    let mut alice = tokio_chat(&cluster, 1, "alice");
    alice.line();
    cluster.pause(1).unwrap();
    alice.say("hello");
    alice.signal(Signal::SIGINT);
    alice.signal(Signal::SIGTERM);
    let (_, errors) = alice.end_with(1);
    cluster.resume(1).unwrap();
    assert_eq!(errors, "tokio_chat: a second signal came before the group was left\n");
}
