use std::cell::RefCell;
use std::future::Future as _;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::cs_error::CsError;
use crate::error::Error;
use crate::packet::{read, write};
use crate::session::end::Look;
use crate::session::flow::Flow;
use crate::session::sent::Sent;
use crate::session::state::STALL;
use crate::session::ticket::Ticket;

const AGAIN: Error = Error::Cs { call: "cpg_mcast_joined", code: CsError::TryAgain };
const LOST: Error = Error::Cs { call: "cpg_mcast_joined", code: CsError::Library };

fn outbox(comeback: Option<bool>) -> Outbox {
    Outbox::new(Flow::coalesced().sizes(1 << 20), comeback, Readiness::new(&[]).unwrap())
}

fn push(outbox: &Outbox, message: &[u8], send: SendNow<'_>) -> Result<Sent> {
    outbox.push(&[IoSlice::new(message)], message.len(), send)
}

/// Returns the bytes of a packet with only this message.
fn packet_of(message: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    write::begin(&mut packet);
    write::push(&mut packet, message);
    packet
}

/// Returns the numbers of a packet with only this message.
fn alone(outbox: &Outbox, sent: Sent) -> Range<u64> {
    let number = outbox.lock().unwrap().queue.number(sent).unwrap();
    number..number + 1
}

/// Returns the receiver's task, in short.
fn look(outbox: &Outbox, settled: u64) -> String {
    look_and_send(outbox, settled, &|_, _| panic!("it is not the time to send"))
}

fn look_and_send(outbox: &Outbox, settled: u64, send: SendNow<'_>) -> String {
    match outbox.look(settled, send) {
        Look::Returned(message) => format!("returned {}", String::from_utf8_lossy(message.payload())),
        Look::Lost(_) => "lost".to_owned(),
        Look::On => "on".to_owned(),
    }
}

fn alarm(outbox: &Outbox) -> Alarm {
    outbox.lock().unwrap().alarm
}

/// Lets the time pass for which the timer is set.
fn rings(outbox: &Outbox) {
    let mut state = outbox.lock().unwrap();
    let Alarm::At(at) = state.alarm else { panic!("{:?}", state.alarm) };
    assert_eq!(state.again, Some(at));
    state.progress = state.progress.checked_sub(STALL).unwrap();
    let now = Instant::now();
    (state.again, state.alarm) = (Some(now), Alarm::At(now));
}

#[test]
fn what_comes_back_after_a_sender_has_met_an_error_is_not_handed_back_as_well() {
    for comeback in [None, Some(false), Some(true)] {
        let outbox = outbox(comeback);
        let sent = RefCell::new(Vec::new());
        let works = |_: u64, bytes: &mut Bytes| {
            sent.borrow_mut().push(bytes.to_vec());
            Handed::Sent
        };
        let fails = |_: u64, _: &mut Bytes| Handed::Refused(LOST);
        let first = push(&outbox, b"first", &works).unwrap();
        let second = push(&outbox, b"second", &works).unwrap();
        // At this moment libcpg delivers the first message, and a sender finds out that the daemon is dead.
        let third = push(&outbox, b"third", &fails);
        assert_eq!(outbox.arrived(&sent.borrow()[0], &fails), Some(alone(&outbox, first)));
        if comeback.is_some() {
            assert_eq!(look(&outbox, alone(&outbox, first).end), "lost");
            outbox.lose(&LOST);
        }
        assert_eq!(look(&outbox, alone(&outbox, first).end), "returned second");
        assert_eq!(look(&outbox, alone(&outbox, first).end), "on", "the third was refused, or is kept");
        assert!(matches!(outbox.outcome(first), Some(Ok(()))));
        assert!(outbox.outcome(second).unwrap().unwrap_err().is_connection_lost());
        assert_eq!(third.is_ok(), comeback == Some(true));
    }
}

#[test]
fn a_message_that_is_refused_leaves_its_packet() {
    let outbox = outbox(Some(false));
    // A message has to wait, and the next one shares its packet.
    let first = push(&outbox, b"first", &|_, _| Handed::Busy).unwrap();
    let error = push(&outbox, b"second", &|_, _| Handed::Refused(LOST)).unwrap_err();
    assert_eq!(error.code(), Some(CsError::Library));
    assert!(matches!(push(&outbox, b"third", &|_, _| Handed::Busy), Err(Error::NoMembership)));
    outbox.lose(&LOST);
    assert_eq!(look(&outbox, 0), "returned first");
    assert_eq!(look(&outbox, 0), "on");
    assert!(outbox.outcome(first).unwrap().unwrap_err().is_connection_lost());
    // The refused message is not sent in the next membership either.
    let sent = RefCell::new(Vec::new());
    outbox.reopen(&|_, bytes| {
        sent.borrow_mut().push(bytes.to_vec());
        Handed::Sent
    });
    assert!(sent.borrow().is_empty());
}

#[test]
fn what_is_kept_waits_for_the_next_membership_whoever_would_send_it() {
    let outbox = outbox(Some(true));
    let sent = RefCell::new(Vec::new());
    let works = |_: u64, bytes: &mut Bytes| {
        sent.borrow_mut().push(bytes.to_vec());
        Handed::Sent
    };
    let first = push(&outbox, b"first", &works).unwrap();
    push(&outbox, b"second", &|_, _| Handed::Refused(LOST)).unwrap();
    // The receiver does not know of the loss yet, and libcpg would take more messages: they would be lost with the membership, or
    // come too early in the next one.
    let everybody = |number: u8| {
        push(&outbox, &[number], &works).unwrap();
        outbox.go_on(&works);
        assert_eq!(sent.borrow().len(), 1);
    };
    everybody(3);
    assert_eq!(outbox.arrived(&sent.borrow().clone()[0], &works), Some(alone(&outbox, first)));
    everybody(4);
    outbox.lose(&LOST);
    everybody(5);
    assert_eq!(look(&outbox, 0), "on", "nothing is handed back");
    outbox.reopen(&works);
    assert!(!outbox.is_waiting());
    let payloads: Vec<_> = sent.borrow()[1..]
        .iter()
        .flat_map(|packet| {
            read::messages(packet).map(|message| message.unwrap().to_vec()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(payloads, [&b"second"[..], &[3], &[4], &[5]]);
}

#[cfg(feature = "tokio")]
#[test]
fn a_task_that_gives_up_waiting_for_space_leaves_nothing_behind() {
    let outbox = outbox(None);
    while push(&outbox, &[1; 10_000], &|_, _| Handed::Busy).is_ok() {}
    for _ in 0..3 {
        let mut number = None;
        for _ in 0..2 {
            let cx = Context::from_waker(Waker::noop());
            let slices = [IoSlice::new(&[1; 10_000])];
            assert!(outbox.poll_push(&cx, &mut number, &slices, 10_000, &|_, _| Handed::Busy).is_pending());
        }
        assert_eq!(outbox.lock().unwrap().space_wakers.len(), 1);
        outbox.forget_task(number.unwrap());
        assert!(outbox.lock().unwrap().space_wakers.is_empty());
    }
}

#[test]
fn a_queue_whose_receiver_goes_while_the_connection_is_lost_was_not_left() {
    for keep in [false, true] {
        let outbox = outbox(Some(keep));
        outbox.lose(&LOST);
        let waits = push(&outbox, b"waits", &|_, _| Handed::Busy);
        assert_eq!(waits.is_ok(), keep);
        outbox.unheard(&|_, _| Handed::Busy);
        assert_eq!(push(&outbox, b"late", &|_, _| Handed::Busy), Err(Error::ReceiverDropped));
        if let Ok(number) = waits {
            assert_eq!(outbox.outcome(number), Some(Err(Error::ReceiverDropped)));
        }
    }
}

#[test]
fn a_token_of_another_queue_is_an_error_and_never_another_message() {
    let works = |_: u64, _: &mut Bytes| Handed::Sent;
    let tokens: Vec<_> = (0..3)
        .map(|_| {
            let gone = outbox(None);
            push(&gone, b"delivered", &works).unwrap()
        })
        .collect();
    // The memory of a dropped queue is used again.
    let other = outbox(None);
    let own = push(&other, b"not delivered", &works).unwrap();
    assert!(tokens.iter().all(|token| *token != own));
    for token in tokens {
        assert!(matches!(other.outcome(token), Some(Err(Error::ForeignToken))));
        assert!(matches!(other.wait_outcome(token, None), Err(Error::ForeignToken)));
        let mut task = None;
        let polled = other.poll_outcome(token, &mut task, &Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(Error::ForeignToken))) && task.is_none());
    }
    assert!(other.outcome(own).is_none());
}

#[test]
fn a_token_is_good_after_delivery_loss_and_the_end() {
    let outbox = outbox(Some(false));
    let sent = RefCell::new(Vec::new());
    let works = |_: u64, bytes: &mut Bytes| {
        sent.borrow_mut().push(bytes.to_vec());
        Handed::Sent
    };
    let arrives = |packet: usize| {
        let packet = sent.borrow()[packet].clone();
        outbox.arrived(&packet, &works).unwrap().end
    };
    let delivered = push(&outbox, b"delivered", &works).unwrap();
    let settled = arrives(0);
    assert!(outbox.outcome(delivered).is_none(), "it is being handled");
    assert_eq!(look(&outbox, settled), "on");
    let lost = push(&outbox, b"lost", &works).unwrap();
    outbox.lose(&LOST);
    outbox.reopen(&works);
    let parts = push(&outbox, b"in parts", &|_, _| Handed::UnderWay).unwrap();
    outbox.parted(alone(&outbox, parts).start, Ok(()), &works);
    let settled = outbox.arrived(&packet_of(b"in parts"), &works).unwrap().end;
    assert_eq!(look(&outbox, settled), "returned lost");
    let open = push(&outbox, b"open", &works).unwrap();
    let outcomes = || [delivered, lost, parts, open].map(|token| outbox.outcome(token));
    let before = [Some(Ok(())), Some(Err(LOST)), Some(Ok(())), None];
    assert_eq!(outcomes(), before);
    outbox.close();
    assert_eq!(outcomes(), before);
    outbox.end(&Error::Left);
    assert_eq!(outcomes(), [Some(Ok(())), Some(Err(LOST)), Some(Ok(())), Some(Err(Error::Left))]);
}

mod clock;
mod parts;
mod wakers;
