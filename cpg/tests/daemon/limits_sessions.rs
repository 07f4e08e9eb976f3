//! Time limits of the calls of sessions.

use crate::support::limits::{Case, answered, case, limited, soon, waits_for_a_daemon, within_their_limits};
use crate::support::process::own_process;
use crate::support::{deadline, receive};
use cpg::{Error, Event, Limits, OwnedEvent, Session, SessionOptions};
use testcluster::Cluster;

fn session_options() -> SessionOptions {
    Session::options().connect_options(limited())
}

fn session(name: &'static str) -> Session {
    let mut session = session_options().join_until(name, deadline()).unwrap();
    while !matches!(session.recv().unwrap(), OwnedEvent::ConfChg(_)) {}
    session
}

pub const CASES: &[Case] = &[
    case!("SessionOptions::join", TimesOut, |name| session_options().join(name)?),
    case!("Session::members", TimesOut, |name| session(name), keep(|session| session.members()?)),
    case!("Session::send", Fine, |name| session(name), keep(|session| session.send(b"short")?)),
    case!("Session::leave", TimesOut, |name| session(name), |session| session.leave()?),
    case!("Session::leave_until", TimesOut, |name| session(name), |session| {
        session.leave_until(soon(), |_, _| ())?;
    }),
    case!("drop of a Session", Fine, |name| session(name), |session| drop(session)),
];

within_their_limits!(CASES);

#[test]
fn a_session_queues_while_a_call_is_outstanding_and_goes_on_by_itself() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = session("goes on");
        cluster.pause(1).unwrap();
        assert!(matches!(session.members(), Err(Error::TimedOut { .. })));
        for message in [b"1", b"2", b"3"] {
            session.send(message).unwrap();
        }
        assert_eq!(session.members(), Err(Error::CallOutstanding));
        assert_eq!(session.dispatch(Limits::available(), |_, _| ()).unwrap(), 0);
        cluster.resume(1).unwrap();
        // Nobody asks anything: the thread that has the half wakes the queue.
        let mut heard = Vec::new();
        while heard.len() < 3 {
            let limits = Limits::one().until(deadline());
            let handled = session.dispatch(limits, |_, event| {
                if let Event::Deliver(message) = event {
                    heard.push(message.payload().to_vec());
                }
            });
            assert_eq!(handled.unwrap(), 1, "{heard:?}");
        }
        assert_eq!(heard, [b"1", b"2", b"3"]);
        assert_eq!(answered(|| session.members()), [session.me()]);
        session.leave_until(deadline(), |_, _| ()).unwrap();
    });
}

#[test]
fn a_long_message_under_way_is_a_call_that_is_outstanding() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = session("parts").split();
        let messages = [vec![1; 3_000_000], b"behind it".to_vec()];
        let pause_and_send = || {
            cluster.pause(1).unwrap();
            for message in &messages {
                sender.send(message).unwrap();
            }
        };
        pause_and_send();
        assert_eq!(sender.members(), Err(Error::CallOutstanding));
        assert_eq!(receiver.dispatch(Limits::available(), |_, _| ()).unwrap(), 0);
        cluster.resume(1).unwrap();
        assert!(receive(&mut receiver, 2) == messages);
        assert_eq!(answered(|| sender.members()), [sender.me()]);
        pause_and_send();
        cluster.kill(1).unwrap();
        // Its thread is not waited for: libcpg keeps that for as long as it likes.
        let error = sender.members().unwrap_err();
        assert!(error.is_connection_lost(), "{error}");
        for message in &messages {
            let OwnedEvent::Undelivered(back) = receiver.recv().unwrap() else { panic!() };
            assert!(back.payload() == message);
        }
        assert!(receiver.recv().unwrap_err().is_connection_lost());
    });
}

#[test]
fn a_call_of_a_session_that_is_outstanding_when_the_daemon_dies_is_a_loss_like_any_other() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = session("dies");
        cluster.pause(1).unwrap();
        assert!(matches!(session.members(), Err(Error::TimedOut { .. })));
        session.send(b"waits").unwrap();
        cluster.kill(1).unwrap();
        let error = session.members().unwrap_err();
        assert!(error.is_connection_lost() && !error.is_retryable(), "{error}");
        let OwnedEvent::Undelivered(message) = session.recv().unwrap() else { panic!() };
        assert_eq!(message.payload(), b"waits");
        assert!(session.recv().unwrap_err().is_connection_lost());
    });
}

#[test]
fn the_first_join_waits_for_a_daemon_that_is_not_there() {
    own_process!();
    waits_for_a_daemon(|wait| Session::options().connect_options(wait).join("waits"));
}
