//! Ghosts: members that stay in a group although their node is gone (B26).

use std::fs;
use std::sync::mpsc;

use cpg::{ConnectOptions, Event, Group, Limits, Member, OwnedRing, Reason, TotemEvents};
use testcluster::{Cluster, State};

use crate::support::{deadline, join, wait_for};

const CONFIGURATION: &str = "/run/testcluster/corosync.conf";

/// A daemon with an older configuration joins the ring of the others, reads their configuration while the services
/// agree, and exits. In this way corosync makes a ghost nearly every time. A mended corosync would make none.
#[test]
fn b26_the_ring_shows_a_member_whose_daemon_died_while_services_agreed() {
    let nodes = 5;
    let newer = |text: String| text.replace("totem {\n", "totem {\n    config_version: 2\n");
    let cluster = Cluster::builder().nodes(nodes).config(newer).start().unwrap();
    cluster.on(1, || {
        let text = fs::read_to_string(CONFIGURATION).unwrap();
        fs::write(CONFIGURATION, text.replace("config_version: 2", "config_version: 1")).unwrap();
    });
    let options = ConnectOptions::new().totem_events(TotemEvents::InitialAndChanges);
    let mut group = cluster.on(1, || options.join_until("ghost", deadline()).unwrap());
    let others: Vec<u32> = (1..nodes).collect();
    let mut ghosts = Vec::new();
    for _ in 0..10 {
        cluster.wait_after_changes(true);
        cluster.partition(&[&others, &[nodes]]).unwrap();
        cluster.restart(nodes).unwrap();
        let (say, joined) = mpsc::channel();
        let member = cluster.spawn_on(nodes, move || {
            let mut group = join("ghost");
            say.send(group.me()).unwrap();
            // Until the daemon of this node is dead.
            while group.dispatch(Limits::one().until(deadline()), |_, _| ()).is_ok_and(|count| count > 0) {}
        });
        let who = joined.recv().unwrap();
        cluster.wait_after_changes(false);
        cluster.heal().unwrap();
        wait_for("the daemon to exit", || (cluster.state(nodes) == State::Dead).then_some(()));
        cluster.kill(nodes).unwrap();
        cluster.settle().unwrap();
        member.join().unwrap();

        // All earlier events come before a message that is sent now.
        group.send_until(b"now", deadline()).unwrap();
        let (mut members, mut ring, mut all) = (Vec::<Member>::new(), None::<OwnedRing>, false);
        while !all {
            let handler = |_: &_, event: Event<'_>| match event {
                Event::ConfChg(view) => members = view.members().to_vec(),
                Event::TotemConfChg(now) => {
                    ghosts = now.ghosts(&members).collect();
                    ring = Some(now.into_owned());
                }
                _ => all = true,
            };
            assert_ne!(group.dispatch(Limits::one().until(deadline()), handler).unwrap(), 0, "{ring:?}");
        }
        let ring = ring.expect("nodes have come and gone");
        let gone: Vec<Member> = members.iter().copied().filter(|&member| member == who).collect();
        assert_eq!(ghosts, gone, "of {members:?} on {ring:?}");
        // The list of the daemon has the same ghosts.
        let listed = group.members().unwrap();
        assert_eq!(ring.ghosts(&listed).collect::<Vec<_>>(), gone, "{listed:?}");
        if !ghosts.is_empty() {
            ends_with_the_next_ring(&cluster, &mut group, &ghosts);
            return;
        }
    }
    println!("this corosync makes no ghosts");
}

/// Once services agree again, each daemon removes the processes of other nodes that nobody has told it of
/// (`exec/cpg.c`, `joinlist_remove_zombie_pi_entries`).
fn ends_with_the_next_ring(cluster: &Cluster, group: &mut Group, ghosts: &[Member]) {
    let nodes = cluster.nodes();
    cluster.on(1, || {
        let text = fs::read_to_string(CONFIGURATION).unwrap();
        fs::write(CONFIGURATION, text.replace("config_version: 1", "config_version: 2")).unwrap();
    });
    cluster.restart(nodes).unwrap();
    cluster.settle().unwrap();
    group.send_until(b"now", deadline()).unwrap();
    let mut left = Vec::new();
    let mut all = false;
    while !all {
        let handler = |_: &_, event: Event<'_>| match event {
            Event::ConfChg(view) => left.extend_from_slice(view.left()),
            Event::Deliver(_) => all = true,
            _ => {}
        };
        assert_ne!(group.dispatch(Limits::one().until(deadline()), handler).unwrap(), 0, "{left:?}");
    }
    assert_eq!(left, ghosts);
    assert!(left.iter().all(|ghost| ghost.reason() == Reason::ProcDown), "{left:?}");
    assert!(ghosts.iter().all(|ghost| !group.members().unwrap().contains(ghost)));
}
