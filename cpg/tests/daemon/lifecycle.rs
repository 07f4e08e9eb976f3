//! Connecting, joining and leaving: the end of each step, in time or not, and the rights of a handler.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use crate::support::ring::stand_still;
use crate::support::{
    Members, deadline, join, join_with, messages, name, payloads, pump, readable, views, wait_for,
};
use cpg::{Callbacks, Error, Event, Group, Handle, Limits, Member, NodeId, OwnedEvent, Session};
use testcluster::Cluster;

#[test]
fn a_group_is_joined_and_left_in_the_short_way() -> Result<(), Error> {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = Group::join("short")?;
        assert_eq!(group.name(), &name("short"));
        assert_eq!(group.me(), Member::new(NodeId::new(1), std::process::id()));
        group.send(b"hello")?;
        assert_eq!(payloads(&mut group, 1), [b"hello"]);
        group.leave()?;
        let handle = Handle::connect()?;
        assert_eq!(handle.local_node()?, NodeId::new(1));
        handle.close()?;
        // A `JoinError` converts to an `Error`, or gives the handle back.
        let _first = Handle::connect()?.join(name("short"))?;
        let again = || -> Result<Group, Error> { Ok(Handle::connect()?.join(name("short"))?) };
        assert_eq!(again().unwrap_err().code(), Some(cpg::CsError::Exist));
        Ok(())
    })
}

#[test]
fn a_session_is_joined_and_left_in_the_short_way() -> Result<(), Error> {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = Session::join("short")?;
        assert_eq!(session.name(), &name("short"));
        assert_eq!(session.me(), Member::new(NodeId::new(1), std::process::id()));
        session.send(b"hello")?;
        // This process is a member from the moment of the join, and the view of the join comes first.
        assert_eq!(session.members()?, [session.me()]);
        let events = session.events().take(2).collect::<Result<Vec<_>, _>>()?;
        assert!(matches!(&events[0], OwnedEvent::ConfChg(view) if view.is_first()), "{events:?}");
        assert_eq!(messages(&events).map(cpg::OwnedMessage::payload).collect::<Vec<_>>(), [b"hello"]);
        session.leave()?;
        let handle = Handle::connect()?;
        assert!(handle.members_of(name("short"))?.is_empty());
        // A session can also join on an existing handle. If this fails, the handle comes back.
        let _first = Session::options().join_on(handle, "short")?;
        let again = Session::options().join_on(Handle::connect()?, "short").unwrap_err();
        assert_eq!(again.error().code(), Some(cpg::CsError::Exist));
        again.into_handle().unwrap().close()
    })
}

#[test]
fn the_view_of_the_join_comes_first() {
    let cluster = Cluster::start(2).unwrap();
    let c = Members::start(&cluster, 2, &name("first"), 1);
    cluster.on(1, || {
        let mut group = join("first");
        // This process is a member from the moment of the join, before any event is dispatched.
        let both = [group.me(), Member::new(NodeId::new(2), c.pid())];
        assert_eq!(group.members().unwrap(), both);
        group.send(b"at once").unwrap();
        let events = pump(&mut group, |events| messages(events).next().is_some());
        let view = views(&events).next().unwrap();
        assert_eq!((view.members(), view.joined(), view.left()), (&both[..], &both[..1], &[][..]));
        assert_eq!(events.len(), 2);
    });
}

/// The events of a leave, after 100 messages of this member and one of a member in C.
struct Leaving {
    me: Member,
    heard: Vec<Vec<u8>>,
    left: bool,
}

impl Leaving {
    fn begin(me: Member, c: &mut Members) -> Self {
        c.tell("send from C");
        c.expect(|line| line.ends_with("from C"));
        Self { me, heard: Vec::new(), left: false }
    }

    fn event(&mut self, me: Member, event: &Event<'_>) {
        assert_eq!(me, self.me);
        assert!(!self.left, "an event came after the view of the leave");
        match event {
            Event::Deliver(message) => self.heard.push(message.payload().to_vec()),
            Event::ConfChg(view) => self.left = view.left().contains(&me),
            _ => {}
        }
    }

    /// Asserts that all came, and that the other member has heard of the leave.
    fn end(self, c: &mut Members) {
        assert!(self.left);
        let own: Vec<_> = self.heard.iter().filter(|payload| *payload != b"from C").cloned().collect();
        assert_eq!(own, (0..100).map(|number| vec![number]).collect::<Vec<_>>());
        assert_eq!(self.heard.len(), 101);
        c.expect(|line| line.starts_with("view") && line.contains(&format!("-{}", self.me)));
    }
}

#[test]
fn leaving_a_group_delivers_the_events_before_the_leave() {
    let cluster = Cluster::start(2).unwrap();
    let mut c = Members::start(&cluster, 2, &name("before"), 1);
    cluster.on(1, || {
        let group = join("before");
        for number in 0..100_u8 {
            group.send_until(&[number], deadline()).unwrap();
        }
        let mut leaving = Leaving::begin(group.me(), &mut c);
        group.leave_until(deadline(), |link, event| leaving.event(link.me(), &event)).unwrap();
        leaving.end(&mut c);
    });
}

#[test]
fn leaving_a_session_delivers_the_events_before_the_leave() {
    let cluster = Cluster::start(2).unwrap();
    let mut c = Members::start(&cluster, 2, &name("before"), 1);
    cluster.on(1, || {
        let session = join_with(Session::options(), "before");
        for number in 0..100_u8 {
            session.send(&[number]).unwrap();
        }
        let mut leaving = Leaving::begin(session.me(), &mut c);
        session.leave_until(deadline(), |sender, event| leaving.event(sender.me(), &event)).unwrap();
        leaving.end(&mut c);
    });
}

#[test]
fn a_leave_past_its_deadline_is_an_error_and_still_ends_the_membership() {
    // A paused member of the ring stops the delivery of the leave, for as long as the token's time.
    let cluster = Cluster::builder().nodes(2).token(Duration::from_secs(10)).start().unwrap();
    cluster.on(1, || {
        let mut group = join("late");
        pump(&mut group, |events| views(events).next().is_some());
        let mut session = join_with(Session::options(), "late session");
        assert!(matches!(session.recv().unwrap(), OwnedEvent::ConfChg(_)));
        stand_still(&cluster);
        let late = [
            group.leave_until(Instant::now(), |_, _| {}).unwrap_err(),
            session.leave_until(Instant::now(), |_, _| {}).unwrap_err(),
        ];
        cluster.resume(2).unwrap();
        for late in late {
            assert!(
                matches!(late, Error::TimedOut { waiting_for: "this member's leave to be delivered" }),
                "{late}"
            );
            assert_eq!(std::io::Error::from(late).kind(), std::io::ErrorKind::TimedOut);
        }
        let handle = Handle::connect().unwrap();
        for group in ["late", "late session"] {
            wait_for("the membership to end", || {
                handle.members_of(name(group)).unwrap().is_empty().then_some(())
            });
        }
    });
}

#[test]
fn a_handler_of_a_group_can_change_what_it_borrows_and_send() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("answers");
        let (mut count, mut words) = (0, vec![String::new()]);
        group.send(b"0").unwrap();
        while count < 5 {
            let how = Limits::one().until(deadline());
            group
                .dispatch(how, |link, event| {
                    let Event::Deliver(mut message) = event else { return };
                    message.payload_mut()[0] |= 0x40;
                    words.push(String::from_utf8_lossy(message.payload()).into_owned());
                    count += 1;
                    link.send_until(count.to_string().as_bytes(), deadline()).unwrap();
                    assert_eq!(link.members().unwrap(), [link.me()]);
                    assert_eq!(link.members().unwrap(), [link.me()]);
                })
                .unwrap();
        }
        assert_eq!(words, ["", "p", "q", "r", "s", "t"]);
    });
}

#[test]
fn a_handler_of_a_session_can_change_what_it_borrows_and_send() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(Session::options(), "answers");
        let (mut count, mut words) = (0, vec![String::new()]);
        session.send(b"0").unwrap();
        while count < 5 {
            let how = Limits::one().until(deadline());
            session
                .dispatch(how, |sender, event| {
                    let Event::Deliver(mut message) = event else { return };
                    message.payload_mut()[0] |= 0x40;
                    words.push(String::from_utf8_lossy(message.payload()).into_owned());
                    count += 1;
                    sender.try_send(count.to_string().as_bytes()).unwrap();
                    assert_eq!(sender.members().unwrap(), [sender.me()]);
                })
                .unwrap();
        }
        assert_eq!(words, ["", "p", "q", "r", "s", "t"]);
    });
}

#[test]
fn callbacks_are_called_for_their_kind_of_event() {
    let cluster = Cluster::start(2).unwrap();
    let mut group = cluster.on(1, || join("callbacks"));
    group.send(b"one").unwrap();
    let (mut lines, mut sizes, mut rings) = (Vec::new(), Vec::new(), 0);
    let mut callbacks = Callbacks::new()
        .on_deliver(|link, message| {
            lines.push(format!("{} {}", link.name(), String::from_utf8_lossy(message.payload())));
        })
        .on_confchg(|_, view| sizes.push(view.members().len()))
        .on_totem_confchg(|_, ring| rings += ring.members().len());
    for _ in 0..2 {
        let how = Limits::one().until(deadline());
        assert_eq!(group.dispatch(how, |link, event| callbacks.handle(link, event)).unwrap(), 1);
    }
    cluster.kill(2).unwrap();
    let how = Limits::one().until(deadline());
    assert_eq!(group.dispatch(how, |link, event| callbacks.handle(link, event)).unwrap(), 1);
    // An event without a closure for its kind is skipped, and still counts.
    group.send_until(b"two", deadline()).unwrap();
    let how = Limits::one().until(deadline());
    assert_eq!(group.dispatch(how, |link, event| Callbacks::new().handle(link, event)).unwrap(), 1);
    drop(callbacks);
    assert_eq!((lines, sizes, rings), (vec!["callbacks one".to_owned()], vec![1], 1));
}

#[test]
fn dropping_ends_the_membership() {
    let cluster = Cluster::start(2).unwrap();
    let mut c = Members::start(&cluster, 2, &name("dropped"), 1);
    cluster.on(1, || {
        let group = join("dropped");
        let me = group.me();
        c.expect(|line| line.ends_with(&format!("+{me}")));
        drop(group);
        c.expect(|line| line.contains(&format!("-{me}")));
        let session = join_with(Session::options(), "dropped");
        c.expect(|line| line.ends_with(&format!("+{me}")));
        drop(session);
        c.expect(|line| line.contains(&format!("-{me}")));
        // A handle that never joined leaves no trace.
        for _ in 0..20 {
            drop(Handle::connect().unwrap());
        }
        let handle = Handle::connect().unwrap();
        assert_eq!(handle.members_of(name("dropped")).unwrap().len(), 1);
    });
}

#[test]
fn a_leave_ends_at_its_deadline_although_events_keep_coming() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let group = join("backlog");
        for _ in 0..5 {
            group.send(b"before the leave").unwrap();
        }
        wait_for("an event", || readable(group.as_fd()).then_some(()));
        let (mut heard, deadline) = (0, Instant::now() + Duration::from_millis(20));
        let late = group.leave_until(deadline, |_, _| {
            heard += 1;
            wait_for("the deadline", || (Instant::now() >= deadline).then_some(()));
        });
        assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
        assert_eq!(heard, 1);

        let session = join_with(Session::options(), "backlog of a session");
        for _ in 0..5 {
            session.send(b"before the leave").unwrap();
        }
        wait_for("an event", || readable(session.as_fd()).then_some(()));
        let (mut heard, mut returned) = (0, 0);
        let deadline = Instant::now() + Duration::from_millis(20);
        let late = session.leave_until(deadline, |_, event| {
            if let Event::Undelivered(_) = event {
                returned += 1;
            } else {
                heard += 1;
                wait_for("the deadline", || (Instant::now() >= deadline).then_some(()));
            }
        });
        assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
        assert_eq!((heard, returned), (1, 5));
    });
}
