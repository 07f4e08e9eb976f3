//! Whatever happens to the process that has a cluster, nothing stays behind.

mod common;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use common::{MARK, eventually, in_namespace, mark, marked, pid, traces};
use nix::sys::signal::{Signal, kill};
use testcluster::Cluster;

/// Not a test of its own: what the other ones start as another process.
#[test]
#[ignore = "runs until it is killed"]
fn have_a_cluster() {
    let cluster = Cluster::start(2).unwrap();
    let mut client = cluster.command_on(2, "sleep").arg("1000").spawn().unwrap();
    let comm = format!("/proc/{}/comm", client.id());
    eventually("the client runs", || fs::read_to_string(&comm).unwrap() == "sleep\n");
    for node in [1, 2] {
        for kind in ["mnt", "net"] {
            let link = cluster.on(node, || fs::read_link(format!("/proc/thread-self/ns/{kind}")));
            println!("namespace {}", link.unwrap().display());
        }
    }
    println!("ready");
    client.wait().unwrap();
}

struct Other {
    process: Child,
    namespaces: Vec<String>,
    mark: String,
}

impl Other {
    fn start(test: &str) -> Self {
        let mark = mark(test);
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "have_a_cluster", "--ignored", "--nocapture"])
            .env(MARK, &mark)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let namespaces = lines
            .take_while(|line| !line.ends_with("ready"))
            .filter_map(|line| Some(line.split_once("namespace ")?.1.to_owned()))
            .collect();
        Self { process, namespaces, mark }
    }

    fn ends(mut self, before: &[String]) {
        self.process.wait().unwrap();
        eventually("no process stays behind", || marked(&self.mark).is_empty());
        for namespace in &self.namespaces {
            assert!(in_namespace(namespace).is_empty(), "{namespace}");
        }
        assert_eq!(traces(), before);
    }
}

#[test]
fn a_killed_process() {
    let before = traces();
    let mut other = Other::start("killed");
    assert_eq!(other.namespaces.len(), 4);
    assert!(other.namespaces.iter().all(|namespace| !in_namespace(namespace).is_empty()));
    let running = marked(&other.mark);
    assert!(running.iter().filter(|(_, line)| line.contains("corosync -f")).count() == 2, "{running:?}");
    other.process.kill().unwrap();
    other.ends(&before);
}

#[test]
fn an_interrupted_process() {
    let before = traces();
    let other = Other::start("interrupted");
    kill(pid(other.process.id()), Signal::SIGINT).unwrap();
    other.ends(&before);
}

#[test]
fn a_process_that_is_killed_while_it_starts() {
    // At any moment: the start takes longer than the longest of these.
    for delay in (0..120).step_by(8) {
        let mark = mark(&format!("starting-{delay}"));
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "have_a_cluster", "--ignored"])
            .env(MARK, &mark)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        process.kill().unwrap();
        process.wait().unwrap();
        eventually("no process stays behind", || marked(&mark).is_empty());
    }
}

#[test]
fn a_dropped_cluster() {
    let before = traces();
    let cluster = Cluster::start(2).unwrap();
    let pids = [1, 2].map(|node| cluster.daemon_pid(node));
    let network = cluster.on(2, || fs::read_link("/proc/thread-self/ns/net").unwrap());
    let network = network.to_str().unwrap().to_owned();
    assert_eq!(in_namespace(&network), [pids[1]]);
    drop(cluster);
    assert!(pids.iter().all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap()));
    assert!(in_namespace(&network).is_empty());
    assert_eq!(traces(), before);
}
