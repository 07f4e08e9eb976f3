//! Facts A7 and A17: children of a process with handles, including a fork in the middle of a dispatch.

use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::time::Instant;

use crate::support::fork::{child, ensure, fork, reap, refused};
use crate::support::process::own_process;
use crate::support::{Members, deadline, join, name, payloads, pump, views, wait_for};
use cpg::{Error, Event, Group, Handle, Limits};
use testcluster::Cluster;

/// Asserts that the membership and the connection of this process still work.
fn assert_stands(group: &mut Group, others: &mut Members) {
    let text = format!("after the child {}", group.me());
    group.send(text.as_bytes()).unwrap();
    others.expect(|line| {
        assert!(!line.contains(&format!("-{}", group.me())), "the others saw it leave: {line}");
        line.starts_with("deliver") && line.ends_with(&text)
    });
    assert_eq!(payloads(group, 1), [text.as_bytes()]);
    assert!(group.members().unwrap().contains(&group.me()));
}

#[test]
fn a7_every_call_of_a_child_is_refused() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("forked");
        let mut others = Members::start(&cluster, 1, group.name(), 1);
        // After the first view, asking for members is one request.
        pump(&mut group, |events| views(events).any(|view| view.members().len() == 2));
        let (mut handle, other) = (Handle::connect().unwrap(), Handle::connect().unwrap());
        let pid = fork();
        if pid == 0 {
            child(move || {
                ensure!(refused(group.send(b"from the child")));
                ensure!(refused(group.send_vectored(&[])));
                ensure!(refused(group.send(&vec![0; 3 << 20])));
                ensure!(refused(group.send_until(b"from the child", deadline())));
                ensure!(refused(group.zero_copy(100).map(drop)));
                ensure!(refused(group.members()));
                ensure!(refused(group.dispatch(Limits::available(), |_, _| {})));
                ensure!(refused(group.dispatch(Limits::one(), |_, _| {})));
                ensure!(refused(handle.local_node()));
                ensure!(refused(handle.flow_control()));
                ensure!(refused(handle.members_of(group.name())));
                ensure!(refused(handle.groups().map(drop)));
                ensure!(refused(handle.processes().map(drop)));
                ensure!(refused(handle.processes_of(group.name()).map(drop)));
                ensure!(refused(handle.dispatch(Limits::one(), |_, _| {})));
                ensure!(refused(handle.close()));
                ensure!(refused(other.join("child").map(drop).map_err(Error::from)));
                ensure!(refused(group.leave()));
                0
            });
        }
        reap(pid);
        assert_stands(&mut group, &mut others);
        assert_eq!(handle.local_node().unwrap(), group.me().node());
        assert!(handle.members_of(name("child")).unwrap().is_empty());
        other.join_until("parent", deadline()).unwrap().leave().unwrap();
        handle.close().unwrap();
        group.leave().unwrap();
    });
}

#[test]
fn a7_a_handle_that_a_child_drops_still_works_in_the_parent() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("dropped");
        let mut others = Members::start(&cluster, 1, group.name(), 1);
        let handle = Handle::connect().unwrap();
        for _ in 0..2 {
            let pid = fork();
            if pid == 0 {
                child(move || {
                    drop(group);
                    drop(handle);
                    0
                });
            }
            reap(pid);
            assert_stands(&mut group, &mut others);
            assert_eq!(handle.local_node().unwrap(), group.me().node());
        }
    });
}

#[test]
fn a7_a_zero_copy_buffer_that_a_child_drops_still_works_in_the_parent() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("borrowed");
        let mut others = Members::start(&cluster, 1, group.name(), 1);
        let mut buffer = group.zero_copy(3000).unwrap();
        buffer.fill(b'z');
        let pid = fork();
        if pid == 0 {
            child(move || {
                ensure!(refused(buffer.send()));
                drop(buffer);
                0
            });
        }
        reap(pid);
        buffer.send().unwrap();
        drop(buffer);
        assert_eq!(payloads(&mut group, 1), [[b'z'; 3000]]);
        assert_stands(&mut group, &mut others);
    });
}

#[test]
fn a7_a_child_can_make_a_new_connection() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("both");
        let mut others = Members::start(&cluster, 1, group.name(), 1);
        let pid = fork();
        if pid == 0 {
            child(move || {
                let mut own = join("both");
                ensure!(own.me().pid() == std::process::id() && own.me() != group.me());
                own.send(b"from the child").unwrap();
                ensure!(payloads(&mut own, 1) == [b"from the child"]);
                ensure!(refused(group.send(b"not from the parent")));
                ensure!(own.leave().is_ok());
                0
            });
        }
        reap(pid);
        assert_eq!(payloads(&mut group, 1), [b"from the child"]);
        assert_stands(&mut group, &mut others);
    });
}

#[test]
fn a7_a_child_forked_while_a_thread_connects_gets_an_error_that_says_so() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        cluster.pause(1).unwrap();
        std::thread::scope(|scope| {
            let connecting = scope.spawn(|| cluster.on(1, || Handle::connect().unwrap()));
            wait_for("the lock to be held", || cpg_sys::Tables::lock(Some(Instant::now())).err());
            let parent = std::process::id();
            let pid = fork();
            if pid == 0 {
                child(|| {
                    let told =
                        |error| matches!(error, Error::ForkedWhileConnecting { parent: of } if of == parent);
                    ensure!(Handle::connect().is_err_and(told));
                    ensure!(Group::join("child").is_err_and(told));
                    0
                });
            }
            reap(pid);
            cluster.resume(1).unwrap();
            connecting.join().unwrap();
        });
    });
}

#[test]
fn a7_a_started_program_does_not_inherit_the_descriptor() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("inherited");
        let mut others = Members::start(&cluster, 1, group.name(), 1);
        let socket = std::fs::read_link(format!("/proc/self/fd/{}", group.as_raw_fd())).unwrap();
        let socket = socket.to_str().unwrap();
        assert!(socket.starts_with("socket:"), "{socket}");
        let listed = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.contains("pipe:") && !listed.contains(socket), "{socket} in {listed}");
        // A copy that is made on purpose can only be waited on.
        let copy = group.as_fd().try_clone_to_owned().unwrap();
        assert!(Command::new("true").stdin(copy).status().unwrap().success());
        assert_stands(&mut group, &mut others);
        drop(group);
        others.expect(|line| line.starts_with("view") && line.contains(" -1:"));
        wait_for("the handle to go", || {
            (Handle::connect().unwrap().groups().unwrap().len() == 1).then_some(())
        });
    });
}

#[test]
fn a17_a_child_forked_in_a_handler_takes_none_of_its_parents_events() {
    const COUNT: usize = 200;
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("forks");
        let mut others = Members::start(&cluster, 1, group.name(), 1);
        pump(&mut group, |events| views(events).any(|view| view.members().len() == 2));
        let sent: Vec<_> = (0..COUNT).map(|number| format!("number {number}").into_bytes()).collect();
        for message in &sent {
            group.send_until(message, deadline()).unwrap();
        }
        // When the last message is on its way to all members, enough messages wait.
        others.expect(|line| line.ends_with("number 199"));
        let (mut heard, mut forked) = (Vec::new(), None);
        let dispatched = group.dispatch(Limits::available(), |_, event| {
            let Event::Deliver(message) = event else { panic!("{event:?}") };
            heard.push(message.payload().to_vec());
            if heard.len() == 11 {
                let pid = fork();
                forked = Some(pid);
                if pid > 0 {
                    // The child returns from here, and its dispatch would go on.
                    reap(pid);
                }
            }
        });
        if forked == Some(0) {
            child(move || {
                ensure!(refused(dispatched) && heard.len() == 11);
                ensure!(refused(group.dispatch(Limits::available(), |_, _| {})));
                ensure!(refused(group.send(b"from the child")));
                drop(group);
                0
            });
        }
        assert!(forked.is_some() && dispatched.unwrap() == heard.len());
        heard.extend(payloads(&mut group, COUNT - heard.len()));
        assert!(heard == sent, "{heard:?}");
        assert_stands(&mut group, &mut others);
    });
}
