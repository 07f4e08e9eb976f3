//! Fact A8: a session of tasks in a group with as many members as libcpg has room for.
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};

use crate::support::fork::{child, ensure, fork, reap, refused};
use crate::support::process::own_process;
use crate::support::tasks::{by_hand, current, message, polled, soon, ticks};
use crate::support::{Members, join_with, name, readable};
use cpg::tokio::Session;
use cpg::{ConnectOptions, Error, OwnedEvent, TotemEvents};
use testcluster::Cluster;

/// Returns a session with 127 other members, whose views have been handled, and its descriptor.
async fn full(cluster: &Cluster, group: &'static str) -> (Vec<Members>, Session, RawFd) {
    // The daemon lets only so many connect at once.
    let members = [32, 32, 32, 31].map(|count| Members::start(cluster, 1, &name(group), count));
    let joining = tokio::task::spawn_blocking(move || {
        let connect = ConnectOptions::new().totem_events(TotemEvents::None);
        join_with(cpg::Session::options().connect_options(connect), group)
    });
    let session = joining.await.unwrap();
    let fd = session.as_raw_fd();
    let mut session = Session::new(session).unwrap();
    loop {
        if let OwnedEvent::ConfChg(view) = soon(session.recv()).await.unwrap() {
            assert_eq!(view.members().len(), 128);
            return (members.into(), session, fd);
        }
    }
}

#[test]
fn members_are_not_counted_before_there_is_an_event() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        current().block_on(async {
            let (_members, mut session, fd) = full(&cluster, "counted").await;
            // A count that began here would be of a group that is not too large.
            assert!(polled(1, session.recv()).await.is_none());
            assert_eq!(soon(session.members()).await.unwrap().len(), 128);
            let _one_more = Members::start(&cluster, 1, &name("counted"), 1);
            let refused = soon(session.recv()).await.unwrap_err();
            assert!(matches!(refused, Error::GroupTooLarge { members: 129, limit: 128 }), "{refused}");
            // SAFETY: the session keeps it open.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            assert!(readable(fd), "the event that libcpg has no room for was taken");
        });
    });
}

#[test]
fn a_full_group_is_counted_on_another_thread_and_refused_if_it_is_too_large() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        current().block_on(async {
            let (_members, mut session, _) = full(&cluster, "full of tasks").await;
            session.send(b"x").unwrap();
            assert_eq!(soon(message(&mut session)).await, b"x");

            session.send(b"y").unwrap();
            soon(session.members()).await.unwrap();
            cluster.pause(1).unwrap();
            assert!(polled(1, session.recv()).await.is_none());
            let pid = fork();
            if pid == 0 {
                child(move || {
                    // A child does not have the thread that counts.
                    ensure!(refused(by_hand(session.recv())));
                    0
                });
            }
            reap(pid);
            let receiving = tokio::spawn(async move { (message(&mut session).await, session) });
            for _ in 0..5 {
                ticks().await;
                assert!(!receiving.is_finished(), "the members of a full group are counted");
            }
            cluster.resume(1).unwrap();
            let (heard, mut session) = soon(receiving).await.unwrap();
            assert_eq!(heard, b"y");

            let _one_more = Members::start(&cluster, 1, &name("full of tasks"), 1);
            let refused = soon(session.recv()).await.unwrap_err();
            assert!(matches!(refused, Error::GroupTooLarge { members: 129, limit: 128 }), "{refused}");
        });
    });
}
