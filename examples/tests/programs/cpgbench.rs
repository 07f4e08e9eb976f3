//! `cpg-bench` on a real cluster. The figures depend on the machine, so the tests check only that there are figures.

use std::process::Command;

use crate::support::{Program, outcome};
use nix::sys::signal::Signal;
use testcluster::Cluster;

const BENCH: &str = env!("CARGO_BIN_EXE_cpg-bench");
const CPGCAT: &str = env!("CARGO_BIN_EXE_cpgcat");

/// Starts a member that listens, and waits until it has joined.
fn listener(cluster: &Cluster, node: u32) -> Program {
    let mut program = Program::start(cluster, node, BENCH, &["--listen"]);
    assert_eq!(program.line(), format!("listening  as {node}:{}", program.pid()));
    program
}

/// Returns the number before a word of a line.
fn number_before(line: &str, word: &str) -> f64 {
    let words: Vec<&str> = line.split_whitespace().collect();
    let place = words.iter().position(|other| other.trim_end_matches(',') == word);
    let number = place.and_then(|place| words[place.checked_sub(1)?].parse().ok());
    number.unwrap_or_else(|| panic!("no number before {word}: {line}"))
}

#[test]
fn all_nodes_get_all_messages_and_each_message_has_a_latency() {
    let cluster = Cluster::start(3).unwrap();
    let mut listeners = [listener(&cluster, 2), listener(&cluster, 3)];
    let bench = Program::start(&cluster, 1, BENCH, &["--seconds", "1", "--rate", "50", "--size", "1000"]);
    let from = format!("1:{}", bench.pid());
    let lines = bench.end_well();
    let [group, sending, latency] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(group, "group      cpg-bench: 3 members on 3 nodes");
    assert_eq!(sending, "sending    messages of 1000 bytes, 50 a second for 1 s");
    let figures = latency.strip_prefix("latency    50 in ms: ").unwrap_or_else(|| panic!("{latency}"));
    let times: Vec<f64> =
        figures.split(", ").map(|part| part.split(' ').next_back().unwrap().parse().unwrap()).collect();
    assert_eq!(times.len(), 6, "{latency}");
    assert!(times.is_sorted() && times[0] > 0.0, "{latency}");
    for listener in &mut listeners {
        assert_eq!(listener.line(), format!("{from}\t50 messages of 1000 bytes"));
        listener.signal(Signal::SIGTERM);
    }
    for listener in listeners {
        assert!(listener.end_well().is_empty());
    }
}

#[test]
fn a_flood_is_sent_in_three_ways_and_no_message_is_lost() {
    let cluster = Cluster::start(2).unwrap();
    let mut listener = listener(&cluster, 2);
    let bench =
        Program::start(&cluster, 1, BENCH, &["--seconds", "1", "--rate", "1", "--size", "100", "--flood"]);
    let from = format!("1:{}", bench.pid());
    let lines = bench.end_well();
    let ways: Vec<_> = lines.iter().filter(|line| line.contains("messages/s")).collect();
    let names = ways.iter().map(|line| line.split(' ').next().unwrap());
    assert!(names.eq(["plain", "queued", "coalesced"]), "{lines:?}");
    assert_eq!(listener.line(), format!("{from}\t1 messages of 100 bytes"));
    for way in ways {
        assert!(number_before(way, "messages/s") > 0.0 && !way.contains("LOST"), "{way}");
        // These are all that were sent: none is missing, and the line comes with the last one.
        let heard = listener.line();
        let heard = heard.strip_prefix(&format!("{from}\t")).unwrap_or_else(|| panic!("{heard}"));
        assert!(number_before(heard, "messages") > 1.0 && heard.ends_with(" of 100 bytes"), "{heard}");
    }
}

#[test]
fn signals_end_it_and_a_listener_reports_the_missing_member() {
    let cluster = Cluster::start(2).unwrap();
    let mut listener = listener(&cluster, 1);
    let mut others = Program::start(&cluster, 2, CPGCAT, &["--members", "cpg-bench"]);
    // A message of another program is not counted.
    others.say("a line that is long enough");
    others.line_where(|line| line.ends_with("\ta line that is long enough"));
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let bench = Program::start(&cluster, 2, BENCH, &["--seconds", "60", "--rate", "1"]);
        let member = format!("2:{}", bench.pid());
        others.line_where(|line| line.starts_with(&format!("{member}\t")));
        bench.signal(signal);
        let (status, _, errors) = bench.end();
        assert_eq!(status.success(), signal == Signal::SIGINT, "cpg-bench: {status}: {errors}");
        let reason = if status.success() { "leave" } else { "procdown" };
        others.expect(&format!("- {member} {reason}"));
        let gone = listener.line();
        assert!(gone.starts_with(&format!("{member}\tgone after ")), "{gone}");
    }
}

#[test]
fn wrong_arguments_and_a_lost_daemon_are_reported() {
    for (arguments, said) in [
        (["--seconds", "61"], "cpg-bench: --seconds: 1 to 60"),
        (["--size", "7"], "cpg-bench: --size: 8 to 1000000"),
        (["--rate", "0"], "cpg-bench: --rate: 1 to 10000"),
    ] {
        let (_, errors) = outcome(Command::new(BENCH), &arguments, 2);
        assert_eq!(errors.lines().next(), Some(said));
    }

    let cluster = Cluster::start(1).unwrap();
    let bench = Program::start(&cluster, 1, BENCH, &["--seconds", "60", "--rate", "1"]);
    let mut cat = Program::start(&cluster, 1, CPGCAT, &["cpg-bench"]);
    cat.line();
    cluster.kill(1).unwrap();
    let (lines, errors) = bench.end_with(1);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(errors.contains("the connection to corosync is lost"), "{errors}");
}

/// Packages install the program under another name.
#[test]
fn its_texts_have_the_name_under_which_it_was_called() {
    let directory = std::env::temp_dir().join(format!("cpg-examples-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let link = directory.join("another-name");
    std::os::unix::fs::symlink(BENCH, &link).unwrap();
    let (help, _) = outcome(Command::new(&link), &["--help"], 0);
    let (version, _) = outcome(Command::new(&link), &["--version"], 0);
    let (_, errors) = outcome(Command::new(&link), &["--wrong"], 2);
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(help.starts_with("Usage: another-name ") && !help.contains("{name}"), "{help}");
    assert_eq!(version, concat!("another-name ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(errors.starts_with("another-name: ") && errors.contains("'another-name --help'"), "{errors}");
}
