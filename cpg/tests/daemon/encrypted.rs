//! Clusters whose daemons encrypt their traffic, which the next corosync requires. Clients notice no difference.

use std::time::Duration;

use crate::support::{deadline, join, join_with, payloads, pump, pump_session, receive, split_with, views};
use cpg::{Flow, OwnedEvent, Reconnect, Session};
use testcluster::Cluster;

fn encrypted(nodes: u32) -> Cluster {
    Cluster::builder().nodes(nodes).token(Duration::from_millis(500)).encrypted().start().unwrap()
}

#[test]
fn messages_of_every_length_are_delivered_whole_and_in_one_order() {
    let cluster = encrypted(2);
    let mut there = cluster.on(2, || join("lengths"));
    cluster.on(1, || {
        let mut here = join("lengths");
        let most = here.daemon().max_atomic_message_size();
        let lengths = [0, 1, 1400, 1500, 100_000, most, most + 1, 3 << 20];
        for (number, length) in (0_u8..).zip(lengths) {
            let group = if number % 2 == 0 { &here } else { &there };
            group.send_until(&vec![number; length], deadline()).unwrap();
        }
        let heard = payloads(&mut here, lengths.len());
        assert!(heard.iter().map(Vec::len).collect::<std::collections::BTreeSet<_>>() == lengths.into());
        assert!(heard.iter().all(|bytes| bytes.iter().all(|byte| *byte == bytes[0])));
        assert!(payloads(&mut there, lengths.len()) == heard);
    });
}

#[test]
fn packets_are_delivered_and_views_show_a_partition_and_its_end() {
    let cluster = encrypted(3);
    let mut there = cluster.on(3, || join("parted"));
    cluster.on(1, || {
        let mut here = join("parted");
        pump(&mut here, |events| views(events).any(|view| view.members().len() == 2));
        cluster.partition(&[&[1, 2], &[3]]).unwrap();
        pump(&mut here, |events| views(events).any(|view| view.members().len() == 1));
        cluster.heal().unwrap();
        pump(&mut here, |events| views(events).any(|view| view.members().len() == 2));
        there.send_until(b"healed", deadline()).unwrap();
        assert_eq!(payloads(&mut here, 1), [b"healed"]);
        assert_eq!(payloads(&mut there, 1), [b"healed"]);

        let (sender, mut receiver) = split_with(Flow::coalesced(), "packed");
        let sent: Vec<_> = (0..1000_u32).map(|number| number.to_le_bytes().to_vec()).collect();
        for message in &sent {
            sender.send(message).unwrap();
        }
        assert_eq!(receive(&mut receiver, sent.len()), sent);
    });
}

#[test]
fn a_session_rejoins_after_a_restart_of_its_daemon() {
    let cluster = encrypted(2);
    cluster.on(1, || {
        let mut session = join_with(Session::options().reconnect(Reconnect::new()), "back");
        cluster.kill(1).unwrap();
        cluster.restart(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Rejoined(_))));
        session.send(b"back").unwrap();
        pump_session(&mut session, |events| crate::support::messages(events).next().is_some());
    });
}
