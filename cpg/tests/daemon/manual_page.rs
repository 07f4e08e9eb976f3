//! The promises of `cpg_model_initialize(3)`: model V1, its flag, the reasons, the ring and the errors.
//!
//! Of the errors on the page, the test for `CS_ERR_NO_MEMORY` is here, and that for `CS_ERR_ACCESS` in
//! `facts_c_clients.rs`. Those of other calls are `CS_ERR_LIBRARY` (`facts_b_lost.rs`), `CS_ERR_TRY_AGAIN`
//! (`starting.rs`, `facts_b_sending.rs`) and `CS_ERR_INTERRUPT` (the same). A daemon cannot give the other errors
//! through this crate:
//! - `CS_ERR_INVALID_PARAM`: for another model or an unknown flag, which the crate does not pass (`lib/cpg.c`), and for a
//!   request above a mebibyte (`exec/main.c`), where libcpg begins to send parts.
//! - `CS_ERR_NOT_SUPPORTED`: for a daemon with System V or POSIX queues (libqb `lib/ipcc.c`), which corosync never asks for.
//! - `CS_ERR_MESSAGE_ERROR`: for `EBADMSG` (`common_lib/error_conversion.c`), which libqb does not give to a connecting client.
//! - `CS_ERR_INTERRUPT` from connecting: libqb continues after a signal.

use std::process::Stdio;

use crate::support::{Members, deadline, join, messages, name, pump, views};
use cpg::{
    ConnectOptions, CsError, Event, Group, Handle, Limits, Member, NodeId, OwnedRing, Reason, TotemEvents,
};
use testcluster::Cluster;

fn nodes(ids: &[u32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId::new).collect()
}

fn join_with(totem: TotemEvents, group: &str) -> Group {
    ConnectOptions::new().totem_events(totem).connect().unwrap().join_until(group, deadline()).unwrap()
}

/// Returns the kinds of the next `count` events, and the rings among them.
fn kinds(group: &mut Group, count: usize) -> (Vec<&'static str>, Vec<OwnedRing>) {
    let (mut kinds, mut rings) = (Vec::new(), Vec::new());
    while kinds.len() < count {
        let how = Limits::one().until(deadline());
        let handled = group.dispatch(how, |_, event| {
            kinds.push(match event {
                Event::Deliver(_) => "message",
                Event::ConfChg(_) => "view",
                Event::TotemConfChg(ring) => {
                    rings.push(ring.into_owned());
                    "ring"
                }
                other => panic!("{other:?}"),
            });
        });
        assert_eq!(handled.unwrap(), 1, "after {kinds:?}");
    }
    (kinds, rings)
}

#[test]
fn the_three_callbacks_are_called_with_and_without_the_flag() {
    let cluster = Cluster::start(2).unwrap();
    let [mut none, mut changes, mut initial] = cluster.on(1, || {
        [
            join_with(TotemEvents::None, "none"),
            join_with(TotemEvents::Changes, "changes"),
            join_with(TotemEvents::InitialAndChanges, "initial"),
        ]
    });
    for group in [&none, &changes, &initial] {
        group.send(b"first").unwrap();
    }
    // Only with the flag, the existing ring comes after the first view.
    assert_eq!(kinds(&mut none, 2).0, ["view", "message"]);
    assert_eq!(kinds(&mut changes, 2).0, ["view", "message"]);
    let (order, rings) = kinds(&mut initial, 3);
    assert_eq!(order, ["view", "ring", "message"]);
    assert_eq!(rings[0].members(), nodes(&[1, 2]));

    cluster.kill(2).unwrap();
    for group in [&none, &changes, &initial] {
        group.send_until(b"second", deadline()).unwrap();
    }
    assert_eq!(kinds(&mut none, 1).0, ["message"]);
    for group in [&mut changes, &mut initial] {
        let (order, new) = kinds(group, 2);
        assert_eq!(order, ["ring", "message"]);
        assert_eq!(new[0].members(), nodes(&[1]));
        assert!(new[0].id() > rings[0].id());
    }
}

#[test]
fn a_handle_without_a_group_gets_events_about_rings() {
    let cluster = Cluster::start(2).unwrap();
    let mut handle = cluster.on(1, Handle::connect).unwrap();
    cluster.kill(2).unwrap();
    let mut rings = Vec::new();
    let how = Limits::one().until(deadline());
    let handled = handle.dispatch(how, |handle, ring| {
        assert_eq!(handle.local_node().unwrap(), NodeId::new(1));
        rings.push(ring.into_owned());
    });
    assert_eq!((handled.unwrap(), rings.len()), (1, 1));
    assert_eq!(rings[0].members(), nodes(&[1]));
}

#[test]
fn every_reason_occurs_in_views() {
    let cluster = Cluster::start(2).unwrap();
    let mut group = cluster.on(1, || join("reasons"));
    let me = group.me();
    // The first view whose list is not empty, with the reasons of the members in it.
    let next = |group: &mut Group, joined: bool| -> (Member, Reason) {
        let list = |view: &cpg::OwnedView| if joined { view.joined().to_vec() } else { view.left().to_vec() };
        let events = pump(group, |events| views(events).any(|view| !list(view).is_empty()));
        assert_eq!(messages(&events).count(), 0);
        for view in views(&events) {
            assert!(view.members().iter().all(|member| member.reason() == Reason::Undefined), "{view:?}");
        }
        let changed = views(&events).map(list).find(|list| !list.is_empty()).unwrap();
        assert_eq!(changed.len(), 1);
        (changed[0], changed[0].reason())
    };
    assert_eq!(next(&mut group, true), (me, Reason::Join));
    let mut leaves = Members::start(&cluster, 2, &name("reasons"), 1);
    let them = Member::new(NodeId::new(2), leaves.pid());
    assert_eq!(next(&mut group, true), (them, Reason::Join));
    leaves.tell("leave");
    assert_eq!(next(&mut group, false), (them, Reason::Leave));
    drop(leaves);
    let stays = Members::start(&cluster, 2, &name("reasons"), 1);
    let them = Member::new(NodeId::new(2), stays.pid());
    assert_eq!(next(&mut group, true), (them, Reason::Join));
    cluster.partition(&[&[1], &[2]]).unwrap();
    assert_eq!(next(&mut group, false), (them, Reason::NodeDown));
    cluster.heal().unwrap();
    assert_eq!(next(&mut group, true), (them, Reason::NodeUp));
    drop(stays);
    assert_eq!(next(&mut group, false), (them, Reason::ProcDown));
}

#[test]
fn a_ring_has_a_growing_number_and_the_lowest_node() {
    let cluster = Cluster::start(3).unwrap();
    let mut group = cluster.on(2, || join_with(TotemEvents::InitialAndChanges, "rings"));
    let mut last: Option<OwnedRing> = None;
    let mut ring_of = |group: &mut Group, members: &[u32]| {
        loop {
            let how = Limits::one().until(deadline());
            let mut new = None;
            let handled = group.dispatch(how, |_, event| {
                if let Event::TotemConfChg(ring) = event {
                    new = Some(ring.into_owned());
                }
            });
            assert_eq!(handled.unwrap(), 1, "no ring of {members:?}");
            let Some(ring) = new else { continue };
            assert_eq!(ring.members().iter().min(), Some(&ring.id().node()));
            if let Some(last) = last.replace(ring.clone()) {
                assert!(ring.id().seq() > last.id().seq(), "{last:?} then {ring:?}");
            }
            if ring.members() == nodes(members) {
                return;
            }
        }
    };
    ring_of(&mut group, &[1, 2, 3]);
    cluster.kill(3).unwrap();
    ring_of(&mut group, &[1, 2]);
    cluster.kill(1).unwrap();
    ring_of(&mut group, &[2]);
    cluster.restart(1).unwrap();
    ring_of(&mut group, &[1, 2]);
}

/// Is the child in [`out_of_memory_is_an_error`].
#[test]
#[ignore = "a part of another test, which limits the memory of its process"]
fn child_without_memory() {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split(' ').next().unwrap().parse().unwrap();
    // The limit is the current size, the stacks of the two threads that connect, and less than one ring buffer.
    let limit = libc::rlimit { rlim_cur: pages * 4096 + (5 << 19), rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it reads a struct that is there.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
    let refused = Handle::connect().unwrap_err();
    assert_eq!(refused.code(), Some(CsError::NoMemory), "{refused}");
    assert!(refused.to_string().contains("memory"), "{refused}");
    println!("refused");
}

#[test]
fn out_of_memory_is_an_error() {
    let cluster = Cluster::start(1).unwrap();
    let child = cluster
        .command_on(1, std::env::current_exe().unwrap())
        .args(["--exact", "manual_page::child_without_memory", "--ignored", "--nocapture"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(text.contains("refused"), "{text}{}", String::from_utf8_lossy(&child.stderr));
}
