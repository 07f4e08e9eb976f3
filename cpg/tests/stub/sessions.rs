//! What a session alone makes of it.

use std::os::fd::IntoRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use cpg::{CsError, Error, Limits, OwnedEvent, Reconnect, Session};
use cpg_sys::{CS_ERR_LIBRARY, CS_ERR_NO_MEMORY};

use crate::join_session;
use crate::stub::{self, SOUND};

#[test]
fn any_size_of_message_that_libcpg_names_is_borne() {
    for options in [Session::options(), Session::options().coalesce()] {
        for max_atomic in [0, 1, 10, 100, u32::MAX] {
            stub::first_replies(stub::Replies { max_atomic, ..SOUND });
            let (sender, _receiver) = join_session(options).0.split();
            let limit = sender.max_atomic_message_size();
            assert!(limit <= max_atomic as usize);
            for len in [0, 1, 50, 5000] {
                match sender.try_send(&vec![0; len]) {
                    Ok(_) => assert!(len <= limit),
                    Err(Error::WouldWait { .. }) => assert!(len > limit || limit == 0),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

/// libcpg has one such error: it has no memory for a long message, passes over that, and goes on.
#[test]
fn an_error_that_does_not_come_again_comes_after_what_it_hands_back() {
    let (mut session, stub) = join_session(Session::options());
    session.send(b"in flight").unwrap();
    stub.plan(|_| CS_ERR_NO_MEMORY);
    stub.plan(|_| panic!("it is dispatched after an error that ended the membership"));
    let mut events = Vec::new();
    let error =
        session.dispatch(Limits::available(), |_, event| events.push(event.into_owned())).unwrap_err();
    assert_eq!(error.code(), Some(CsError::NoMemory));
    let [OwnedEvent::Undelivered(message)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((message.payload(), message.error().code()), (&b"in flight"[..], Some(CsError::NoMemory)));
    for _ in 0..2 {
        let again = session.dispatch(Limits::available(), |_, event| panic!("{event:?}"));
        assert_eq!(again.unwrap_err(), error);
        assert_eq!(session.send(b"more").unwrap_err(), error);
    }
}

#[test]
fn what_a_leave_finds_lost_was_not_left() {
    let (session, stub) = join_session(Session::options());
    session.send(b"in flight").unwrap();
    stub.reply(stub::Replies { code: CS_ERR_LIBRARY, ..SOUND });
    let mut errors = Vec::new();
    let error = session.leave_until(Instant::now() + Duration::from_secs(30), |_, event| {
        let OwnedEvent::Undelivered(message) = event.into_owned() else { panic!() };
        errors.push(message.error().clone());
    });
    let error = error.unwrap_err();
    assert_eq!((error.code(), &errors[..]), (Some(CsError::Library), &[error.clone()][..]));
}

#[test]
fn an_error_that_ends_the_search_for_the_daemon_is_why_nothing_can_be_sent() {
    let pause = Duration::from_millis(1);
    let reconnect = Reconnect::new().keep_queue().pauses(pause, pause);
    let (mut session, stub) = join_session(Session::options().reconnect(reconnect));
    // The thread that closes the old connection makes the new one, which is made of datagrams.
    let socket = UnixDatagram::unbound().unwrap().into_raw_fd();
    stub.on_finalize(move |_| stub::first_replies(stub::Replies { descriptor: Some(socket), ..SOUND }));
    stub.plan(|_| CS_ERR_LIBRARY);
    let deadline = Instant::now() + Duration::from_secs(30);
    let lost = session.recv_until(deadline).unwrap();
    assert!(matches!(lost, Some(OwnedEvent::Lost(_))), "{lost:?}");
    session.send(b"waits").unwrap();
    let Some(OwnedEvent::Undelivered(message)) = session.recv_until(deadline).unwrap() else { panic!() };
    let error = session.recv_until(deadline).unwrap_err();
    assert!(matches!(error, Error::DatagramIpc), "{error}");
    assert_eq!(*message.error(), error);
    assert_eq!(session.send(b"x").unwrap_err(), error);
    assert_eq!(session.sender().try_send(b"x").unwrap_err(), error);
}
