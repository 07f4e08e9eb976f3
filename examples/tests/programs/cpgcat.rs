//! `cpgcat` on a real cluster.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc::channel;

use crate::support::{PATIENCE, Program, outcome, run_well, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testcluster::Cluster;
use testcluster::child::assert_ended;

const CPGCAT: &str = env!("CARGO_BIN_EXE_cpgcat");

fn cpgcat(cluster: &Cluster, node: u32, arguments: &[&str]) -> Program {
    Program::start(cluster, node, CPGCAT, arguments)
}

/// Reads lines until so many members are in the group.
fn await_members(program: &mut Program, members: usize) {
    let mut here = 0;
    program.line_where(|line| {
        match line.as_bytes()[0] {
            b'+' => here += 1,
            b'-' => here -= 1,
            _ => panic!("a message: {line}"),
        }
        here == members
    });
}

/// Starts a member on each of so many nodes, and waits until each member sees all.
fn together(cluster: &Cluster, nodes: u32, arguments: &[&str]) -> Vec<Program> {
    let mut programs: Vec<_> = (1..=nodes).map(|node| cpgcat(cluster, node, arguments)).collect();
    for program in &mut programs {
        await_members(program, nodes as usize);
    }
    programs
}

/// Returns the payloads that the member of a node sent, in the order of these lines.
fn said_by(node: usize, lines: &[String]) -> Vec<&str> {
    let of_node = |line: &&String| line.starts_with(&format!("{node}:"));
    lines.iter().filter(of_node).map(|line| line.split_once('\t').unwrap().1).collect()
}

#[test]
fn lines_of_three_nodes_are_delivered_everywhere_in_one_order() {
    let cluster = Cluster::start(3).unwrap();
    let mut programs = together(&cluster, 3, &["--members", "g"]);
    for i in 0..30 {
        programs.iter_mut().enumerate().for_each(|(node, program)| program.say(&format!("{node} {i}")));
    }
    let heard: Vec<_> = programs.iter_mut().map(|program| program.lines(90)).collect();
    assert!(heard.iter().all(|lines| *lines == heard[0]), "{heard:#?}");
    for (node, program) in programs.iter().enumerate() {
        let from = format!("{}:{}\t", node + 1, program.pid());
        let own: Vec<_> = heard[0].iter().filter_map(|line| line.strip_prefix(&from)).collect();
        assert_eq!(own, (0..30).map(|i| format!("{node} {i}")).collect::<Vec<_>>());
    }
}

#[test]
fn the_program_ends_after_its_input_once_its_messages_are_delivered() {
    let cluster = Cluster::start(1).unwrap();
    let mut command = cluster.command_on(1, CPGCAT);
    command.arg("g");
    // An empty line, bytes that are no text, a line above the atomic size, and a last line without a newline.
    let mut input = b"one\n\n\xff\x00\xfe\n".to_vec();
    input.resize(3 << 20, b'x');
    input.extend(b"\nlast");
    let output = run_well(command, &input);
    let lines: Vec<_> = output.split(|&byte| byte == b'\n').collect();
    let payloads = lines.iter().map(|line| line.splitn(2, |&byte| byte == b'\t').nth(1).unwrap_or(b"-"));
    let sent = input.split(|&byte| byte == b'\n').chain([&b"-"[..]]);
    assert!(payloads.eq(sent));
    assert_eq!(outcome(cluster.command_on(1, CPGCAT), &["g"], 0), (String::new(), String::new()));
}

#[test]
fn count_ends_the_program_after_exactly_so_many_messages() {
    let cluster = Cluster::start(2).unwrap();
    let mut sender = cpgcat(&cluster, 2, &["--members", "g"]);
    await_members(&mut sender, 1);
    let mut without_input = cpgcat(&cluster, 1, &["--members", "--count", "3", "g"]);
    drop(without_input.take_input());
    let mut with_input = cpgcat(&cluster, 1, &["--members", "--count", "2", "g"]);
    for (program, members) in [(&mut sender, 2), (&mut without_input, 3), (&mut with_input, 3)] {
        await_members(program, members);
    }
    for line in ["1", "2", "3", "4"] {
        sender.say(line);
        sender.expect(&format!("2:{}\t{line}", sender.pid()));
    }
    let open = with_input.take_input();
    assert_eq!(said_by(2, &with_input.end_well()), ["1", "2"]);
    drop(open);
    let lines: Vec<_> = without_input.end_well().into_iter().filter(|line| line.starts_with('2')).collect();
    assert_eq!(said_by(2, &lines), ["1", "2", "3"]);
}

#[test]
fn names_with_and_without_a_nul_are_two_groups() {
    let cluster = Cluster::start(1).unwrap();
    let mut plain = cpgcat(&cluster, 1, &["g"]);
    let mut counted = cpgcat(&cluster, 1, &["--with-nul", "g"]);
    // The order is one for the whole cluster: if a message were delivered to the other group, it would come before the
    // next line there.
    plain.say("plain");
    assert_eq!(plain.line(), format!("1:{}\tplain", plain.pid()));
    counted.say("counted");
    assert_eq!(counted.line(), format!("1:{}\tcounted", counted.pid()));
    plain.say("plain again");
    assert_eq!(plain.line(), format!("1:{}\tplain again", plain.pid()));
    assert!(counted.end_well().is_empty() && plain.end_well().is_empty());
}

#[test]
fn members_join_and_leave_with_a_reason() {
    let cluster = Cluster::start(3).unwrap();
    let mut here = cpgcat(&cluster, 1, &["--members", "g"]);
    assert_eq!(here.line(), format!("+ 1:{} join", here.pid()));
    let mut other = |node, last_words: &dyn Fn(Program), reason| {
        let mut other = cpgcat(&cluster, node, &["--members", "g"]);
        let pid = other.pid();
        assert_eq!(other.lines(2), [format!("+ 1:{} present", here.pid()), format!("+ {node}:{pid} join")]);
        // When this line comes back, the program is in its loop, and a signal makes it leave.
        other.say("hello");
        assert_eq!(other.line(), format!("{node}:{pid}\thello"));
        assert_eq!(here.lines(2), [format!("+ {node}:{pid} join"), format!("{node}:{pid}\thello")]);
        last_words(other);
        assert_eq!(here.line(), format!("- {node}:{pid} {reason}"));
    };
    other(1, &|program| assert!(program.end_well().is_empty()), "leave");
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let end = |mut program: Program| {
            let _open = program.take_input();
            program.signal(signal);
            assert!(program.end_well().is_empty());
        };
        other(2, &end, "leave");
    }
    other(3, &|program| program.signal(Signal::SIGKILL), "procdown");

    let mut apart = cpgcat(&cluster, 3, &["--members", "g"]);
    let (from, there) = (format!("1:{}", here.pid()), format!("3:{}", apart.pid()));
    apart.expect(&format!("+ {there} join"));
    here.expect(&format!("+ {there} join"));
    cluster.partition(&[&[1, 2], &[3]]).unwrap();
    assert_eq!(here.line(), format!("- {there} nodedown"));
    assert_eq!(apart.line(), format!("- {from} nodedown"));
    cluster.heal().unwrap();
    assert_eq!(here.line(), format!("+ {there} nodeup"));
    apart.expect(&format!("+ {from} nodeup"));
}

#[test]
fn a_flood_from_two_nodes_is_delivered_completely_and_in_one_order() {
    const LINES: usize = 100_000;
    let cluster = Cluster::start(3).unwrap();
    let mut programs = together(&cluster, 2, &["--members", "flood"]);
    let inputs: Vec<_> = programs.iter_mut().map(Program::take_input).collect();
    let heard = std::thread::scope(|scope| {
        let writers: Vec<_> = inputs
            .into_iter()
            .map(|mut input| {
                scope.spawn(move || {
                    let mut text = (0..LINES).map(|i| i.to_string()).collect::<Vec<_>>().join("\n");
                    text.push('\n');
                    input.write_all(text.as_bytes()).unwrap();
                    input
                })
            })
            .collect();
        // While a ring forms, nothing is sent and some sends are refused.
        scope.spawn(|| {
            cluster.partition(&[&[1, 2], &[3]]).unwrap();
            cluster.heal().unwrap();
        });
        let heard: Vec<_> = programs.iter_mut().map(|program| program.lines(2 * LINES)).collect();
        for program in &programs {
            let peak = peak_memory(program.pid());
            assert!(peak < 32 << 10, "{peak} KiB");
        }
        drop(writers);
        heard
    });
    assert!(heard[0] == heard[1], "the orders differ");
    for node in 1..=2 {
        let said = said_by(node, &heard[0]);
        assert_eq!(said.len(), LINES);
        assert!(said.iter().zip(0..LINES).all(|(line, i)| *line == i.to_string()));
    }
}

#[test]
fn a_slow_reader_costs_no_memory_and_a_signal_still_ends_the_program() {
    const LINES: usize = 20_000;
    let cluster = Cluster::start(1).unwrap();
    let unread = |lines: usize| {
        let mut command = cluster.command_on(1, CPGCAT);
        command.args(["--members", "g"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        (child, read_lines(output, lines).1)
    };
    // The last line that is read here tells of the program's join.
    let (mut stopped, _kept_open) = unread(1);
    let (mut read, output) = unread(2);
    let mut command = cluster.command_on(1, CPGCAT);
    command.arg("g");
    let line = "x".repeat(1000) + "\n";
    run_well(command, line.repeat(LINES).as_bytes());
    // All messages have been delivered now, and the output of neither program has been read.
    kill(Pid::from_raw(stopped.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_ended("cpgcat", wait_for("its end", || stopped.try_wait().unwrap()), 0, "");
    // Three lines in addition to the messages: the sender has joined and left, and the program that got the signal has
    // left.
    let (lines, _output) = read_lines(output, LINES + 3);
    assert_eq!(lines.iter().filter(|other| other.ends_with(line.trim_end())).count(), LINES);
    let peak = peak_memory(read.id());
    assert!(peak < 16 << 10, "{peak} KiB");
    drop(read.stdin.take());
    assert_ended("cpgcat", wait_for("its end", || read.try_wait().unwrap()), 0, "");
}

/// Reads so many lines, and returns them with the rest, unread.
fn read_lines(mut output: BufReader<ChildStdout>, count: usize) -> (Vec<String>, BufReader<ChildStdout>) {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let lines = output.by_ref().lines().take(count).map(Result::unwrap).collect();
        sender.send((lines, output))
    });
    receiver.recv_timeout(PATIENCE).expect("the lines did not come")
}

/// Returns the peak memory of a process in KiB.
fn peak_memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_closed_output_ends_the_program_without_an_error() {
    let cluster = Cluster::start(1).unwrap();
    let mut here = cpgcat(&cluster, 1, &["--members", "g"]);
    await_members(&mut here, 1);
    let head = |arguments: &str, input| {
        let mut command = cluster.command_on(1, "sh");
        command.args(["-c", &format!(r#"{input} | "$1" {arguments} | head -n 1"#), "sh", CPGCAT]);
        command
    };
    let output = run_well(head("g", "seq 1 1000000"), b"");
    assert!(output.ends_with(b"\t1\n"), "{output:?}");
    here.line_where(|line| line.starts_with('-') && line.ends_with(" leave"));
    // There is nothing more to print, and the input stays open: the closed pipe itself ends the program.
    let mut command = head("--members g", "cat");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    here.line_where(|line| line.starts_with('-') && line.ends_with(" leave"));
    drop(child.stdin.take());
    assert_ended("the pipeline", wait_for("its end", || child.try_wait().unwrap()), 0, "");
}

#[test]
fn wrong_arguments_and_a_missing_daemon_are_reported() {
    let cluster = Cluster::start(1).unwrap();
    let call = |arguments: &[&str], code| outcome(cluster.command_on(1, CPGCAT), arguments, code);
    for (arguments, text) in [
        (&[][..], "cpgcat: which GROUP?\n"),
        (&["a", "b"], "cpgcat: unexpected argument \"b\"\n"),
        (&["--what", "g"], "cpgcat: invalid option '--what'\n"),
        (&["--count", "0", "g"], "cpgcat: cannot parse argument \"0\""),
        (&["--count"], "cpgcat: missing argument for option '--count'\n"),
        (&[""], "cpgcat: the group name is empty"),
        (&[&"x".repeat(128)], "cpgcat: the group name has 128 bytes"),
    ] {
        let (output, errors) = call(arguments, 2);
        assert_eq!(output, "");
        assert!(errors.starts_with(text) && errors.ends_with("\nTry 'cpgcat --help'.\n"), "{errors}");
    }

    let mut lost = cpgcat(&cluster, 1, &["--members", "g"]);
    await_members(&mut lost, 1);
    cluster.kill(1).unwrap();
    let input = lost.take_input();
    let (_, errors) = lost.end_with(1);
    drop(input);
    assert!(errors.contains("the connection to corosync is lost"), "{errors}");

    let (output, errors) = call(&["g"], 1);
    assert_eq!(output, "");
    assert!(
        errors.starts_with("cpgcat: cannot connect to corosync (cpg_model_initialize: CS_ERR_LIBRARY"),
        "{errors}"
    );
    assert!(errors.contains("is corosync running?"), "{errors}");
}
