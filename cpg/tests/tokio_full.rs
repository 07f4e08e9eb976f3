//! A group of tasks with as many members as libcpg has room for (A8).
#![cfg(feature = "tokio")]

mod support;

use cpg::tokio::Group;
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
            let mut group = soon(Group::join("full of tasks")).await.unwrap();
            loop {
                if let OwnedEvent::ConfChg(view) = soon(group.recv()).await.unwrap() {
                    assert_eq!(view.members().len(), 128);
                    break;
                }
            }
            soon(group.send(b"x")).await.unwrap();
            assert_eq!(soon(message(&mut group)).await, b"x");

            soon(group.send(b"y")).await.unwrap();
            soon(group.members()).await.unwrap();
            cluster.pause(1).unwrap();
            let receiving = tokio::spawn(async move { (message(&mut group).await, group) });
            for _ in 0..5 {
                ticks().await;
                assert!(!receiving.is_finished(), "the members of a full group are counted");
            }
            cluster.resume(1).unwrap();
            let (heard, mut group) = soon(receiving).await.unwrap();
            assert_eq!(heard, b"y");

            let _one_more = Members::start(&cluster, 1, &full, 1);
            let refused = soon(group.recv()).await.unwrap_err();
            assert!(matches!(refused, Error::GroupTooLarge { members: 129, limit: 128 }), "{refused}");
        });
    });
}
