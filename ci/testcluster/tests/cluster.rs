//! Clusters that start, break and merge again.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use common::{Namespace, eventually, pid};
use nix::sys::signal::{Signal, kill};
use testcluster::child::{describe, run, succeed};
use testcluster::{Cluster, Error, Result, State, Transport};

const DEADLINE: Duration = Duration::from_secs(60);

/// A short token, so that partitions are noticed fast, for tests that are not about time.
fn quick(nodes: u32) -> Result<Cluster> {
    Cluster::builder().nodes(nodes).token(Duration::from_millis(500)).start()
}

/// Returns the members that each node sees. A node without a daemon sees none.
fn views(cluster: &Cluster) -> Vec<Vec<u32>> {
    let view = |node| match cluster.state(node) {
        State::Dead => vec![],
        State::Running | State::Paused => cluster.members(node).unwrap(),
    };
    (1..=cluster.nodes()).map(view).collect()
}

#[test]
fn nodes_see_each_other() -> Result<()> {
    for (transport, nodes) in [(Transport::Udpu, 1), (Transport::Udpu, 3), (Transport::Knet, 3)] {
        let start = Instant::now();
        let cluster = Cluster::builder().nodes(nodes).transport(transport).start()?;
        println!("{nodes} nodes with {transport} after {:?}", start.elapsed());
        let all: Vec<u32> = (1..=nodes).collect();
        assert!(views(&cluster).iter().all(|view| *view == all));
        assert!(cluster.log(1).contains("ready to provide service"));
    }
    Ok(())
}

#[test]
fn nodes_that_encrypt_have_a_key_and_merge_again() -> Result<()> {
    let cluster = Cluster::builder().nodes(3).token(Duration::from_millis(500)).encrypted().start()?;
    let told = succeed(cluster.command_on(2, "corosync-cmapctl").args(["-g", "totem.crypto_cipher"]));
    assert!(String::from_utf8_lossy(&told.stdout).ends_with(" = aes256\n"), "{told:?}");
    cluster.partition(&[&[1], &[2, 3]])?;
    assert_eq!(views(&cluster), [vec![1], vec![2, 3], vec![2, 3]]);
    cluster.heal()?;
    cluster.kill(3)?;
    assert_eq!(views(&cluster), [vec![1, 2], vec![1, 2], vec![]]);
    cluster.restart(3)?;
    assert_eq!(views(&cluster), [[1, 2, 3]; 3]);
    Ok(())
}

#[test]
fn a_partition_separates_the_nodes_until_it_is_healed() -> Result<()> {
    let cluster = quick(4)?;
    cluster.partition(&[&[1, 2], &[3, 4]])?;
    assert_eq!(views(&cluster), [[1, 2], [1, 2], [3, 4], [3, 4]]);
    cluster.partition(&[&[3, 1]])?;
    assert_eq!(views(&cluster), [[1, 3], [2, 4], [1, 3], [2, 4]]);
    cluster.partition(&[&[1], &[2], &[3], &[4]])?;
    assert_eq!(views(&cluster), [[1], [2], [3], [4]]);
    cluster.heal()?;
    assert_eq!(views(&cluster), [[1, 2, 3, 4]; 4]);
    cluster.heal()
}

#[test]
fn a_killed_daemon_is_missed_until_it_is_restarted() -> Result<()> {
    let cluster = quick(3)?;
    let first = cluster.daemon_pid(3);
    cluster.kill(3)?;
    assert_eq!(cluster.state(3), State::Dead);
    assert!(!fs::exists(format!("/proc/{first}")).unwrap());
    assert_eq!(views(&cluster), [vec![1, 2], vec![1, 2], vec![]]);
    assert!(matches!(cluster.kill(3), Err(Error::Invalid(_))));
    assert!(cluster.on(3, || fs::read_dir("/dev/shm").unwrap().next().is_some()), "what was left");

    cluster.restart(3)?;
    assert_eq!(views(&cluster), [[1, 2, 3]; 3]);
    let second = cluster.daemon_pid(3);
    let left = format!("-{first}-");
    let names = cluster.on(3, || {
        fs::read_dir("/dev/shm").unwrap().flatten().map(|entry| entry.file_name()).collect::<Vec<_>>()
    });
    assert!(!names.iter().any(|name| name.to_string_lossy().contains(&left)), "{names:?}");

    cluster.restart(3)?;
    assert_ne!(cluster.daemon_pid(3), second);
    assert_eq!(views(&cluster), [[1, 2, 3]; 3]);
    cluster.partition(&[&[3]])?;
    cluster.restart(3)?;
    assert_eq!(views(&cluster), [vec![1, 2], vec![1, 2], vec![3]]);
    for node in 1..=3 {
        cluster.kill(node)?;
    }
    cluster.heal()?;
    for node in 1..=3 {
        cluster.restart(node)?;
    }
    assert_eq!(views(&cluster), [[1, 2, 3]; 3]);
    Ok(())
}

#[test]
fn a_paused_daemon_is_missed_until_it_is_resumed() -> Result<()> {
    let cluster = quick(3)?;
    cluster.pause(2)?;
    assert_eq!(cluster.state(2), State::Paused);
    cluster.wait_members(1, &[3, 1], DEADLINE)?;
    cluster.settle()?;
    assert_eq!(cluster.members(3)?, [1, 3]);
    cluster.resume(2)?;
    cluster.settle()?;
    assert_eq!(views(&cluster), [[1, 2, 3]; 3]);

    cluster.pause(2)?;
    cluster.kill(2)?;
    assert_eq!(cluster.state(2), State::Dead);
    assert_eq!(cluster.members(1)?, [1, 3]);
    Ok(())
}

#[test]
fn clusters_side_by_side_do_not_disturb_each_other() -> Result<()> {
    let clusters = [quick(2)?, quick(2)?, quick(2)?];
    clusters[1].partition(&[&[1], &[2]])?;
    clusters[2].kill(1)?;
    assert_eq!(views(&clusters[0]), [[1, 2]; 2]);
    assert_eq!(views(&clusters[1]), [[1], [2]]);
    assert_eq!(views(&clusters[2]), [vec![], vec![2]]);
    Ok(())
}

#[test]
fn closures_run_on_nodes() -> Result<()> {
    let cluster = Cluster::start(2)?;
    let network = || fs::read_link("/proc/thread-self/ns/net").unwrap();
    let directory = std::env::current_dir().unwrap();
    let here = network();
    let mut borrowed = Vec::new();
    for node in [1, 2] {
        borrowed.push(cluster.on(node, network));
        assert_eq!(cluster.on(node, || std::env::current_dir().unwrap()), directory);
        assert_eq!(cluster.spawn_on(node, network).join().unwrap(), borrowed[borrowed.len() - 1]);
    }
    // From one node to another.
    borrowed.push(cluster.on(1, || cluster.on(2, network)));
    assert_eq!(borrowed[1], borrowed[2]);
    assert_eq!(network(), here);
    borrowed.push(here);
    assert_eq!(borrowed.into_iter().collect::<BTreeSet<_>>().len(), 3);

    let panic = catch_unwind(AssertUnwindSafe(|| cluster.on(1, || panic!("on purpose"))));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"on purpose"));
    Ok(())
}

#[test]
fn commands_run_on_nodes() -> Result<()> {
    let cluster = Cluster::start(2)?;
    let output = succeed(
        cluster
            .command_on(2, "sh")
            .args(["-c", "echo $$ $PWD \"$VALUE\"; readlink /proc/self/ns/net"])
            .env("VALUE", "a 'b' $c")
            .current_dir("/usr"),
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let network = cluster.on(2, || fs::read_link("/proc/thread-self/ns/net").unwrap());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with(" /usr a 'b' $c"), "{text}");
    assert_eq!(lines[1], network.to_str().unwrap());

    let mut child = cluster.command_on(1, "sleep").arg("1000").spawn().unwrap();
    let name = || fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap();
    eventually("the child becomes the program", || name() == "sleep\n");
    let node = Namespace::of(child.id(), "net");
    drop(cluster);
    // The parent notices the end a moment after the process has left the node.
    let mut status = None;
    eventually("it is killed with the cluster", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().signal(), Some(9));
    assert_eq!(node.processes(), []);
    Ok(())
}

#[test]
fn a_cluster_that_does_not_start_shows_the_log() {
    let broken = Cluster::builder().nodes(2).config(|text| text.replace("version: 2", "version: 7")).start();
    let error = broken.unwrap_err();
    assert!(matches!(error, Error::DaemonEnded { .. }), "{error}");
    assert!(error.to_string().contains("parse error in config"), "{error}");
    assert_eq!(format!("{error}"), format!("{error:?}"), "legible when unwrapped");
}

#[test]
fn the_end_of_a_daemon_is_an_error() -> Result<()> {
    let cluster = quick(2)?;
    kill(pid(cluster.daemon_pid(2)), Signal::SIGSEGV).unwrap();
    eventually("the daemon ends", || cluster.state(2) == State::Dead);
    let error = cluster.settle().unwrap_err();
    assert!(matches!(error, Error::DaemonEnded { node: 2, .. }), "{error}");
    cluster.restart(2)?;
    assert_eq!(views(&cluster), [[1, 2]; 2]);
    Ok(())
}

#[test]
fn a_daemon_that_does_not_answer_is_an_error() -> Result<()> {
    let cluster = quick(1)?;
    // Without telling the cluster, which then expects an answer.
    kill(pid(cluster.daemon_pid(1)), Signal::SIGSTOP).unwrap();
    let error = cluster.wait_members(1, &[1], Duration::from_secs(1)).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    let told = error.to_string();
    assert!(told.contains("node 1 sees [] (ring 1.") && told.contains("node 1 does not answer: `"), "{told}");
    kill(pid(cluster.daemon_pid(1)), Signal::SIGCONT).unwrap();
    cluster.settle()?;
    cluster.kill(1)?;
    assert!(matches!(cluster.members(1), Err(Error::Unanswered { node: 1, .. })));
    Ok(())
}

#[test]
fn system_programs_are_found_on_a_node() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let tool = || cluster.command_on(1, "corosync-cpgtool");
    succeed(tool().arg("-n").env("PATH", "/usr/local/bin:/usr/bin:/bin"));
    succeed(tool().arg("-n").env_remove("PATH"));
    let failed = run(tool().arg("--no-such-option"));
    let told = describe(tool().arg("--no-such-option"), &failed);
    assert!(told.starts_with("`corosync-cpgtool --no-such-option` on a node: exit status: "), "{told}");
    Ok(())
}

#[test]
fn changes_do_not_wait_if_this_is_switched_off() -> Result<()> {
    let cluster = quick(2)?;
    cluster.wait_after_changes(false);
    cluster.partition(&[&[1], &[2]])?;
    cluster.settle()?;
    assert_eq!(views(&cluster), [[1], [2]], "a change waits until the nodes have agreed");

    // A change that waited would fail, because a daemon is missing.
    kill(pid(cluster.daemon_pid(2)), Signal::SIGKILL).unwrap();
    eventually("the daemon ends", || cluster.state(2) == State::Dead);
    cluster.heal()?;
    let missing = |result| matches!(result, Err(Error::DaemonEnded { node: 2, .. }));
    assert!(missing(cluster.settle()));
    cluster.wait_after_changes(true);
    assert!(missing(cluster.heal()));

    cluster.restart(2)?;
    assert_eq!(views(&cluster), [[1, 2]; 2], "changes wait again");
    Ok(())
}

#[test]
fn invalid_nodes_and_partitions_are_refused() -> Result<()> {
    assert!(matches!(Cluster::start(0), Err(Error::Invalid(_))));
    assert!(matches!(Cluster::start(1000), Err(Error::Invalid(_))));
    let cluster = Cluster::start(1)?;
    assert!(matches!(cluster.kill(2), Err(Error::Invalid(_))));
    assert!(matches!(cluster.partition(&[&[1], &[1]]), Err(Error::Invalid(_))));
    assert!(matches!(cluster.partition(&[&[0]]), Err(Error::Invalid(_))));
    // On a busy machine, the daemon may need longer than the deadline for its answer.
    let wait = || cluster.wait_members(1, &[1, 2], Duration::from_secs(2)).unwrap_err().to_string();
    let told = std::iter::repeat_with(wait).take(30).any(|error| error.contains("node 1 sees [1]"));
    assert!(told, "{}", wait());
    Ok(())
}
