//! The examples of event loops and threads on a real cluster. All do the same work, so the same tests run on each.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::support::{Program, outcome, run_well, wait_for};
use nix::sys::signal::Signal;
use testcluster::Cluster;
use testcluster::child::{describe, succeed};

/// The programs that send lines in the order of their input.
const LOOPS: &[&str] = &[
    #[cfg(feature = "loops")]
    env!("CARGO_BIN_EXE_loop_polling"),
    #[cfg(feature = "loops")]
    env!("CARGO_BIN_EXE_loop_mio"),
    #[cfg(feature = "loops")]
    env!("CARGO_BIN_EXE_loop_calloop"),
    #[cfg(feature = "glib")]
    env!("CARGO_BIN_EXE_loop_glib"),
];
const THREADS: &str = env!("CARGO_BIN_EXE_threads");
const CPGCAT: &str = env!("CARGO_BIN_EXE_cpgcat");

/// More lines than flow control and the limit of the program let through at once.
const MANY: usize = 3000;

fn all() -> impl Iterator<Item = &'static str> {
    LOOPS.iter().copied().chain([THREADS])
}

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap()
}

/// Starts each program twice in one group, on the nodes in turn, and waits until each member sees all.
fn together(cluster: &Cluster, nodes: u32) -> Vec<Program> {
    // Twice, so that no member is alone with its kind.
    let nodes = (1..=nodes).cycle();
    let mut programs: Vec<_> = all()
        .chain(all())
        .zip(nodes)
        .map(|(program, node)| Program::start(cluster, node, program, &["g"]))
        .collect();
    let everybody = format!("members {}", programs.len());
    for program in &mut programs {
        program.expect(&everybody);
    }
    programs
}

/// Returns the payloads that a process sent, in the order of these lines.
fn said_by(pid: u32, lines: &[String]) -> Vec<&str> {
    let messages = lines.iter().filter_map(|line| line.split_once('\t'));
    messages
        .filter(|(sender, _)| sender.split_once(':').unwrap().1 == pid.to_string())
        .map(|(_, text)| text)
        .collect()
}

#[test]
fn all_members_get_all_lines_in_one_order() {
    let cluster = Cluster::start(3).unwrap();
    let mut programs = together(&cluster, 3);
    for i in 0..20 {
        for program in &mut programs {
            program.say(&format!("line {i}"));
        }
    }
    let count = 20 * programs.len();
    let heard: Vec<_> = programs.iter_mut().map(|program| program.lines(count)).collect();
    assert!(heard.iter().all(|lines| *lines == heard[0]), "{heard:#?}");
    let said: Vec<_> = (0..20).map(|i| format!("line {i}")).collect();
    for (program, path) in programs.iter().zip(all().chain(all())) {
        let mut own = said_by(program.pid(), &heard[0]);
        if path == THREADS {
            own.sort_unstable_by_key(|line| said.iter().position(|said| said == line));
        }
        assert_eq!(own, said, "{path}");
    }
    // Each member leaves at the end of its input, and the others see it leave.
    for path in all().chain(all()).collect::<Vec<_>>().into_iter().rev() {
        let left = programs.pop().unwrap().end_well();
        let view = format!("members {}", programs.len());
        // Only `threads` prints the view of its leave.
        assert_eq!(left, if path == THREADS { vec![view.clone()] } else { vec![] });
        for program in &mut programs {
            assert_eq!(program.line(), view);
        }
    }
}

#[test]
fn many_lines_at_once_are_all_sent_and_delivered_before_the_end() {
    let cluster = Cluster::start(1).unwrap();
    let lines: Vec<_> = (0..MANY).map(|i| format!("line {i}")).collect();
    // The input is a file, which epoll refuses.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lines");
    fs::write(&file, lines.join("\n")).unwrap();
    for program in all() {
        let mut command = cluster.command_on(1, program);
        let output = succeed(command.arg("g").stdin(File::open(&file).unwrap()));
        assert!(output.stderr.is_empty(), "{}", describe(&command, &output));
        let output = String::from_utf8(output.stdout).unwrap();
        let heard = output.lines().filter_map(|line| line.split_once('\t')).map(|(_, text)| text);
        let mut heard: Vec<_> = heard.collect();
        if program == THREADS {
            heard.sort_unstable_by_key(|line| line["line ".len()..].parse::<usize>().unwrap());
        }
        assert!(heard == lines, "{program}");
    }
}

#[test]
fn signals_make_the_programs_leave() {
    let cluster = Cluster::start(2).unwrap();
    let mut watch = Program::start(&cluster, 2, CPGCAT, &["--members", "g"]);
    watch.line_where(|line| line.starts_with("+ 2:"));
    for program in all() {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let mut member = Program::start(&cluster, 1, program, &["g"]);
            let pid = member.pid();
            assert_eq!(watch.line(), format!("+ 1:{pid} join"));
            member.expect("members 2");
            let open = member.take_input();
            member.signal(signal);
            assert_eq!(watch.line(), format!("- 1:{pid} leave"), "{program}");
            member.end_well();
            drop(open);
        }
    }
}

#[test]
fn a_lost_daemon_is_reported() {
    let cluster = Cluster::start(1).unwrap();
    let mut programs = together(&cluster, 1);
    let inputs: Vec<_> = programs.iter_mut().map(Program::take_input).collect();
    cluster.kill(1).unwrap();
    for (program, path) in programs.into_iter().zip(all().chain(all())) {
        let (_, errors) = program.end_with(1);
        assert!(errors.starts_with(&format!("{}: cpg_", name(path))), "{errors}");
        assert!(errors.contains("the connection to corosync is lost"), "{path}: {errors}");
    }
    drop(inputs);
    for program in all() {
        let (output, errors) = outcome(cluster.command_on(1, program), &["g"], 1);
        assert_eq!(output, "");
        assert!(errors.contains("is corosync running?"), "{errors}");
    }
}

#[test]
fn a_closed_output_ends_the_programs_without_an_error() {
    let cluster = Cluster::start(1).unwrap();
    let mut watch = Program::start(&cluster, 1, CPGCAT, &["--members", "g"]);
    watch.line();
    for program in all() {
        let mut command = cluster.command_on(1, "sh");
        command.args(["-c", r#"seq 1 100000 | "$1" g | head -n 1"#, "sh", program]);
        assert_eq!(run_well(command, b""), b"members 2\n", "{program}");
        watch.line_where(|line| line.starts_with('-') && line.ends_with(" leave"));
    }
}

#[test]
fn idle_programs_use_no_processor_time() {
    let cluster = Cluster::start(1).unwrap();
    let programs = together(&cluster, 1);
    let mut speaker = Program::start(&cluster, 1, CPGCAT, &["elsewhere"]);
    for (program, path) in programs.iter().zip(all().chain(all())) {
        // The time is that of 30 messages in another group. The program may still be busy at first.
        wait_for(&format!("{path} to be idle"), || {
            let before = time(program.pid());
            for i in 0..30 {
                speaker.say(&i.to_string());
                speaker.line();
            }
            (time(program.pid()) == before).then_some(())
        });
    }
}

/// Returns the time in ns that the threads of a process have run.
fn time(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads
        .map(|thread| {
            let line = fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
            line.split(' ').next().unwrap().parse::<u64>().unwrap()
        })
        .sum()
}

#[test]
fn wrong_arguments_are_reported() {
    for program in all() {
        let name = name(program);
        for (arguments, text) in [
            (&[][..], "which GROUP?"),
            (&["a", "b"], "unexpected argument \"b\""),
            (&[""], "the group name is empty"),
        ] {
            let (output, errors) = outcome(Command::new(program), arguments, 2);
            assert_eq!(output, "");
            assert!(errors.starts_with(&format!("{name}: {text}")), "{errors}");
        }
    }
}
