//! Groups with more members than libcpg has room for (A8), and replies that are longer than its header says (A9).

use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::support::process::own_process;
use crate::support::ring::stand_still;
use crate::support::{Members, asleep_after, crew_works, deadline, join, name, pump, views, wait_for};
use cpg::{Error, Event, Group, GroupName, Handle, Limits, Member, Session};
use testcluster::Cluster;

/// Starts `count` members in several steps, because the daemon lets only so many connect at once.
fn start(cluster: &Cluster, node: u32, group: &GroupName, count: usize) -> Vec<Members> {
    let counts = (0..count).step_by(32).map(|started| (count - started).min(32));
    counts.map(|count| Members::start(cluster, node, group, count)).collect()
}

fn assert_too_large<T: std::fmt::Debug>(result: Result<T, Error>, count: usize) {
    match result {
        Err(Error::GroupTooLarge { members, limit: 128 }) => assert_eq!(members, count),
        other => panic!("{other:?}"),
    }
}

/// Dispatches until a view has so many members. No view may have more.
fn until_members(group: &mut Group, count: usize) {
    let events = pump(group, |events| views(events).any(|view| view.members().len() == count));
    assert!(views(&events).all(|view| view.members().len() <= 128 && view.includes_me()));
}

/// Dispatches until there is an error, and returns the error. No event may have a list that is too long.
fn until_error(group: &mut Group) -> Error {
    loop {
        let result = group.dispatch(Limits::one().until(deadline()), |_, event| {
            if let Event::ConfChg(view) = event {
                assert!(view.members().len() <= 128 && view.joined().len() <= 128, "{view:?}");
            }
        });
        match result {
            Ok(handled) => assert_eq!(handled, 1, "no error came"),
            Err(error) => return error,
        }
    }
}

#[test]
fn a8_a_group_of_128_members_is_not_joined() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let group = name("full");
        let _members = start(&cluster, 1, &group, 128);
        let error = Handle::connect().unwrap().join_until(&group, deadline()).unwrap_err();
        assert!(matches!(error.error(), Error::GroupTooLarge { members: 128, limit: 128 }), "{error:?}");
        // The handle has not been in a group, so it can join another one.
        let handle = error.into_handle().unwrap();
        assert_eq!(handle.members_of(&group).unwrap().len(), 128);
        let mut other = handle.join_until("other", deadline()).unwrap();
        until_members(&mut other, 1);
        other.leave().unwrap();
    });
}

#[test]
fn a8_a_group_with_more_than_128_members_is_no_longer_dispatched() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("growing");
        let group_name = group.name().clone();
        let _members = start(&cluster, 1, &group_name, 126);
        until_members(&mut group, 127);
        let mut last = Members::start(&cluster, 1, &group_name, 1);
        until_members(&mut group, 128);
        // The group works while it is full.
        last.tell("send full");
        let messages = pump(&mut group, |events| crate::support::messages(events).next().is_some());
        assert_eq!(messages.len(), 1);

        let _one_more = Members::start(&cluster, 1, &group_name, 1);
        assert_too_large(Err::<(), _>(until_error(&mut group)), 129);
        assert_too_large(group.dispatch(Limits::available(), |_, event| panic!("{event:?}")), 129);
        drop(group);
        let handle = Handle::connect().unwrap();
        wait_for("the handle to go", || {
            (handle.processes_of(&group_name).unwrap().len() == 128).then_some(())
        });
        join("another").leave().unwrap();
    });
}

#[test]
fn a8_a_list_that_is_too_long_is_an_error_and_not_a_view() {
    let cluster = Cluster::start(2).unwrap();
    cluster.partition(&[&[1], &[2]]).unwrap();
    cluster.on(1, || {
        let group_name = name("merged");
        let _here = start(&cluster, 1, &group_name, 69);
        let _there = start(&cluster, 2, &group_name, 70);
        let mut group = join("merged");
        until_members(&mut group, 70);
        // One view takes the group from 70 to 140 members, so a count before the view cannot warn.
        cluster.heal().unwrap();
        assert_too_large(Err::<(), _>(until_error(&mut group)), 140);
        // Later views would not follow from the last one that the group got.
        group.send(b"after").unwrap();
        for _ in 0..3 {
            assert_too_large(group.dispatch(Limits::available(), |_, event| panic!("{event:?}")), 140);
        }
    });
}

#[test]
fn a9_all_members_of_a_large_group_are_read() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let handle = Handle::connect().unwrap();
        let group = name("large");
        let mut expected = 0;
        let mut started = Vec::new();
        for count in [126, 3, 32, 139] {
            started.push(start(&cluster, 1, &group, count));
            expected += count;
            let members: BTreeSet<Member> = handle.members_of(&group).unwrap().into_iter().collect();
            assert_eq!(members.len(), expected);
            let one_by_one: BTreeSet<Member> =
                handle.processes_of(&group).unwrap().into_iter().map(|process| process.member()).collect();
            assert_eq!(members, one_by_one);
            assert_eq!(handle.processes().unwrap().len(), expected);
        }
        assert_eq!(expected, 300);
    });
}

#[test]
fn a8_a_group_that_was_too_large_stays_refused_when_it_has_shrunk() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("shrinking");
        shrinks(&cluster, "shrinking", |limits, handler| group.dispatch(limits, |_, event| handler(event)));
    });
}

#[test]
fn a8_a_session_whose_group_was_too_large_stays_refused_when_it_has_shrunk() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let options = Session::options();
        for (options, group) in [(options, "shrinking"), (options.coalesce(), "shrinking with packets")] {
            let mut session = crate::support::join_with(options, group);
            shrinks(&cluster, group, |limits, handler| session.dispatch(limits, |_, event| handler(event)));
        }
    });
}

/// Runs the test with a member of `group` that takes its events with `dispatch`.
fn shrinks(
    cluster: &Cluster,
    group: &str,
    mut dispatch: impl FnMut(Limits<'_>, &mut dyn FnMut(Event<'_>)) -> cpg::Result<usize>,
) {
    let (group, handle) = (name(group), Handle::connect().unwrap());
    let _members = start(cluster, 1, &group, 126);
    let leaves = Members::start(cluster, 1, &group, 1);
    let mut members = 0;
    while members < 128 {
        let handled = dispatch(Limits::one().until(deadline()), &mut |event| match event {
            Event::ConfChg(view) => members = view.members().len(),
            event => panic!("{event:?}"),
        });
        assert_eq!(handled.unwrap(), 1, "with {members} members nothing more came");
    }
    assert_eq!(members, 128);
    let count = || handle.processes_of(&group).unwrap().len();
    // The next view is small enough; the view after it is too large.
    drop(leaves);
    wait_for("the first one to go", || (count() == 127).then_some(()));
    let _another = Members::start(cluster, 1, &group, 1);
    let one_more = Members::start(cluster, 1, &group, 1);
    let mut too_large = || {
        assert_too_large(dispatch(Limits::available(), &mut |event| panic!("{event:?}")), 129);
    };
    too_large();
    drop(one_more);
    wait_for("the last one to go", || (count() == 128).then_some(()));
    (0..3).for_each(|_| too_large());
}

#[test]
fn a8_a_group_that_fills_up_while_it_is_joined_is_not_dispatched() {
    own_process!();
    // A paused member of the ring stops the delivery of joins, for as long as the token's time.
    let cluster = Cluster::builder().nodes(2).token(Duration::from_secs(10)).start().unwrap();
    cluster.on(1, || {
        let group = name("filling up");
        let _members = start(&cluster, 1, &group, 126);
        let handle = Handle::connect().unwrap();
        stand_still(&cluster);
        let _earlier = [(); 2].map(|()| Members::start_joining(&cluster, 1, &group));
        let (tell, told) = channel();
        let joining = cluster.spawn_on(1, move || {
            // SAFETY: `gettid` has no precondition.
            tell.send(unsafe { libc::gettid() }).unwrap();
            handle.join_until(&group, deadline())
        });
        // It has counted 126 and asked to join when it has nothing to do any more, nor has the thread that asks.
        let thread = told.recv().unwrap();
        let mut idle = 0;
        wait_for("the join to wait", || {
            idle = if asleep_after(thread).is_some() && !crew_works() { idle + 1 } else { 0 };
            (idle == 10).then_some(())
        });
        cluster.resume(2).unwrap();
        let refused = joining.join().unwrap().unwrap_err();
        assert!(matches!(refused.error(), Error::GroupTooLarge { members: 129, limit: 128 }), "{refused:?}");
        assert!(refused.into_handle().is_none());
    });
}

#[test]
fn a9_asking_for_more_members_than_the_reply_holds_does_not_end_the_daemon() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let group = name("huge");
        let _members = start(&cluster, 1, &group, 400);
        let handle = Handle::connect().unwrap();
        assert_eq!(handle.members_of(&group).unwrap().len(), 400);
        assert_eq!(handle.local_node().unwrap().get(), 1);
    });
}

#[test]
fn a9_a_member_gets_all_members_although_the_reply_holds_fewer() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("outgrown");
        until_members(&mut group, 1);
        let group_name = group.name().clone();
        // The last view has 1 member, and the joins since then wait to be dispatched.
        let _members = start(&cluster, 1, &group_name, 399);
        assert_eq!(group.members().unwrap().len(), 400);
        assert_eq!(group.daemon().local_node().unwrap(), group.me().node());
    });
}
