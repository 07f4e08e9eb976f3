//! Facts B13 and B15: lists of groups and members, and views in a partition.

use crate::support::{Members, deadline, join, name, payloads, pump, views};
use cpg::{
    ConnectOptions, Event, Group, Handle, Member, NodeId, OwnedEvent, OwnedView, Process, Reason, TotemEvents,
};
use testcluster::Cluster;

#[test]
fn b13_lists_have_the_groups_and_processes_of_the_whole_cluster() {
    let cluster = Cluster::start(2).unwrap();
    let far = cluster.on(2, || join("b13"));
    cluster.on(1, || {
        let far = far;
        let (near, other) = (join("b13"), join("b13 other"));
        let many = Members::start(&cluster, 2, &name("b13 many"), 5);
        let handle = Handle::connect().unwrap();
        let mut groups = handle.groups().unwrap();
        groups.sort();
        assert_eq!(groups, [name("b13"), name("b13 many"), name("b13 other")]);

        let mut all = handle.processes().unwrap();
        assert_eq!(all.len(), 8);
        all.retain(|process| *process.group() != name("b13 many"));
        all.sort();
        let process = |group: &Group| Process::new(group.name().clone(), group.me());
        assert_eq!(all, [process(&near), process(&far), process(&other)]);

        let of = |group| -> Vec<Member> {
            let mut members: Vec<_> = handle
                .processes_of(name(group))
                .unwrap()
                .into_iter()
                .map(|process| process.member())
                .collect();
            members.sort_unstable();
            members
        };
        assert_eq!(of("b13"), [near.me(), far.me()]);
        assert_eq!(of("b13"), handle.members_of(name("b13")).unwrap());
        assert_eq!(of("b13 many").len(), 5);
        assert!(of("b13 many").iter().all(|member| member.node() == NodeId::new(2)));
        assert_eq!(of("b13 none"), []);
        assert_eq!(handle.members_of(name("b13 none")).unwrap(), []);
        drop(many);
    });
}

#[test]
fn b13_iterations_are_given_back() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let group = join("b13 back");
        // There are more iterations than the tables of libcpg and of the daemon have entries.
        for _ in 0..200 {
            assert_eq!(group.daemon().groups().unwrap(), [name("b13 back")]);
            assert_eq!(group.daemon().members_of(group.name()).unwrap(), [group.me()]);
        }
    });
}

fn last_view(group: &mut Group, members: &[Member]) -> (OwnedView, Vec<OwnedEvent>) {
    let events = pump(group, |events| views(events).last().is_some_and(|view| view.members() == members));
    (views(&events).last().unwrap().clone(), events)
}

#[test]
fn b15_both_sides_of_a_partition_go_on_and_merge_later() {
    let cluster = Cluster::start(3).unwrap();
    let mut groups: Vec<Group> = (1..=3).map(|node| cluster.on(node, || join("b15"))).collect();
    let all: Vec<Member> = groups.iter().map(|group| group.me()).collect();
    for group in &mut groups {
        last_view(group, &all);
    }
    cluster.partition(&[&[1, 2], &[3]]).unwrap();
    for (group, side) in groups.iter_mut().zip([&all[..2], &all[..2], &all[2..]]) {
        // The node may lose the others one by one.
        let (_, events) = last_view(group, side);
        let left: Vec<_> = views(&events).flat_map(OwnedView::left).copied().collect();
        let gone: Vec<_> = all.iter().filter(|member| !side.contains(member)).copied().collect();
        assert_eq!(left, gone);
        assert!(left.iter().all(|member| member.reason() == Reason::NodeDown), "{left:?}");
        // Sending needs no quorum.
        let text = format!("from the side of {side:?}");
        if side[0] == group.me() {
            group.send_until(text.as_bytes(), deadline()).unwrap();
        }
        assert_eq!(payloads(group, 1), [text.as_bytes()]);
        assert_eq!(group.members().unwrap(), side);
    }
    cluster.heal().unwrap();
    for (group, side) in groups.iter_mut().zip([&all[..2], &all[..2], &all[2..]]) {
        let (_, events) = last_view(group, &all);
        let joined: Vec<_> = views(&events).flat_map(OwnedView::joined).copied().collect();
        for member in all.iter().filter(|member| !side.contains(member)) {
            let back = joined.iter().rfind(|joined| *joined == member).unwrap();
            assert_eq!(back.reason(), Reason::NodeUp);
        }
    }
    groups[2].send_until(b"together", deadline()).unwrap();
    for group in &mut groups {
        assert_eq!(payloads(group, 1), [b"together"]);
    }
}

#[test]
fn b15_the_ring_comes_after_the_view_of_the_group() {
    let cluster = Cluster::start(2).unwrap();
    let mut group = cluster.on(1, || {
        let handle = ConnectOptions::new().totem_events(TotemEvents::Changes).connect().unwrap();
        handle.join_until(name("b15 ring"), deadline()).unwrap()
    });
    let other = cluster.on(2, || join("b15 ring"));
    let both = [group.me(), other.me()];
    last_view(&mut group, &both);
    cluster.kill(2).unwrap();
    let mut order = Vec::new();
    while order.last() != Some(&"ring") {
        let how = cpg::Limits::one().until(deadline());
        let handled = group.dispatch(how, |_, event| {
            order.push(match event {
                Event::ConfChg(change) => {
                    assert_eq!((change.members(), change.left()), (&both[..1], &both[1..]));
                    "view"
                }
                Event::TotemConfChg(ring) => {
                    assert_eq!(ring.members(), [NodeId::new(1)]);
                    "ring"
                }
                _ => "message",
            });
        });
        assert_eq!(handled.unwrap(), 1);
    }
    assert_eq!(order, ["view", "ring"]);
}
