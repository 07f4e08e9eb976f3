//! Views of real groups, and the methods of views.

use std::os::fd::AsFd as _;

use crate::support::{Members, deadline, join, name, pump, readable, views, wait_for};
use cpg::{Event, Handle, Limits, Member, NodeId, OwnedEvent, Session};
use testcluster::Cluster;

#[test]
fn a_view_lists_the_members_of_each_node() {
    let cluster = Cluster::start(3).unwrap();
    // Node 1 has no member, node 2 this process and two others, node 3 three.
    let _second = Members::start(&cluster, 2, &name("answers"), 2);
    let _third = Members::start(&cluster, 3, &name("answers"), 3);
    let mut group = cluster.on(2, || join("answers"));
    let me = group.me();
    let events = pump(&mut group, |events| views(events).next().is_some());
    let view = views(&events).next().unwrap();
    assert_eq!((view.members().len(), view.joined(), view.left()), (6, &[me][..], &[][..]));
    assert!(view.includes_me() && view.contains(me));
    let on = |node| view.on_node(NodeId::new(node)).collect::<Vec<_>>();
    assert_eq!((on(1).len(), on(2).len(), on(3).len(), on(4).len()), (0, 3, 3, 0));
    assert!(on(2).contains(&me) && !on(3).contains(&me));
    assert_eq!(view.lowest(), on(2).into_iter().min());
    assert!(!view.contains(Member::new(NodeId::new(3), me.pid())));

    // The borrowed and the owned view are equal.
    let borrowed = view.as_view();
    assert_eq!(borrowed.into_owned(), *view);
    assert_eq!(borrowed.lowest(), view.lowest());
    assert_eq!(borrowed.on_node(NodeId::new(3)).collect::<Vec<_>>(), on(3));
    assert!(borrowed.includes_me() && borrowed.contains(me));
    // The answer of the daemon has the same members.
    let mut members = group.members().unwrap();
    members.sort_unstable();
    let mut listed = view.members().to_vec();
    listed.sort_unstable();
    assert_eq!(members, listed);
}

#[test]
fn the_view_of_this_members_leave_does_not_include_it() {
    let cluster = Cluster::start(2).unwrap();
    let c = Members::start(&cluster, 2, &name("gone"), 1);
    let them = Member::new(NodeId::new(2), c.pid());
    let mut seen = Vec::new();
    let group = cluster.on(1, || join("gone"));
    group
        .leave_until(deadline(), |_, event| {
            if let Event::ConfChg(view) = event {
                seen.push((view.includes_me(), view.contains(them), view.lowest() == Some(them)));
            }
        })
        .unwrap();
    assert_eq!(seen, [(true, true, false), (false, true, true)]);
}

#[test]
fn all_members_agree_on_the_lowest() {
    let cluster = Cluster::start(3).unwrap();
    let mut groups: Vec<_> = (1..=3).map(|node| cluster.on(node, || join("leader"))).collect();
    let lowest: Vec<_> = groups
        .iter_mut()
        .map(|group| {
            let events =
                pump(group, |events| views(events).last().is_some_and(|view| view.members().len() == 3));
            views(&events).last().unwrap().lowest().unwrap()
        })
        .collect();
    assert_eq!(lowest, [groups[0].me(); 3]);
    drop(groups.remove(0));
    for group in &mut groups {
        let events = pump(group, |events| views(events).next().is_some());
        assert_eq!(views(&events).next().unwrap().lowest().map(|member| member.node()), Some(NodeId::new(2)));
        assert_eq!(group.dispatch(Limits::available(), |_, _| panic!()).unwrap(), 0);
    }
}

/// Connects on node 1, and changes the ring before the handle joins.
fn handle_with_a_ring(cluster: &Cluster, change: impl FnOnce(&Cluster)) -> Handle {
    let handle = cluster.on(1, || Handle::connect().unwrap());
    change(cluster);
    wait_for("the ring", || readable(handle.as_fd()).then_some(()));
    handle
}

#[test]
fn a_session_begins_with_its_view_and_a_group_with_the_first_event_of_libcpg() {
    let cluster = Cluster::start(2).unwrap();
    let handle = handle_with_a_ring(&cluster, |cluster| cluster.kill(2).unwrap());
    let mut group = handle.join("rings").unwrap();
    let events = pump(&mut group, |events| events.len() == 2);
    assert!(matches!(events[..], [OwnedEvent::TotemConfChg(_), OwnedEvent::ConfChg(_)]), "{events:?}");
    group.leave().unwrap();

    let handle = handle_with_a_ring(&cluster, |cluster| cluster.restart(2).unwrap());
    let mut session = Session::options().join_on(handle, "rings").unwrap();
    let mut next = || session.recv_until(deadline()).unwrap().expect("it comes");
    let (first, second) = (next(), next());
    assert!(matches!(&first, OwnedEvent::ConfChg(view) if view.is_first()), "{first:?}");
    let OwnedEvent::TotemConfChg(ring) = second else { panic!("{second:?}") };
    assert_eq!(ring.members(), [1, 2].map(NodeId::new));
    session.leave().unwrap();
}
