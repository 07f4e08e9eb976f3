//! Section C of the facts: names, and clients that the daemon cannot or will not serve.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::mounts::{limit_shared_memory, mount_memory};
use crate::support::other_user::{become_nobody, real_root};
use crate::support::{join, name};
use cpg::{CsError, Error, GroupName, Handle};
use testcluster::Cluster;
use testcluster::child::succeed;

#[test]
fn c_another_user_is_refused_and_admitted_after_doing_what_the_error_says() {
    if !real_root() {
        println!("passed over: there is one user in this namespace");
        return;
    }
    let cluster = Cluster::start(1).unwrap();
    // A daemon reads the directory beside its configuration. On this node it is an empty one, in the place where it is
    // on a real machine.
    cluster.on(1, || {
        mount_memory("/etc/corosync");
        fs::create_dir("/etc/corosync/uidgid.d").unwrap();
        symlink("/etc/corosync/uidgid.d", "/run/testcluster/uidgid.d").unwrap();
    });
    let (refused, text) = cluster.on(1, || {
        become_nobody();
        let refused = Handle::connect().unwrap_err();
        // The text names the user of this process.
        let text = refused.to_string();
        (refused, text)
    });
    assert_eq!(refused.code(), Some(CsError::Access));
    assert!(!refused.is_connection_lost() && !refused.is_retryable());
    assert_eq!(std::io::Error::from(refused).kind(), std::io::ErrorKind::PermissionDenied);

    let remedy = text.split_once("these lines into a file such as ").map(|(_, remedy)| remedy);
    let (file, remedy) = remedy.and_then(|remedy| remedy.split_once(":\n")).expect(&text);
    let (lines, remedy) = remedy.split_once("  then run: ").expect(&text);
    let command = remedy.lines().next().expect(&text);
    cluster.on(1, || fs::write(file, lines).unwrap());
    let command = format!("PATH=$PATH:/usr/sbin:/sbin; {command}");
    let reloaded = cluster.command_on(1, "sh").args(["-c", &command]).output().unwrap();
    assert!(reloaded.status.success(), "{command}: {reloaded:?}\n{}", cluster.log(1));

    let connect = || {
        cluster.on(1, || {
            become_nobody();
            join("c allowed").leave().unwrap();
        });
    };
    connect();
    cluster.kill(1).unwrap();
    cluster.restart(1).unwrap();
    connect();
}

#[test]
fn c_a_client_that_cannot_see_the_shared_memory_gets_a_clear_error() {
    let cluster = Cluster::start(1).unwrap();
    let refused = cluster.on(1, || {
        // SAFETY: the thread gets a new mount namespace; it does not share its file system state.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
        mount_memory("/dev/shm");
        Handle::connect().unwrap_err()
    });
    assert_eq!(refused.code(), Some(CsError::NotExist));
    assert!(refused.to_string().contains("does not see the daemon's /dev/shm"), "{refused}");
}

#[test]
fn c_a_client_without_room_in_the_shared_memory_gets_a_clear_error() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        // A connection needs three megabytes.
        limit_shared_memory(1 << 20);
        let refused = Handle::connect().unwrap_err();
        assert_eq!(refused.code(), Some(CsError::NoSpace));
        assert!(refused.to_string().ends_with("see df -h /dev/shm"), "{refused}");
        limit_shared_memory(8 << 20);
        Handle::connect().unwrap().close().unwrap();
    });
}

/// Is the child in [`c_an_error_that_main_returns_is_printed_with_its_remedy`].
#[test]
#[ignore = "a part of another test, which has no daemon for it"]
fn child_that_returns_its_error() -> cpg::Result<()> {
    Handle::connect()?.close()
}

#[test]
fn c_an_error_that_main_returns_is_printed_with_its_remedy() {
    let cluster = Cluster::start(1).unwrap();
    cluster.kill(1).unwrap();
    let child = cluster
        .command_on(1, std::env::current_exe().unwrap())
        .args(["--exact", "facts_c_clients::child_that_returns_its_error", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = [child.stdout, child.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(!child.status.success(), "{text}");
    assert!(
        text.contains("Error: cannot connect to corosync (") && text.contains("is corosync running?"),
        "{text}"
    );
}

/// Is the child in [`a14_running_out_of_descriptors_is_a_clear_error`].
#[test]
#[ignore = "a part of another test, which lowers the limit of descriptors"]
fn child_without_descriptors() {
    // The lowest numbers are in use by this process, which matters: libqb closes 0 when it has no socket to close.
    let mut taken = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        taken.push(file);
    }
    for _ in 0..10 {
        match Handle::connect() {
            Ok(_) => println!("served with {} descriptors taken", taken.len()),
            Err(error) => println!("refused: {error}"),
        }
        assert!(fs::metadata("/proc/self/fd/0").is_ok(), "descriptor 0 was closed");
        taken.pop();
    }
    drop(taken);
    join("c descriptors").leave().unwrap();
}

#[test]
fn a14_running_out_of_descriptors_is_a_clear_error() {
    let cluster = Cluster::start(1).unwrap();
    let child = succeed(
        cluster
            .command_on(1, "sh")
            .args(["-c", r#"ulimit -n 40 && exec "$@""#, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "facts_c_clients::child_without_descriptors", "--ignored", "--nocapture"]),
    );
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(text.contains("served with"), "{text}");
    let refused: Vec<_> = text.lines().filter_map(|line| line.split_once("refused: ")).collect();
    assert!(
        !refused.is_empty() && refused.iter().all(|(_, error)| error.contains("file descriptors")),
        "{text}"
    );
}

#[test]
fn c_names_are_bytes_with_a_length() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let longest = "n".repeat(127);
        let names = [
            name("c"),
            GroupName::with_nul("c").unwrap(),
            name("c "),
            name(&longest),
            name(&longest[..126]),
            GroupName::with_nul(&longest[..126]).unwrap(),
            GroupName::new([0xff, 0x80, b'\n']).unwrap(),
        ];
        let groups = names.each_ref().map(|name| Handle::connect().unwrap().join(name).unwrap());
        let mut read: Vec<_> = groups[0].daemon().groups().unwrap();
        let mut names = names.to_vec();
        names.sort();
        read.sort();
        assert_eq!(read, names);
        for group in &groups {
            assert_eq!(group.members().unwrap(), [group.me()]);
        }
    });
}

#[test]
fn c_an_error_of_connecting_has_no_handle_and_uses_no_entry() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        cluster.kill(1).unwrap();
        // There are more attempts than the table has entries, so failed ones must not count.
        for _ in 0..100 {
            let error = Handle::connect().unwrap_err();
            assert!(matches!(error, Error::Cs { call: "cpg_model_initialize", .. }), "{error}");
        }
        cluster.restart(1).unwrap();
        Handle::connect().unwrap().close().unwrap();
    });
}
