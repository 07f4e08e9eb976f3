//! The store on real clusters.

#[path = "../../tests/programs/support.rs"]
mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;

use cpg_kv::client::Client;
use cpg_kv::store::{Command, Outcome};
use cpg_kv::wire::{Reply, Request};
use nix::sys::signal::Signal;
use support::{Program, run, wait_for};
use testcluster::Cluster;

const KV: &str = env!("CARGO_BIN_EXE_kv");

/// A cluster, and the store on some of its nodes.
struct Store {
    cluster: Cluster,
    directory: PathBuf,
    members: Vec<Option<Program>>,
}

impl Store {
    fn new(test: &str, nodes: u32) -> Self {
        let cluster = Cluster::start(nodes).unwrap();
        let directory = std::env::temp_dir().join(format!("kv-{test}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        Self { cluster, directory, members: (0..nodes).map(|_| None).collect() }
    }

    fn socket(&self, node: u32) -> PathBuf {
        self.directory.join(format!("{node}"))
    }

    fn start(&mut self, node: u32) {
        let (nodes, socket) = (self.members.len().to_string(), self.socket(node));
        let arguments =
            ["serve", "kv", "--timeout", "3", "--nodes", &nodes, "--socket", socket.to_str().unwrap()];
        self.members[node as usize - 1] = Some(Program::start(&self.cluster, node, KV, &arguments));
        wait_for("the member to serve", || Client::connect(&socket).ok());
    }

    fn kill(&mut self, node: u32) {
        // Dropping the program kills the member.
        drop(self.members[node as usize - 1].take().unwrap());
    }

    /// Runs the program, and returns its status and what it printed.
    fn kv(&self, node: u32, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.cluster.command_on(node, KV);
        command.args(arguments).env("KV_SOCKET", self.socket(node));
        let output = run(&mut command, b"");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn well(&self, node: u32, arguments: &[&str]) -> String {
        let (code, output, errors) = self.kv(node, arguments);
        assert_eq!((code, &errors[..]), (0, ""), "{arguments:?}");
        output
    }

    fn status(&self, node: u32) -> String {
        self.well(node, &["status"])
    }

    fn wait_status(&self, node: u32, wanted: &str) -> String {
        wait_for(&format!("'{wanted}' on node {node}"), || {
            Some(self.status(node)).filter(|status| status.contains(wanted))
        })
    }

    fn client(&self, node: u32) -> Client {
        Client::connect(&self.socket(node)).unwrap()
    }

    /// Starts the store on these nodes, and begins the state.
    fn begin(&mut self, nodes: impl IntoIterator<Item = u32>) {
        let nodes: Vec<u32> = nodes.into_iter().collect();
        for &node in &nodes {
            self.start(node);
        }
        let members = nodes.len();
        wait_for("all members in one view", || {
            let view = |node| self.status(node).lines().nth(1).unwrap().split_whitespace().count() - 1;
            nodes.iter().all(|&node| view(node) == members).then_some(())
        });
        wait_for("the command to begin to be heard", || (self.kv(nodes[0], &["begin"]).0 == 0).then_some(()));
        for &node in &nodes {
            self.wait_status(node, "primary, in step");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _: std::io::Result<()> = fs::remove_dir_all(&self.directory);
    }
}

fn put(client: &mut Client, key: &str, value: Vec<u8>) -> Reply {
    client.ask(&Request::Do(Command::Put(key.into(), value))).unwrap()
}

/// Puts this number of values, of 100 000 bytes each.
fn fill(client: &mut Client, count: usize) {
    for index in 0..count {
        let reply = put(
            client,
            &format!("large {index:04}"),
            vec![b'a' + u8::try_from(index % 26).unwrap(); 100_000],
        );
        assert_eq!(reply, Reply::Done(Outcome::Done));
    }
}

#[test]
fn what_is_done_on_one_node_is_there_on_all() {
    let mut store = Store::new("all", 3);
    store.start(1);
    let (code, _, errors) = store.kv(1, &["put", "a", "1"]);
    assert_eq!(code, 1);
    assert!(errors.contains("no majority of the nodes is connected"), "{errors}");
    store.start(2);
    store.wait_status(
        1,
        "none: no connected member has state: if this is the first start, or the state is lost",
    );
    let (code, _, errors) = store.kv(2, &["get", "a"]);
    assert_eq!(code, 1);
    assert!(errors.contains("run 'kv begin'"), "{errors}");
    store.well(2, &["begin"]);
    store.wait_status(1, "primary, in step");
    store.well(1, &["put", "a", "1"]);
    assert_eq!(store.well(2, &["get", "a"]), "1\n");
    // A member that joins later gets the state.
    store.start(3);
    store.wait_status(3, "primary, in step");
    assert_eq!(store.well(3, &["get", "a", "--local"]), "1\n");
    store.well(3, &["cas", "a", "1", "2"]);
    let (code, _, errors) = store.kv(1, &["cas", "a", "1", "3"]);
    assert_eq!((code, &errors[..]), (1, "kv: not done: the value is '2'\n"));
    store.well(2, &["cas", "b", "--absent", "x"]);
    assert_eq!(store.well(1, &["list"]), "a\nb\n");
    store.well(1, &["delete", "a"]);
    let (code, _, errors) = store.kv(2, &["get", "a"]);
    assert_eq!((code, &errors[..]), (1, "kv: the key does not exist\n"));
    let (code, _, errors) = store.kv(2, &["begin"]);
    assert_eq!((code, &errors[..]), (1, "kv: nothing to begin: the store has its state\n"));
    for (arguments, text) in [
        (&["put", "a"][..], "which VALUE?"),
        (&["serve", "g"], "--nodes is missing or 0: give the number of nodes in the cluster"),
        (&["fly"], "unknown command 'fly'"),
        (&["get", "a", "b"], "unexpected argument 'b'"),
        (&[], "which command?"),
    ] {
        let (code, _, errors) = store.kv(1, arguments);
        assert_eq!((code, errors.lines().next()), (2, Some(&format!("kv: {text}")[..])));
    }
    let long = "x".repeat(100_000);
    let reply = put(&mut store.client(1), "long", long.repeat(20).into_bytes());
    assert!(matches!(&reply, Reply::Refused(text) if text.contains("is the most")), "{reply:?}");
}

#[test]
fn a_minority_refuses_and_a_merge_drops_what_it_did_not_acknowledge() {
    let mut store = Store::new("minority", 3);
    store.begin(1..=3);
    store.well(1, &["put", "a", "old"]);
    store.cluster.partition(&[&[1], &[2, 3]]).unwrap();
    store.wait_status(1, "none: no majority of the nodes is connected");
    store.wait_status(2, "primary, in step");
    store.well(2, &["put", "a", "new"]);
    for arguments in [&["put", "a", "lost"][..], &["get", "a"]] {
        let (code, _, errors) = store.kv(1, arguments);
        assert_eq!(code, 1);
        assert!(errors.contains("not done: no majority"), "{errors}");
    }
    let (code, output, errors) = store.kv(1, &["get", "a", "--local"]);
    assert_eq!((code, &output[..]), (0, "old\n"));
    assert!(errors.starts_with("this may be old"), "{errors}");
    store.cluster.heal().unwrap();
    store.wait_status(1, "primary, in step");
    for node in 1..=3 {
        assert_eq!(store.well(node, &["get", "a"]), "new\n");
    }
}

#[test]
fn a_node_that_was_paused_acknowledges_nothing_that_is_lost() {
    let mut store = Store::new("paused", 3);
    store.begin(1..=3);
    store.well(1, &["put", "a", "old"]);
    store.cluster.pause(1).unwrap();
    store.wait_status(2, "primary, in step");
    wait_for("the others to go on", || (store.kv(2, &["put", "a", "new"]).0 == 0).then_some(()));
    let mut client = store.client(1);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| put(&mut client, "a", b"lost".to_vec()));
        store.cluster.resume(1).unwrap();
        let reply = asked.join().unwrap();
        let last = wait_for("a read", || Some(store.kv(3, &["get", "a"])).filter(|(code, ..)| *code == 0)).1;
        match reply {
            Reply::Done(Outcome::Done) => assert_eq!(last, "lost\n"),
            Reply::Unknown(_) | Reply::Refused(_) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_joiner_gets_the_state_while_others_write_also_from_another_donor() {
    let mut store = Store::new("joiner", 5);
    store.begin(1..=4);
    fill(&mut store.client(2), 200);
    let mut client = store.client(2);
    let (stop, written) = (std::sync::atomic::AtomicBool::new(false), std::sync::atomic::AtomicU32::new(0));
    std::thread::scope(|scope| {
        let writes = scope.spawn(|| {
            let mut last = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                last += 1;
                match put(&mut client, "last", format!("{last}").into_bytes()) {
                    Reply::Done(Outcome::Done) => written.store(last, std::sync::atomic::Ordering::Relaxed),
                    other => panic!("{other:?}"),
                }
            }
        });
        store.start(5);
        let status = store.wait_status(5, "sequencer  1:");
        if status.contains("is receiving the state") {
            store.kill(1);
        }
        store.wait_status(5, "primary, in step");
        let now = written.load(std::sync::atomic::Ordering::Relaxed);
        wait_for("writes to go on", || {
            (written.load(std::sync::atomic::Ordering::Relaxed) > now + 10).then_some(())
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writes.join().unwrap();
    });
    let last = store.well(5, &["get", "last"]);
    assert_eq!(last, store.well(2, &["get", "last"]));
    assert_eq!(store.well(5, &["list", "--local"]), store.well(3, &["list"]));
    assert_eq!(store.well(5, &["get", "large 0199", "--local"]).len(), 100_001);
}

#[test]
fn a_majority_that_was_started_again_waits_for_a_word_and_begins_with_what_is_left() {
    let mut store = Store::new("lost", 3);
    store.begin(1..=3);
    store.well(1, &["put", "a", "1"]);
    wait_for("the third to have it", || (store.kv(3, &["get", "a", "--local"]).0 == 0).then_some(()));
    store.kill(1);
    store.kill(2);
    store.start(1);
    store.start(2);
    store.wait_status(1, "connected members with state: 1");
    let (code, _, errors) = store.kv(3, &["put", "a", "2"]);
    assert_eq!(code, 1);
    assert!(errors.contains("fewer than a majority of the nodes. Start the missing members"), "{errors}");
    store.well(1, &["begin"]);
    for node in 1..=3 {
        store.wait_status(node, "primary, in step");
        assert_eq!(store.well(node, &["get", "a"]), "1\n");
    }
}

#[test]
fn a_member_that_is_told_to_end_leaves() {
    let mut store = Store::new("leaves", 3);
    store.begin(1..=3);
    store.well(1, &["put", "a", "1"]);
    let member = store.members[0].take().unwrap();
    member.signal(Signal::SIGTERM);
    assert!(member.end_well().is_empty());
    assert!(!store.socket(1).exists());
    let (code, _, errors) = store.kv(1, &["status"]);
    assert_eq!(code, 1);
    assert!(
        errors.contains("Does 'kv serve' run on this node with this --socket, and does corosync run?"),
        "{errors}"
    );
    assert_eq!(store.well(2, &["get", "a"]), "1\n");
    // A socket has one member.
    let arguments =
        ["serve", "kv", "--nodes", "3", "--socket", store.socket(2).to_str().unwrap()].map(str::to_owned);
    let (code, _, errors) = store.kv(2, &arguments.each_ref().map(|argument| &argument[..]));
    assert_eq!(code, 1);
    assert!(errors.contains("another process serves this socket"), "{errors}");
}

#[test]
fn a_member_waits_for_a_daemon_that_is_not_there_and_not_for_one_that_does_not_answer() {
    let mut store = Store::new("waits", 1);
    store.cluster.kill(1).unwrap();
    let start = |store: &Store| {
        let socket = store.socket(1);
        let arguments = ["serve", "kv", "--nodes", "1", "--socket", socket.to_str().unwrap()];
        Program::start(&store.cluster, 1, KV, &arguments)
    };
    // A signal ends a member that waits for a daemon, as it ends any process.
    let waits = start(&store);
    waits.signal(Signal::SIGTERM);
    let (status, _, errors) = waits.end();
    assert_eq!((status.signal(), &errors[..]), (Some(Signal::SIGTERM as i32), ""));
    store.members[0] = Some(start(&store));
    let (code, _, errors) = store.kv(1, &["status"]);
    assert_eq!(code, 1);
    assert!(errors.contains("does corosync run?"), "{errors}");
    store.cluster.restart(1).unwrap();
    wait_for("the member to serve", || Client::connect(&store.socket(1)).ok());
    store.wait_status(1, "run 'kv begin'");
    store.well(1, &["begin"]);
    store.wait_status(1, "primary, in step");
    // A leave needs an answer of the daemon.
    store.cluster.pause(1).unwrap();
    let member = store.members[0].take().unwrap();
    member.signal(Signal::SIGTERM);
    let (status, _, errors) = member.end();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("the answer of the daemon"), "{errors}");
    store.cluster.resume(1).unwrap();
}

#[test]
fn a_member_survives_its_daemon_also_while_it_sends() {
    let mut store = Store::new("daemon", 1);
    store.begin(1..=1);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut client = store.client(1);
        let stop = &stop;
        let writes = scope.spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let reply = put(&mut client, "a", vec![b'x'; 100]);
                assert!(!matches!(reply, Reply::Local(..) | Reply::Text(_)), "{reply:?}");
            }
        });
        for _ in 0..5 {
            store.cluster.restart(1).unwrap();
            wait_for("a write", || (store.kv(1, &["put", "b", "1"]).0 == 0).then_some(()));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writes.join().unwrap();
    });
}
