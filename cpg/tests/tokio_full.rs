//! A session of tasks in a group with as many members as libcpg has room for (A8).
#![cfg(feature = "tokio")]

mod support;

use cpg::tokio::Session;
use cpg::{Error, OwnedEvent};
use support::tasks::{current, message, soon, ticks};
use support::{Members, name};
use testcluster::Cluster;

#[test]
fn a_full_group_is_counted_off_the_executor_and_not_dispatched_when_it_is_too_large() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let full = name("full of tasks");
        // The daemon lets only so many connect at once.
        let _members: Vec<_> =
            [32, 32, 32, 31].map(|count| Members::start(&cluster, 1, &full, count)).into_iter().collect();
        current().block_on(async {
            let mut session = soon(Session::join("full of tasks")).await.unwrap();
            loop {
                if let OwnedEvent::ConfChg(view) = soon(session.recv()).await.unwrap() {
                    assert_eq!(view.members().len(), 128);
                    break;
                }
            }
            soon(session.send(b"x")).await.unwrap();
            assert_eq!(soon(message(&mut session)).await, b"x");

            soon(session.send(b"y")).await.unwrap();
            soon(session.members()).await.unwrap();
            cluster.pause(1).unwrap();
            let receiving = tokio::spawn(async move { (message(&mut session).await, session) });
            for _ in 0..5 {
                ticks().await;
                assert!(!receiving.is_finished(), "the members of a full group are counted");
            }
            cluster.resume(1).unwrap();
            let (heard, mut session) = soon(receiving).await.unwrap();
            assert_eq!(heard, b"y");

            let _one_more = Members::start(&cluster, 1, &full, 1);
            let refused = soon(session.recv()).await.unwrap_err();
            assert!(matches!(refused, Error::GroupTooLarge { members: 129, limit: 128 }), "{refused}");
        });
    });
}
