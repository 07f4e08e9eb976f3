//! Forks, panics and lost daemons in each style of taking events: `run`, `recv`, the iterator and a session, whole and split.

use std::ops::ControlFlow::{self, Continue};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::time::Instant;

use crate::support::fork::{child, ensure, fork, reap, refused};
use crate::support::process::own_process;
use crate::support::{Members, asking, deadline, join, join_with, messages, payloads, pump, views, wait_for};
use cpg::{Error, Event, Group, Limits, OwnedEvent, Receiver, Result, Session, Waker};
use testcluster::Cluster;

fn go_on<L>(_: &L, _: Event<'_>) -> ControlFlow<()> {
    Continue(())
}

#[test]
fn a_child_is_refused_in_each_style_and_the_parent_goes_on() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("whole");
        let (sender, mut receiver) = join_with(Session::options(), "halves").split();
        let mut others = Members::start(&cluster, 1, sender.name(), 1);
        let (_, leaving) = join_with(Session::options(), "leaving").split();
        let mut session = join_with(Session::options(), "session");
        session.send(b"before").unwrap();
        let waker = Waker::new().unwrap();
        // There are events, which a child would take from the parent.
        sender.send(b"before").unwrap();
        let pid = fork();
        if pid == 0 {
            child(move || {
                ensure!(refused(group.run(Limits::forever(), go_on)));
                ensure!(refused(group.run(Limits::available().woken_by(&waker), go_on)));
                ensure!(refused(group.recv()));
                ensure!(refused(group.recv_until(Instant::now())));
                ensure!(group.events().next().is_some_and(refused));
                let clone = sender.clone();
                ensure!(refused(sender.send(b"from the child")));
                ensure!(refused(clone.send_until(b"from the child", deadline())));
                ensure!(refused(clone.try_send(b"from the child")));
                ensure!(refused(clone.send_vectored(&[])));
                ensure!(refused(clone.send(&vec![0; 3_000_000])));
                ensure!(refused(clone.members()));
                ensure!(refused(receiver.run(Limits::forever(), go_on)));
                ensure!(refused(receiver.recv()));
                ensure!(refused(receiver.recv_until(deadline())));
                ensure!(refused(receiver.dispatch(Limits::one(), |_, _| ())));
                ensure!(receiver.events().next().is_some_and(refused));
                ensure!(refused(leaving.leave()));
                ensure!(refused(session.send(b"from the child")));
                ensure!(refused(session.send_vectored(&[])));
                ensure!(refused(session.members()));
                ensure!(refused(session.run(Limits::forever(), go_on)));
                ensure!(refused(session.run(Limits::available().woken_by(&waker), go_on)));
                ensure!(refused(session.recv()));
                ensure!(refused(session.recv_until(Instant::now())));
                ensure!(refused(session.dispatch(Limits::one(), |_, _| ())));
                ensure!(session.events().next().is_some_and(refused));
                // What it drops stays with the parent.
                drop((group, sender, clone, receiver, session));
                0
            });
        }
        reap(pid);
        sender.send(b"after").unwrap();
        others.expect(|line| {
            assert!(!line.contains(&format!("-{}", sender.me())), "the member has left: {line}");
            line.ends_with("after")
        });
        let heard: Vec<_> = receiver.events().map(Result::unwrap).take(4).collect();
        let heard: Vec<_> = messages(&heard).map(|message| message.payload().to_vec()).collect();
        assert_eq!(heard, [&b"before"[..], b"after"]);
        group.send(b"whole").unwrap();
        assert_eq!(payloads(&mut group, 1), [b"whole"]);
        receiver.leave().unwrap();
        let heard: Vec<_> = session.events().map(Result::unwrap).take(2).collect();
        assert_eq!(messages(&heard).map(cpg::OwnedMessage::payload).collect::<Vec<_>>(), [b"before"]);
        session.leave().unwrap();
    });
}

#[test]
fn a_child_is_refused_although_a_thread_of_its_parent_held_the_lock() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, receiver) = join_with(Session::options(), "locked").split();
        cluster.pause(1).unwrap();
        std::thread::scope(|scope| {
            let asking = asking(scope, &sender);
            // Most probably another thread holds the lock. A child that finds the lock free is refused as well.
            std::thread::yield_now();
            for _ in 0..10 {
                let pid = fork();
                if pid == 0 {
                    child(|| {
                        ensure!(refused(sender.send(b"from the child")));
                        ensure!(refused(sender.members()));
                        ensure!(refused(receiver.sender().try_send(b"from the child")));
                        ensure!(refused(receiver.leave()));
                        0
                    });
                }
                reap(pid);
            }
            cluster.resume(1).unwrap();
            assert_eq!(asking.join().unwrap().unwrap(), [sender.me()]);
        });
    });
}

/// Keeps the number of each message, and panics with it.
fn panics<L>(heard: &mut Vec<u8>) -> impl FnMut(&L, Event<'_>) -> ControlFlow<()> {
    |_, event| {
        let Event::Deliver(message) = event else { return Continue(()) };
        heard.push(message.payload()[0]);
        panic_any(message.payload()[0])
    }
}

fn panic_of<T>(work: impl FnOnce() -> T) -> u8 {
    *catch_unwind(AssertUnwindSafe(work)).err().unwrap().downcast().unwrap()
}

#[test]
fn a_panic_of_a_handler_goes_on_in_the_caller_and_later_events_stay() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("panics");
        pump(&mut group, |events| views(events).next().is_some());
        for byte in 0..4_u8 {
            group.send(&[byte]).unwrap();
        }
        let mut heard = Vec::new();
        let mut handler = panics(&mut heard);
        assert_eq!(panic_of(|| group.run(Limits::forever(), &mut handler)), 0);
        let waker = Waker::new().unwrap();
        let wait = Limits::forever().until(deadline()).woken_by(&waker);
        assert_eq!(panic_of(|| group.run(wait, &mut handler)), 1);
        assert_eq!(panic_of(|| group.dispatch(Limits::one(), |link, event| _ = handler(link, event))), 2);
        let Some(OwnedEvent::Deliver(last)) = group.recv_until(deadline()).unwrap() else { panic!() };
        drop(handler);
        assert_eq!((&heard[..], last.payload()), (&[0, 1, 2][..], &[3][..]));
        assert_eq!(group.members().unwrap(), [group.me()]);
        group.leave().unwrap();
    });
}

#[test]
fn a_panic_of_a_handler_of_a_session_goes_on_in_the_caller_and_later_events_stay() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(Session::options(), "panics");
        assert!(matches!(session.recv().unwrap(), OwnedEvent::ConfChg(_)));
        for byte in 0..7_u8 {
            session.send(&[byte]).unwrap();
        }
        let mut heard = Vec::new();
        let mut handler = panics(&mut heard);
        assert_eq!(panic_of(|| session.run(Limits::forever(), &mut handler)), 0);
        let waker = Waker::new().unwrap();
        let wait = Limits::forever().until(deadline()).woken_by(&waker);
        assert_eq!(panic_of(|| session.run(wait, &mut handler)), 1);
        assert_eq!(
            panic_of(|| session.dispatch(Limits::one(), |sender, event| _ = handler(sender, event))),
            2
        );
        let (sender, mut receiver) = session.split();
        assert_eq!(panic_of(|| receiver.run(Limits::forever(), &mut handler)), 3);
        assert_eq!(panic_of(|| receiver.run(wait, &mut handler)), 4);
        let dispatch = || receiver.dispatch(Limits::one(), |sender, event| _ = handler(sender, event));
        assert_eq!(panic_of(dispatch), 5);
        let Some(OwnedEvent::Deliver(last)) = receiver.recv_until(deadline()).unwrap() else { panic!() };
        drop(handler);
        assert_eq!((&heard[..], last.payload()), (&[0, 1, 2, 3, 4, 5][..], &[6][..]));
        // A sender does not notice, and the lock is free.
        sender.send(b"goes on").unwrap();
        assert_eq!(sender.members().unwrap(), [sender.me()]);
        receiver.leave().unwrap();
    });
}

/// Takes events until the error, in each style.
macro_rules! until_the_error {
    ($member:ty) => {{
        let styles: [fn(&mut $member) -> Error; 7] = [
            |member| member.run(Limits::forever(), go_on).unwrap_err(),
            |member| member.run(Limits::forever().woken_by(&Waker::new().unwrap()), go_on).unwrap_err(),
            |member| member.run(Limits::forever().until(deadline()), go_on).unwrap_err(),
            |member| member.events().find_map(Result::err).unwrap(),
            |member| loop {
                if let Err(error) = member.recv() {
                    return error;
                }
            },
            |member| loop {
                if let Err(error) = member.recv_until(deadline()) {
                    return error;
                }
            },
            |member| member.dispatch(Limits::forever(), |_, _| ()).unwrap_err(),
        ];
        styles
    }};
}

fn assert_each_ends<M: Send + 'static>(join: fn(&str) -> M, styles: &[fn(&mut M) -> Error]) {
    let cluster = Cluster::start(1).unwrap();
    // One thread waits already, and one begins to wait later.
    let waiting: Vec<_> = (0..)
        .zip(styles)
        .map(|(index, &style)| {
            let mut member = cluster.on(1, || join(&format!("waiting {index}")));
            cluster.spawn_on(1, move || (style(&mut member), style(&mut member)))
        })
        .collect();
    cluster.kill(1).unwrap();
    for thread in waiting {
        wait_for("the end", || thread.is_finished().then_some(()));
        let (first, again) = thread.join().unwrap();
        assert!(first.is_connection_lost(), "{first}");
        assert_eq!(first, again);
    }
}

#[test]
fn a_lost_daemon_ends_each_style() {
    assert_each_ends(join, &until_the_error!(Group));
}

#[test]
fn a_lost_daemon_ends_each_style_of_a_session() {
    let join: fn(&str) -> Session = |name| join_with(Session::options(), name);
    assert_each_ends(join, &until_the_error!(Session));
    let join: fn(&str) -> Receiver = |name| join_with(Session::options(), name).split().1;
    assert_each_ends(join, &until_the_error!(Receiver));
}
