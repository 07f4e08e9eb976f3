//! Callbacks and replies that matter only to a session.

use std::os::fd::IntoRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use cpg::{CsError, Error, Limits, OwnedEvent, Reconnect, Session};
use cpg_sys::{CPG_REASON_JOIN, CS_ERR_LIBRARY, CS_ERR_NO_MEMORY, CS_OK};

use crate::stub::{self, List, NODE, SOUND, Stub};
use crate::{NONE, address, join_session, short_name};

#[test]
fn any_maximal_message_size_from_libcpg_is_accepted() {
    let _alone = stub::alone();
    for options in [Session::options(), Session::options().coalesce()] {
        for max_atomic in [0, 1, 10, 100, u32::MAX] {
            stub::first_replies(stub::Replies { max_atomic, ..SOUND });
            let (sender, _receiver) = join_session(options).0.split();
            assert!(sender.max_atomic_message_size() <= max_atomic as usize);
            for len in [0, 1, 50, 5000] {
                sender.try_send(&vec![0; len]).unwrap();
            }
        }
    }
}

/// libcpg has one such error: it has no memory for a long message, skips the message, and goes on.
#[test]
fn an_error_that_occurs_once_comes_after_the_messages_that_it_hands_back() {
    let _alone = stub::alone();
    let (mut session, stub) = join_session(Session::options());
    session.send(b"in flight").unwrap();
    stub.plan(|_| CS_ERR_NO_MEMORY);
    stub.plan(|_| panic!("the session was dispatched after an error that ended the membership"));
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
fn a_membership_that_is_lost_during_its_leave_is_an_error() {
    let _alone = stub::alone();
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
#[cfg_attr(miri, ignore = "every descriptor has a buffer")]
fn an_error_that_ends_reconnecting_is_returned_by_later_sends() {
    let _alone = stub::alone();
    let pause = Duration::from_millis(1);
    let reconnect = Reconnect::new().keep_queue().pauses(pause, pause);
    let (mut session, stub) = join_session(Session::options().reconnect(reconnect));
    // The thread that closes the old connection makes the new one, which uses datagrams.
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

/// Plans two rings, which a handle may get before it joins, then the first view, a ring and a message.
fn begin_with_rings(stub: Stub) {
    for seq in [1, 2] {
        stub.plan(move |stub| {
            stub.totem_confchg(seq, NODE, List::Of(&[NODE]));
            CS_OK
        });
    }
    stub.plan(|stub| {
        let me = [address(NODE, std::process::id(), CPG_REASON_JOIN)];
        stub.confchg(Some(&short_name()), [List::Of(&me), NONE, List::Of(&me)]);
        CS_OK
    });
    stub.plan(|stub| {
        stub.totem_confchg(3, NODE, List::Of(&[NODE]));
        CS_OK
    });
    stub.plan(|stub| {
        stub.deliver(Some(&short_name()), (NODE, 1), &mut []);
        CS_OK
    });
    stub.plan(|_| CS_ERR_LIBRARY);
}

#[test]
fn a_membership_begins_with_its_view_and_the_ring_before_it_follows() {
    let _alone = stub::alone();
    stub::on_join("rings first", begin_with_rings);
    let reconnect = Reconnect::new().pauses(Duration::from_millis(1), Duration::from_millis(1));
    let mut session = Session::options().reconnect(reconnect).join("rings first").unwrap();
    // One by one, to see that waiting events are not lost between two dispatches.
    let mut next = || session.recv_until(Instant::now() + Duration::from_secs(30)).unwrap().unwrap();
    for generation in 1..4 {
        match next() {
            OwnedEvent::ConfChg(view) if generation == 1 => assert!(view.is_first()),
            OwnedEvent::Rejoined(back) if generation > 1 => assert_eq!(back.generation(), generation),
            other => panic!("{other:?}"),
        }
        // The first ring was over when the membership began.
        for seq in [2, 3] {
            let event = next();
            assert!(matches!(&event, OwnedEvent::TotemConfChg(ring) if ring.id().seq() == seq), "{event:?}");
        }
        assert!(matches!(next(), OwnedEvent::Deliver(_)));
        assert!(matches!(next(), OwnedEvent::Lost(lost) if lost.generation() == generation));
    }
}

#[cfg(feature = "tokio")]
#[test]
fn a_membership_of_a_task_begins_with_its_view() {
    use OwnedEvent::{ConfChg, Deliver, Lost, Rejoined, TotemConfChg};
    let _alone = stub::alone();

    stub::on_join("rings in tasks", begin_with_rings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let reconnect = Reconnect::new().pauses(Duration::from_millis(1), Duration::from_millis(1));
        let options = cpg::tokio::Session::options().reconnect(reconnect);
        let mut session = options.join("rings in tasks").await.unwrap();
        for generation in 1..3 {
            let mut heard = Vec::new();
            for _ in 0..5 {
                let event = tokio::time::timeout(Duration::from_secs(30), session.recv()).await;
                heard.push(event.expect("what waits is told").unwrap());
            }
            let [first, TotemConfChg(two), TotemConfChg(three), Deliver(_), Lost(_)] = &heard[..] else {
                panic!("{heard:?}")
            };
            assert!(matches!((first, generation), (ConfChg(_), 1) | (Rejoined(_), 2)), "{first:?}");
            assert_eq!([two, three].map(|ring| ring.id().seq()), [2, 3]);
        }
    });
}

/// If a membership is lost before its view, its rings do not belong to the next membership.
#[test]
fn rings_of_a_membership_without_a_view_are_not_delivered() {
    static LOSES: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(true);
    let _alone = stub::alone();
    stub::on_join("rings alone", |stub| {
        if LOSES.swap(false, std::sync::atomic::Ordering::Relaxed) {
            stub.plan(|stub| {
                stub.totem_confchg(9, NODE, List::Of(&[NODE]));
                CS_OK
            });
            stub.plan(|_| CS_ERR_LIBRARY);
        } else {
            begin_with_rings(stub);
        }
    });
    let reconnect = Reconnect::new().pauses(Duration::from_millis(1), Duration::from_millis(1));
    let mut session = Session::options().reconnect(reconnect).join("rings alone").unwrap();
    let mut rings = Vec::new();
    loop {
        match session.recv_until(Instant::now() + Duration::from_secs(30)).unwrap().unwrap() {
            OwnedEvent::TotemConfChg(ring) => rings.push(ring.id().seq()),
            OwnedEvent::Deliver(_) => break,
            _ => {}
        }
    }
    assert_eq!(rings, [2, 3]);
}
