//! Whatever happens to the process that owns a cluster, nothing is left behind.

mod common;

use std::env;
use std::fs;
use std::process::{Child, Command, Stdio};

use common::{
    MARK, Namespace, eventually, eventually_none, mark, marked, none_stays, pid, traces, wait_ready,
};
use nix::sys::signal::{Signal, kill};
use testcluster::Cluster;

/// No test: the tests below start this as another process.
#[test]
#[ignore = "runs until it is killed"]
fn have_a_cluster() {
    let cluster = Cluster::start(2).unwrap();
    let mut client = cluster.command_on(2, "sleep").arg("1000").spawn().unwrap();
    let comm = format!("/proc/{}/comm", client.id());
    eventually("the client runs", || fs::read_to_string(&comm).unwrap() == "sleep\n");
    println!("ready");
    client.wait().unwrap();
}

struct Other {
    process: Child,
    namespaces: Vec<Namespace>,
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
        wait_ready(&mut process);
        let daemons = marked(&mark).into_iter().filter(|(_, line)| line.contains("corosync -f"));
        let namespaces: Vec<_> =
            daemons.flat_map(|(pid, _)| ["mnt", "net"].map(|kind| Namespace::of(pid, kind))).collect();
        assert_eq!(namespaces.len(), 4, "{:?}", marked(&mark));
        assert!(namespaces.iter().all(|namespace| !namespace.processes().is_empty()));
        Self { process, namespaces, mark }
    }

    fn ends(mut self, before: &[String]) {
        self.process.wait().unwrap();
        none_stays(&self.mark);
        for namespace in &self.namespaces {
            // The environment of a process is gone a moment before its namespaces.
            eventually_none("no process is left on a node", || namespace.processes());
        }
        assert_eq!(traces(), before);
    }
}

#[test]
fn a_killed_process_leaves_nothing_behind() {
    let before = traces();
    let mut other = Other::start("killed");
    other.process.kill().unwrap();
    other.ends(&before);
}

#[test]
fn an_interrupted_process_leaves_nothing_behind() {
    let before = traces();
    let other = Other::start("interrupted");
    kill(pid(other.process.id()), Signal::SIGINT).unwrap();
    other.ends(&before);
}

#[test]
fn a_process_that_is_killed_while_it_starts_leaves_nothing_behind() {
    // At any moment of the start, which takes longer than the longest of these times.
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
        none_stays(&mark);
    }
}

#[test]
fn a_dropped_cluster_leaves_nothing_behind() {
    let before = traces();
    let cluster = Cluster::start(2).unwrap();
    let pids = [1, 2].map(|node| cluster.daemon_pid(node));
    let network = Namespace::of(pids[1], "net");
    assert_eq!(network.processes(), [pids[1]]);
    drop(cluster);
    assert!(pids.iter().all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap()));
    assert_eq!(network.processes(), []);
    assert_eq!(traces(), before);
}
