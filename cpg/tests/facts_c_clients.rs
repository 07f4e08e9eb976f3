//! Section C of the facts: names as they are, and clients that the daemon cannot or will not serve.

mod support;

use std::process::Stdio;

use cpg::{CsError, Error, GroupName, Handle};
use support::other_user::{NOBODY, become_nobody, real_root};
use support::{join, name};
use testcluster::Cluster;

#[test]
fn c_another_user_is_refused_and_told_how_to_be_let_in() {
    if !real_root() {
        println!("passed over: there is one user in this namespace");
        return;
    }
    let cluster = Cluster::start(1).unwrap();
    let refused = cluster.on(1, || {
        become_nobody();
        Handle::connect().unwrap_err()
    });
    assert_eq!(refused.code(), Some(CsError::Access));
    assert!(!refused.is_connection_lost() && !refused.is_retryable());
    assert!(refused.to_string().contains("uidgid { uid:"), "{refused}");
    assert_eq!(std::io::Error::from(refused).kind(), std::io::ErrorKind::PermissionDenied);

    // The remedy that the error names.
    let allowed = format!("uidgid {{\n    uid: {NOBODY}\n}}\n");
    let cluster = Cluster::builder().config(move |text| text + &allowed).start().unwrap();
    cluster.on(1, || {
        become_nobody();
        join("c allowed").leave().unwrap();
    });
}

#[test]
fn c_a_client_that_does_not_see_the_shared_memory_is_told_so() {
    let cluster = Cluster::start(1).unwrap();
    let refused = cluster.on(1, || {
        // SAFETY: the thread gets a mount namespace of its own; it shares no file system state already.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
        let mounted = ["tmpfs", "/dev/shm"].map(|text| std::ffi::CString::new(text).unwrap());
        let [tmpfs, shm] = mounted.each_ref().map(|text| text.as_ptr());
        // SAFETY: the strings end with a NUL and outlive the call, and there are no data.
        assert_eq!(unsafe { libc::mount(tmpfs, shm, tmpfs, 0, std::ptr::null()) }, 0);
        Handle::connect().unwrap_err()
    });
    assert_eq!(refused.code(), Some(CsError::NotExist));
    assert!(refused.to_string().contains("does not see the daemon's /dev/shm"), "{refused}");
}

/// What the child does in [`a14_running_out_of_descriptors_is_a_clear_error`].
#[test]
#[ignore = "a part of another test, which lowers the limit of descriptors"]
fn child_without_descriptors() {
    // The lowest numbers are free, and whose they are matters: libqb closes 0 when it has no socket to close.
    let mut taken = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        taken.push(file);
    }
    for _ in 0..10 {
        match Handle::connect() {
            Ok(_) => println!("served with {} descriptors taken", taken.len()),
            Err(error) => println!("refused: {error}"),
        }
        assert!(std::fs::metadata("/proc/self/fd/0").is_ok(), "descriptor 0 was closed");
        taken.pop();
    }
    drop(taken);
    join("c descriptors").leave().unwrap();
}

#[test]
fn a14_running_out_of_descriptors_is_a_clear_error() {
    let cluster = Cluster::start(1).unwrap();
    let child = cluster
        .command_on(1, "sh")
        .args(["-c", r#"ulimit -n 40 && exec "$@""#, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child_without_descriptors", "--ignored", "--nocapture"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{text}{}", String::from_utf8_lossy(&child.stderr));
    assert!(text.contains("served with"), "{text}");
    let refused: Vec<_> = text.lines().filter_map(|line| line.split_once("refused: ")).collect();
    assert!(
        !refused.is_empty() && refused.iter().all(|(_, error)| error.contains("file descriptors")),
        "{text}"
    );
}

#[test]
fn c_names_are_a_length_and_bytes() {
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
        let mut read: Vec<_> = groups[0].daemon().groups().unwrap().map(Result::unwrap).collect();
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
fn c_an_error_of_connecting_has_no_handle_and_takes_none() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        cluster.kill(1).unwrap();
        // More than the table holds, so none is counted.
        for _ in 0..100 {
            let error = Handle::connect().unwrap_err();
            assert!(matches!(error, Error::Cs { call: "cpg_model_initialize", .. }), "{error}");
        }
        cluster.restart(1).unwrap();
        Handle::connect().unwrap().close().unwrap();
    });
}
