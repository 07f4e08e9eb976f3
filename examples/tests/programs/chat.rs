//! `chat` on a real cluster.

use std::process::Command;

use crate::support::{Program, outcome, run_well, wait_for};
use crate::terminal::Terminal;
use nix::sys::signal::Signal;
use nix::sys::termios::LocalFlags;
use testcluster::Cluster;
use testcluster::child::assert_ended;

const CHAT: &str = env!("CARGO_BIN_EXE_chat");
const CPGCAT: &str = env!("CARGO_BIN_EXE_cpgcat");

fn chat(cluster: &Cluster, node: u32, arguments: &[&str]) -> Program {
    Program::start(cluster, node, CHAT, arguments)
}

#[test]
fn members_see_each_other_and_each_others_lines() {
    let cluster = Cluster::start(3).unwrap();
    let mut alice = chat(&cluster, 1, &["--name", "alice"]);
    assert_eq!(alice.line(), format!("* you are alice (1:{}) in chat: /who, /quit", alice.pid()));
    let mut bob = chat(&cluster, 2, &["--name", "bob"]);
    let (a, b) = (format!("alice (1:{})", alice.pid()), format!("bob (2:{})", bob.pid()));
    assert_eq!(alice.line(), format!("* {b} comes"));
    bob.expect(&format!("* {a} is here"));

    alice.say("hello");
    bob.expect("alice: hello");
    bob.say("  ");
    bob.say("hello yourself");
    assert_eq!(alice.lines(2), ["alice: hello", "bob: hello yourself"]);
    bob.expect("bob: hello yourself");

    alice.say("/who");
    assert_eq!(alice.line(), format!("* here: {a}, {b}"));
    alice.say("/what");
    assert_eq!(alice.line(), "* the commands are /who and /quit");

    let mut somebody = chat(&cluster, 3, &[]);
    let s = format!("somebody (3:{})", somebody.pid());
    assert_eq!(alice.line(), format!("* {s} comes"));
    assert_eq!(bob.line(), format!("* {s} comes"));
    let mut present = somebody.lines(3);
    present[1..].sort_unstable();
    assert_eq!(present[1..], [format!("* {a} is here"), format!("* {b} is here")]);

    // The last line is delivered before the leave, to its sender as well.
    somebody.say("bye");
    somebody.say("/quit");
    assert_eq!(somebody.end_well(), ["somebody: bye"]);
    for other in [&mut alice, &mut bob] {
        assert_eq!(other.lines(2), ["somebody: bye".to_owned(), format!("* {s} goes: leave")]);
    }

    bob.signal(Signal::SIGKILL);
    assert_eq!(alice.line(), format!("* {b} goes: procdown"));
    let mut carol = chat(&cluster, 2, &["--name", "carol"]);
    assert_eq!(alice.line(), format!("* carol (2:{}) comes", carol.pid()));
    let open = carol.take_input();
    carol.signal(Signal::SIGTERM);
    carol.end_well();
    drop(open);
    alice.line_where(|line| line.starts_with("* carol") && line.ends_with(" goes: leave"));
    assert!(alice.end_well().is_empty());
}

#[test]
fn members_see_each_other_go_and_come_with_a_partition() {
    let cluster = Cluster::start(3).unwrap();
    let mut alice = chat(&cluster, 1, &["--name", "alice", "room"]);
    alice.line();
    let mut bob = chat(&cluster, 3, &["--name", "bob", "room"]);
    let (a, b) = (format!("alice (1:{})", alice.pid()), format!("bob (3:{})", bob.pid()));
    alice.expect(&format!("* {b} comes"));
    bob.expect(&format!("* {a} is here"));
    cluster.partition(&[&[1, 2], &[3]]).unwrap();
    assert_eq!(alice.line(), format!("* {b} goes: nodedown"));
    assert_eq!(bob.line(), format!("* {a} goes: nodedown"));
    alice.say("alone");
    assert_eq!(alice.line(), "alice: alone");
    cluster.heal().unwrap();
    assert_eq!(alice.line(), format!("* {b} comes"));
    assert_eq!(bob.line(), format!("* {a} comes"));
}

#[test]
fn a_message_of_another_member_does_not_command_the_terminal() {
    let cluster = Cluster::start(1).unwrap();
    let mut alice = chat(&cluster, 1, &["--name", "alice"]);
    alice.line();
    let mut command = cluster.command_on(1, CPGCAT);
    command.arg("chat");
    run_well(command, b"/name mal\x1blory\n\x1b[2Jhello \xff");
    assert!(alice.line().contains("mal\u{fffd}lory ("));
    assert_eq!(alice.line(), "mal\u{fffd}lory: \u{fffd}[2Jhello \u{fffd}");
}

#[test]
fn a_line_being_typed_stays_in_its_row_while_others_speak() {
    let cluster = Cluster::start(2).unwrap();
    let mut command = cluster.command_on(1, CHAT);
    let mut terminal = Terminal::open(20);
    let flags = terminal.local_flags();
    assert!(flags.contains(LocalFlags::ICANON | LocalFlags::ECHO));
    let mut alice = terminal.attach(command.args(["--name", "alice"])).spawn().unwrap();
    let a = format!("alice (1:{})", alice.id());
    let mut lines = vec![format!("* you are {a} in chat: /who, /quit")];
    terminal.expect(&lines, "");
    let mut bob = chat(&cluster, 2, &["--name", "bob"]);
    bob.expect(&format!("* {a} is here"));
    lines.push(format!("* bob (2:{}) comes", bob.pid()));
    terminal.expect(&lines, "");

    // The row shows the end of a line that is too long for the row, counted in characters and not in bytes.
    terminal.press("what I have typ\u{e9}d so far");
    terminal.expect(&lines, "I have typ\u{e9}d so far");
    for text in ["hello", "this line is longer than three rows of the terminal on which it is shown"] {
        bob.say(text);
        lines.push(format!("bob: {text}"));
        terminal.expect(&lines, "I have typ\u{e9}d so far");
    }

    // Two words erased, a key that moves the cursor in other programs, four characters erased, two typed.
    terminal.press("\u{17}\u{17}\u{1b}[D\u{7f}\u{7f}\u{7f}\u{8}xy");
    terminal.expect(&lines, "what I have tyxy");
    terminal.press("\r");
    lines.push("alice: what I have tyxy".to_owned());
    terminal.expect(&lines, "");
    // A line erased, and the end of the input.
    terminal.press("gone\u{15}\u{4}");
    assert_ended("chat", wait_for("its end", || alice.try_wait().unwrap()), 0, "");
    assert_eq!(terminal.local_flags(), flags, "the state of the terminal has not been restored");
}

#[test]
fn many_lines_at_once_are_all_sent_in_order() {
    let cluster = Cluster::start(2).unwrap();
    let mut alice = chat(&cluster, 1, &["--name", "alice"]);
    alice.line();
    let mut command = cluster.command_on(2, CHAT);
    command.args(["--name", "bob"]);
    let lines: Vec<_> = (0..5000).map(|i| format!("line {i}")).collect();
    run_well(command, lines.join("\n").as_bytes());
    alice.line_where(|line| line.starts_with("* bob ("));
    assert!(alice.lines(5000).iter().zip(&lines).all(|(heard, said)| *heard == format!("bob: {said}")));
    assert!(alice.line().ends_with(" goes: leave"));
}

#[test]
fn wrong_arguments_and_a_missing_daemon_are_reported() {
    let (_, errors) = outcome(Command::new(CHAT), &["--name", " "], 2);
    assert_eq!(errors.lines().next(), Some("chat: the name is empty"));
    let cluster = Cluster::start(1).unwrap();
    cluster.kill(1).unwrap();
    let (_, errors) = outcome(cluster.command_on(1, CHAT), &[], 1);
    assert!(
        errors.starts_with("chat: cannot connect to corosync (cpg_model_initialize: CS_ERR_LIBRARY"),
        "{errors}"
    );
}
