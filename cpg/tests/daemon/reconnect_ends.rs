//! The ends of a session that reconnects.

use std::os::fd::AsFd as _;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::fork::{child, ensure, fork, reap, refused};
use crate::support::other_user::{become_nobody, real_root};
use crate::support::process::own_process;
use crate::support::returns::{returning, told};
use crate::support::{deadline, join_with, pump_session, readable, wait_for};
use cpg::{CsError, Error, Event, Flow, Handle, Limits, OwnedEvent, Receiver, Reconnect};
use testcluster::Cluster;

#[test]
fn an_error_that_waiting_cannot_mend_ends_the_session() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let pauses = Reconnect::new().keep_queue().pauses(Duration::from_secs(2), Duration::from_secs(2));
        let (sender, mut receiver) = join_with(returning(pauses), "twice").split();
        let (ticket, other) = loop {
            cluster.kill(1).unwrap();
            while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
            let ticket = sender.ticket(sender.send(b"kept").unwrap());
            cluster.restart(1).unwrap();
            // Another membership of this process is in the group before the session.
            match Handle::connect().unwrap().join_until("twice", deadline()) {
                Ok(other) => break (ticket, other),
                // On a busy machine it may be after the session. Then the test tries again.
                Err(error) => assert_eq!(error.error().code(), Some(CsError::Exist)),
            }
            assert_eq!(crate::support::receive(&mut receiver, 1), [b"kept"]);
        };
        let event = receiver.recv().unwrap();
        let OwnedEvent::Undelivered(message) = event else { panic!("{event:?}") };
        assert_eq!((message.payload(), message.was_sent()), (&b"kept"[..], false));
        for error in [
            message.error().clone(),
            receiver.recv().unwrap_err(),
            receiver.dispatch(Limits::available(), |_, _| ()).unwrap_err(),
            sender.try_send(b"x").unwrap_err(),
            sender.send(&vec![0; 3 << 20]).unwrap_err(),
            sender.members().unwrap_err(),
            ticket.wait().unwrap_err(),
        ] {
            assert_eq!(error.code(), Some(CsError::Exist), "{error}");
        }
        receiver.leave().unwrap();
        assert!(matches!(sender.try_send(b"x"), Err(Error::Left)));
        drop(other);
    });
}

#[test]
fn a_session_of_a_refused_user_ends_at_once() {
    if !real_root() {
        println!("passed over: there is one user in this namespace");
        return;
    }
    // In a separate process, because the limit of threads concerns all tests.
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    let (lost, told) = mpsc::channel();
    let refused = cluster.spawn_on(1, move || {
        let mut session = join_with(returning(Reconnect::new()), "refused");
        // Root may talk to any daemon. So this thread, and the thread that reconnects, change to another user.
        become_nobody();
        lost.send(()).unwrap();
        loop {
            if let Err(error) = session.dispatch(Limits::one().until(deadline()), |_, _| ()) {
                return (error, session.recv().unwrap_err(), session.leave());
            }
        }
    });
    told.recv().unwrap();
    cluster.kill(1).unwrap();
    cluster.restart(1).unwrap();
    let (error, again, left) = refused.join().unwrap();
    assert_eq!((error.code(), again.code()), (Some(CsError::Access), Some(CsError::Access)));
    assert!(error.to_string().contains("cannot connect to corosync"), "{error}");
    left.unwrap();
}

/// Sets the number of threads that a user other than root may have.
fn limit_threads(soft: libc::rlim_t) -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it writes one struct.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit) }, 0);
    let before = std::mem::replace(&mut limit.rlim_cur, soft);
    // SAFETY: it reads one struct.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) }, 0);
    before
}

/// Starts a thread that restarts node 1 when it is told to. A thread that is not root any more cannot do so.
fn restarts_when_told(cluster: &Arc<Cluster>) -> (mpsc::Sender<()>, JoinHandle<()>) {
    let (tell, told) = mpsc::channel();
    let cluster = Arc::clone(cluster);
    let restarting = std::thread::spawn(move || {
        told.recv().unwrap();
        cluster.restart(1).unwrap();
    });
    (tell, restarting)
}

#[test]
fn without_a_thread_to_come_back_by_a_session_waits_for_one() {
    if !real_root() {
        println!("passed over: there is one user in this namespace");
        return;
    }
    own_process!();
    let cluster = Arc::new(Cluster::start(1).unwrap());
    let (restart, restarting) = restarts_when_told(&cluster);
    cluster.on(1, || {
        let how = returning(Reconnect::new().keep_queue()).flow(Flow::new().window_size(1));
        let (sender, mut receiver) = join_with(how, "no thread").split();
        while !matches!(receiver.recv().unwrap(), OwnedEvent::ConfChg(_)) {}
        cluster.pause(1).unwrap();
        let tickets = [b"1", b"2"].map(|message| sender.ticket(sender.send(message).unwrap()));
        cluster.kill(1).unwrap();
        // This thread has another user than root, and may not start a thread.
        become_nobody();
        let before = limit_threads(0);
        let mut events = Vec::new();
        while !matches!(events.last(), Some(OwnedEvent::Lost(_))) {
            events.push(receiver.recv().unwrap());
        }
        assert_eq!(told(&events), ["sent 1", "lost 1"]);
        assert_eq!(receiver.recv_until(Instant::now() + Duration::from_millis(300)).unwrap(), None);
        // With one it goes on: it finds that this user is refused.
        limit_threads(before);
        restart.send(()).unwrap();
        let OwnedEvent::Undelivered(message) = receiver.recv().unwrap() else { panic!() };
        assert_eq!((message.payload(), message.was_sent()), (&b"2"[..], false));
        let refused = receiver.recv().unwrap_err();
        assert_eq!(refused.code(), Some(CsError::Access), "{refused}");
        let [first, second] = tickets.map(|ticket| ticket.wait().unwrap_err());
        assert!(first.is_connection_lost() && !matches!(first, Error::NoMembership), "{first}");
        assert_eq!(second.code(), Some(CsError::Access), "{second}");
        // There is no membership to end.
        receiver.leave().unwrap();
    });
    restarting.join().unwrap();
}

#[test]
fn a_session_that_once_had_no_thread_to_come_back_by_sleeps_when_it_is_back() {
    if !real_root() {
        println!("passed over: there is one user in this namespace");
        return;
    }
    own_process!();
    let nobody = |conf| conf + "\nuidgid {\n    uid: 65534\n}\n";
    let cluster = Arc::new(Cluster::builder().nodes(1).config(nobody).start().unwrap());
    let (restart, restarting) = restarts_when_told(&cluster);
    cluster.on(1, || {
        let (_sender, mut receiver) = join_with(returning(Reconnect::new()), "no thread").split();
        while !matches!(receiver.recv().unwrap(), OwnedEvent::ConfChg(_)) {}
        cluster.kill(1).unwrap();
        become_nobody();
        let before = limit_threads(0);
        while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
        assert_eq!(receiver.recv_until(Instant::now() + Duration::from_millis(300)).unwrap(), None);
        limit_threads(before);
        // The daemon is not there yet, and then it is, and the session has nothing to do: its descriptor says so.
        let sleeps = |receiver: &mut Receiver| {
            wait_for("the descriptor to be quiet", || {
                receiver.dispatch(Limits::available(), |_, _| ()).unwrap();
                (!readable(receiver.as_fd())).then_some(())
            });
        };
        sleeps(&mut receiver);
        restart.send(()).unwrap();
        while !matches!(receiver.recv().unwrap(), OwnedEvent::Rejoined(_)) {}
        sleeps(&mut receiver);
        receiver.leave().unwrap();
    });
    restarting.join().unwrap();
}

#[test]
fn a_session_can_be_ended_at_any_time_of_a_reconnect() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let short = Duration::from_millis(1);
        let groups = ["leaves", "drops", "drops before it knows"];
        let mut halves: Vec<_> = groups
            .map(|group| {
                join_with(returning(Reconnect::new().keep_queue().pauses(short, short)), group).split()
            })
            .into();
        cluster.kill(1).unwrap();
        for (_, receiver) in &mut halves[..2] {
            while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
        }
        let mut handed_back = Vec::new();
        let (sender, receiver) = halves.remove(0);
        sender.send(b"waits").unwrap();
        receiver.leave_until(deadline(), |_, event| handed_back.push(event.into_owned())).unwrap();
        let [OwnedEvent::Undelivered(message)] = &handed_back[..] else { panic!("{handed_back:?}") };
        assert_eq!((message.payload(), message.was_sent()), (&b"waits"[..], false));
        assert!(matches!(message.error(), Error::Left));
        assert!(matches!(sender.send(b"x"), Err(Error::Left)));
        // Sessions that are dropped while they reconnect do not join when the daemon is back.
        for (sender, receiver) in halves {
            drop(receiver);
            let error = sender.send(b"x").unwrap_err();
            assert!(matches!(error, Error::ReceiverDropped) || error.is_connection_lost(), "{error}");
        }
        cluster.restart(1).unwrap();
        let handle = Handle::connect().unwrap();
        wait_for("the groups to be gone", || handle.processes().unwrap().is_empty().then_some(()));
    });
}

#[test]
fn a_handler_of_a_rejoin_during_a_leave_cannot_send() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(returning(Reconnect::new()), "leaves late");
        cluster.kill(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        cluster.restart(1).unwrap();
        wait_for("the session", || readable(session.as_fd()).then_some(()));
        // The leave takes the new membership, and has not enough stack for its first view.
        std::thread::scope(|scope| {
            let dispatch = || session.dispatch(Limits::available(), |_, _| ()).unwrap_err();
            let small = std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, dispatch);
            let error = small.unwrap().join().unwrap();
            assert!(matches!(error, Error::StackTooSmall { .. }), "{error}");
        });
        let mut sent = Vec::new();
        session
            .leave_until(deadline(), |sender, event| {
                if matches!(event, Event::Rejoined(_)) {
                    sent.push(sender.try_send(b"would be lost"));
                }
            })
            .unwrap();
        assert!(matches!(sent[..], [Err(Error::Left)]), "{sent:?}");
    });
}

#[test]
fn a7_a_child_is_refused_a_session_that_is_away() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        // The thread that reconnects pauses between two attempts.
        let pause = Duration::from_secs(20);
        let how = returning(Reconnect::new().pauses(pause, pause));
        let mut session = join_with(how, "forked");
        let (sender, mut receiver) = join_with(how, "forked and split").split();
        cluster.kill(1).unwrap();
        pump_session(&mut session, |events| matches!(events.last(), Some(OwnedEvent::Lost(_))));
        while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
        assert_eq!((session.generation(), sender.generation(), receiver.generation()), (1, 1, 1));
        let pid = fork();
        if pid == 0 {
            child(|| {
                ensure!(refused(session.dispatch(Limits::available(), |_, _| ())));
                ensure!(refused(receiver.recv()));
                ensure!(sender.generation() == 1);
                ensure!(refused(session.leave()));
                ensure!(refused(receiver.leave()));
                0
            });
        }
        reap(pid);
        session.leave().unwrap();
        receiver.leave().unwrap();
    });
}
