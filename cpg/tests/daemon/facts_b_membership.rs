//! Facts B1 to B5: a handle has one membership, in one group, under one name.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::process::own_process;
use crate::support::ring::stand_still;
use crate::support::{Members, crew_works, deadline, join, name, pump, views, wait_for};
use cpg::{
    CsError, Daemon, Error, Event, Group, GroupName, Handle, NameError, OwnedEvent, Process, Reason, Session,
};
use testcluster::Cluster;
use testcluster::child::assert_ended;

/// Returns the groups that this process is in, according to the daemon.
fn memberships() -> Vec<Process> {
    let handle = Handle::connect().unwrap();
    let all = handle.processes().unwrap();
    all.into_iter().filter(|process| process.member().pid() == std::process::id()).collect()
}

#[test]
fn b1_nothing_can_be_sent_after_leaving() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let group = join("b1");
        let me = group.me();
        let mut c = Members::start(&cluster, 1, &name("b1"), 1);
        let mut events = 0;
        group
            .leave_until(deadline(), |link, _| {
                events += 1;
                assert!(matches!(link.send(b"lost"), Err(Error::Left)));
                assert!(matches!(link.send(&vec![0; 2 << 20]), Err(Error::Left)));
                assert!(matches!(link.send_vectored(&[]), Err(Error::Left)));
                assert!(matches!(link.send_until(b"lost", deadline()), Err(Error::Left)));
                assert!(matches!(link.zero_copy(4).unwrap().send(), Err(Error::Left)));
            })
            .unwrap();
        // The view of its join, that of the C member's join, and that of its leave.
        assert_eq!(events, 3);
        c.expect(|line| {
            assert!(!line.starts_with("deliver"), "{line}");
            line.contains(&format!("-{me}"))
        });
    });
}

/// If the type had a method of this name, the test would call it instead of this one, and not compile.
trait CannotSend {
    fn send(&self, _: &[u8]) -> &'static str {
        "there is no such method"
    }
}

impl CannotSend for Handle {}
impl CannotSend for Daemon {}

#[test]
fn b1_a_handle_that_is_not_joined_has_no_send() {
    let cluster = Cluster::start(1).unwrap();
    let handle = cluster.on(1, Handle::connect).unwrap();
    assert_eq!(handle.send(b"x"), "there is no such method");
    // The type to which the handle dereferences has no such method either.
    let daemon: &Daemon = &handle;
    assert_eq!(daemon.send(b"x"), "there is no such method");
}

#[test]
fn b2_after_leaving_a_new_connection_can_join_the_same_group_or_another() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for group in ["b2", "b2", "b2 other", "b2"] {
            let mut group = join(group);
            let me = group.me();
            let events = pump(&mut group, |events| views(events).next().is_some());
            assert_eq!(views(&events).next().unwrap().joined(), [me]);
            group.leave().unwrap();
        }
        assert_eq!(memberships(), []);
    });
}

#[test]
fn b2_a_handle_that_has_begun_to_join_is_not_used_again() {
    // A paused member of the ring stops the delivery of the join, for as long as the token's time.
    let cluster = Cluster::builder().nodes(2).token(Duration::from_secs(5)).start().unwrap();
    cluster.on(1, || {
        let handle = Handle::connect().unwrap();
        stand_still(&cluster);
        let failed = handle.join_until(name("b2 late"), Instant::now()).unwrap_err();
        cluster.resume(2).unwrap();
        assert!(matches!(
            failed.error(),
            Error::TimedOut { waiting_for: "this member's join to be delivered" }
        ));
        assert_eq!(
            failed.to_string(),
            "the deadline passed while waiting for this member's join to be delivered"
        );
        assert!(failed.into_handle().is_none());
        // The membership that was requested does not stay behind.
        wait_for("the membership to end", || memberships().is_empty().then_some(()));
        join("b2 late").leave().unwrap();
    });
}

#[test]
fn b3_leaving_always_leaves_the_group_that_was_joined() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let (first, second) = (join("b3 first"), join("b3 second"));
        let me = first.me();
        let _c = Members::start(&cluster, 2, &name("b3 first"), 1);
        let mut reasons = Vec::new();
        first
            .leave_until(deadline(), |_, event| {
                if let Event::ConfChg(change) = event {
                    assert_eq!(change.group(), &name("b3 first"));
                    reasons.extend(change.left().iter().map(|left| (*left, left.reason())));
                }
            })
            .unwrap();
        assert_eq!(reasons, [(me, Reason::Leave)]);
        assert_eq!(memberships(), [Process::new(name("b3 second"), me)]);
        assert_eq!(second.members().unwrap(), [me]);
        second.leave().unwrap();
        assert_eq!(memberships(), []);
    });
}

#[test]
fn b4_empty_and_overlong_names_are_listed_but_cannot_be_joined() {
    let cluster = Cluster::start(1).unwrap();
    assert_eq!(GroupName::new(""), Err(NameError::Empty));
    assert!(matches!(Group::join(""), Err(Error::InvalidName(NameError::Empty))));
    cluster.on(1, || {
        for (bytes, why) in [(vec![], NameError::Empty), (vec![b'x'; 128], NameError::TooLong { len: 128 })] {
            let text = std::str::from_utf8(&bytes).unwrap();
            let mut c = cluster
                .command_on(1, crate::support::member_program())
                .args([text, "1"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let handle = Handle::connect().unwrap();
            let read = wait_for("the member written in C", || {
                handle.groups().unwrap().into_iter().find(|name| name.as_bytes() == bytes)
            });
            let failed = handle.join(&read).unwrap_err();
            assert!(matches!(failed.error(), Error::InvalidName(refused) if *refused == why), "{failed}");
            // The daemon was not asked, so the handle can still join.
            failed.into_handle().unwrap().join(name("b4")).unwrap().leave().unwrap();
            drop(c.stdin.take());
            assert_ended("member.c", c.wait().unwrap(), 0, "");
        }
    });
}

#[test]
fn b5_a_process_can_be_in_a_group_only_once() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let first = join("b5");
        let failed = Handle::connect().unwrap().join(name("b5")).unwrap_err();
        assert_eq!(failed.error().code(), Some(CsError::Exist));
        assert!(failed.to_string().ends_with("a process can join a group only once"), "{failed}");
        let other = failed.into_handle().unwrap().join(name("b5 other")).unwrap();
        assert_eq!(first.members().unwrap(), [first.me()]);
        assert_eq!(other.members().unwrap(), [other.me()]);
    });
}

#[test]
fn b5_a_join_waits_until_an_earlier_membership_has_ended() {
    // A paused member of the ring stops the delivery of the end, for as long as the token's time.
    let cluster = Cluster::builder().nodes(2).token(Duration::from_secs(10)).start().unwrap();
    cluster.on(1, || {
        let ended = join("b5 again");
        stand_still(&cluster);
        drop(ended);
        let patient =
            cluster.spawn_on(1, || Handle::connect().unwrap().join_until(name("b5 again"), deadline()));
        let mut handle = Handle::connect().unwrap();
        let mut refusals = 0;
        while refusals < 20 {
            let soon = Instant::now() + Duration::from_millis(100);
            let refused = handle.join_until(name("b5 again"), soon).unwrap_err();
            match refused.error() {
                // A call took all of the time, such as the count of the other thread, for which this one waited.
                Error::TimedOut { .. } => {}
                error => {
                    assert_eq!(error.code(), Some(CsError::TryAgain));
                    assert!(error.is_retryable());
                    refusals += 1;
                }
            }
            // A call that is outstanding keeps the connection.
            handle = refused.into_handle().unwrap_or_else(|| Handle::connect().unwrap());
        }
        cluster.resume(2).unwrap();
        patient.join().unwrap().unwrap();
        for _ in 0..50 {
            drop(join("b5 again"));
        }
    });
}

/// Joins while an earlier join that was given up has not ended yet, and returns why this member left until `leave` returned.
fn leave_after_a_join_that_was_given_up<M: Send>(
    join: fn(Handle) -> M,
    leave: fn(M) -> Vec<Reason>,
) -> Vec<Reason> {
    let cluster = Cluster::builder().nodes(2).token(Duration::from_secs(10)).start().unwrap();
    cluster.on(1, || {
        // While the token is with the other node, the daemon takes joins and orders none.
        stand_still(&cluster);
        let soon = Instant::now() + Duration::from_millis(100);
        let given_up = Handle::connect().unwrap().join_until(name("b5 given up"), soon).unwrap_err();
        assert!(matches!(given_up.error(), Error::TimedOut { .. }), "{given_up}");
        drop(given_up);
        let member = std::thread::scope(|scope| {
            let (thread, told) = std::sync::mpsc::channel();
            let joining = scope.spawn(move || {
                // SAFETY: `gettid` has no precondition.
                thread.send(unsafe { libc::gettid() }).unwrap();
                join(Handle::connect().unwrap())
            });
            let thread = told.recv().unwrap();
            // When the thread sleeps for long, the join has been requested and waits for its place in the order. Only
            // the count on a thread of the crate takes as long.
            let mut seen = [None; 25];
            wait_for("the second request", || {
                seen.rotate_left(1);
                seen[24] = crate::support::asleep_after(thread).filter(|_| !crew_works());
                (seen[0].is_some() && seen.iter().all(|&ran| ran == seen[0])).then_some(())
            });
            cluster.resume(2).unwrap();
            joining.join().unwrap()
        });
        wait_for("the second join", || (memberships().len() == 1).then_some(()));
        leave(member)
    })
}

/// Records the reasons with which members have left.
fn note(left: &mut Vec<Reason>, event: &OwnedEvent) {
    if let OwnedEvent::ConfChg(view) = event {
        left.extend(view.left().iter().map(cpg::Member::reason));
    }
}

/// The end of the other join comes before the leave or, if no event is dispatched before, within the leave.
#[test]
fn b5_the_end_of_an_abandoned_join_is_not_taken_for_a_groups_leave() {
    fn leave(group: Group, mut left: Vec<Reason>) -> Vec<Reason> {
        group.leave_until(deadline(), |_, event| note(&mut left, &event.into_owned())).unwrap();
        left
    }

    own_process!();
    let join = |handle: Handle| handle.join_until("b5 given up", deadline()).unwrap();
    let left = leave_after_a_join_that_was_given_up(join, |mut group| {
        group.send_until(b"in time", deadline()).unwrap();
        let events = pump(&mut group, |events| crate::support::messages(events).next().is_some());
        let mut left = Vec::new();
        for event in &events {
            note(&mut left, event);
        }
        leave(group, left)
    });
    assert_eq!(left, [Reason::ProcDown, Reason::Leave]);
    let left = leave_after_a_join_that_was_given_up(join, |group| leave(group, Vec::new()));
    assert_eq!(left, [Reason::ProcDown, Reason::Leave]);
}

#[test]
fn b5_the_end_of_an_abandoned_join_is_not_taken_for_a_sessions_leave() {
    fn leave(session: Session, mut left: Vec<Reason>) -> Vec<Reason> {
        session.leave_until(deadline(), |_, event| note(&mut left, &event.into_owned())).unwrap();
        left
    }

    own_process!();
    let join = |handle| Session::options().join_on_until(handle, "b5 given up", deadline()).unwrap();
    let left = leave_after_a_join_that_was_given_up(join, |mut session| {
        session.send(b"in time").unwrap();
        let mut left = Vec::new();
        loop {
            let event = session.recv().unwrap();
            note(&mut left, &event);
            if let OwnedEvent::Deliver(_) = event {
                break;
            }
        }
        leave(session, left)
    });
    assert_eq!(left, [Reason::ProcDown, Reason::Leave]);
    let left = leave_after_a_join_that_was_given_up(join, |session| leave(session, Vec::new()));
    assert_eq!(left, [Reason::ProcDown, Reason::Leave]);
}
