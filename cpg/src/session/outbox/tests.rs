use std::cell::RefCell;
use std::future::Future as _;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::cs_error::CsError;
use crate::error::Error;
use crate::packet::read;
use crate::session::end::Look;
use crate::session::sent::Sent;
use crate::session::state::STALL;
use crate::session::ticket::Ticket;

const LOST: Error = Error::Cs { call: "cpg_mcast_joined", code: CsError::Library };

fn outbox(comeback: Option<bool>) -> Outbox {
    Outbox::new(Flow::coalesced(), comeback, Readiness::new(&[]).unwrap())
}

fn push(outbox: &Outbox, message: &[u8], send: SendNow<'_>) -> Result<Sent> {
    outbox.push(&[IoSlice::new(message)], message.len(), send)
}

/// The numbers of a packet with that message alone.
fn alone(outbox: &Outbox, sent: Sent) -> Range<u64> {
    let number = outbox.lock().unwrap().queue.number(sent).unwrap();
    number..number + 1
}

/// What a receiver has to do, in short.
fn look(outbox: &Outbox, settled: u64) -> String {
    match outbox.look(settled) {
        Look::Returned(message) => format!("returned {}", String::from_utf8_lossy(message.payload())),
        Look::Lost(_) => "lost".to_owned(),
        Look::On => "on".to_owned(),
    }
}

#[test]
fn what_comes_back_after_a_sender_has_met_an_error_is_not_handed_back_as_well() {
    for comeback in [None, Some(false), Some(true)] {
        let outbox = outbox(comeback);
        let sent = RefCell::new(Vec::new());
        let works = |bytes: &[u8]| {
            sent.borrow_mut().push(bytes.to_vec());
            Some(Ok(()))
        };
        let fails = |_: &[u8]| Some(Err(LOST));
        let first = push(&outbox, b"first", &works).unwrap();
        let second = push(&outbox, b"second", &works).unwrap();
        // libcpg hands the first one over at this moment, and a sender finds out that the daemon has gone.
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
    // One is put off, and the next travels with it.
    let first = push(&outbox, b"first", &|_| None).unwrap();
    let error = push(&outbox, b"second", &|_| Some(Err(LOST))).unwrap_err();
    assert_eq!(error.code(), Some(CsError::Library));
    assert!(matches!(push(&outbox, b"third", &|_| None), Err(Error::NoMembership)));
    outbox.lose(&LOST);
    assert_eq!(look(&outbox, 0), "returned first");
    assert_eq!(look(&outbox, 0), "on");
    assert!(outbox.outcome(first).unwrap().unwrap_err().is_connection_lost());
    // Nothing of it is sent in the next membership.
    let sent = RefCell::new(Vec::new());
    outbox.reopen(&|bytes| {
        sent.borrow_mut().push(bytes.to_vec());
        Some(Ok(()))
    });
    assert!(sent.borrow().is_empty());
}

#[test]
fn what_is_kept_waits_for_the_next_membership_whoever_would_send_it() {
    let outbox = outbox(Some(true));
    let sent = RefCell::new(Vec::new());
    let works = |bytes: &[u8]| {
        sent.borrow_mut().push(bytes.to_vec());
        Some(Ok(()))
    };
    let first = push(&outbox, b"first", &works).unwrap();
    push(&outbox, b"second", &|_| Some(Err(LOST))).unwrap();
    // The receiver has not heard of it, and libcpg would take more: it would be lost with the membership, or come too early in
    // the next one.
    let everybody = |number: u8| {
        push(&outbox, &[number], &works).unwrap();
        outbox.lock().unwrap().put_off = true;
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

#[test]
fn nothing_goes_past_the_window_while_a_long_message_is_being_sent() {
    let outbox = outbox(None);
    let sent = RefCell::new(0);
    let works = |_: &[u8]| {
        *sent.borrow_mut() += 1;
        Some(Ok(()))
    };
    let long: Arc<[u8]> = vec![7; 2 << 20].into();
    let call = |_: &[u8], _| {
        // Its parts are under way, and nothing has come back for long.
        while push(&outbox, &[1; 10_000], &works).is_ok() {}
        outbox.lock().unwrap().last_arrival = Instant::now().checked_sub(STALL).unwrap();
        assert!(matches!(push(&outbox, &[1; 10_000], &works), Err(Error::QueueFull)));
        assert_eq!(*sent.borrow(), 0, "it would be taken for later than the long one");
        Ok(())
    };
    let sent = outbox.send_long(&long, None, &works, call).unwrap();
    assert_eq!(outbox.arrived(&long, &works), Some(alone(&outbox, sent)));
}

#[test]
fn a_long_message_whose_sender_panics_holds_nobody_up() {
    let outbox = outbox(None);
    let works = |_: &[u8]| Some(Ok(()));
    let long: Arc<[u8]> = vec![7; 2 << 20].into();
    let panics = |_: &[u8], _| -> Result<()> {
        push(&outbox, b"behind it", &works).unwrap();
        std::panic::panic_any("in the call")
    };
    let send_long = || outbox.send_long(&long, None, &works, panics);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(send_long)).is_err());
    assert!(!outbox.is_waiting(), "what is behind it has been sent");
    outbox.send_long(&long, Some(Instant::now()), &works, |_, _| Ok(())).unwrap();
}

#[test]
fn a_long_message_without_a_receiver_goes_out_after_what_flow_control_has_refused() {
    let outbox = outbox(None);
    // It waits in front, and the receiver that would try again goes.
    push(&outbox, b"before", &|_| Some(Err(Error::cs("cpg_mcast_joined", cpg_sys::CS_ERR_TRY_AGAIN))))
        .unwrap();
    outbox.unheard(&|_| Some(Err(Error::cs("cpg_mcast_joined", cpg_sys::CS_ERR_TRY_AGAIN))));
    let refusals = RefCell::new(3_u32);
    let later = |_: &[u8]| {
        let left = refusals.borrow().saturating_sub(1);
        let refused = refusals.replace(left) > 0;
        Some(if refused { Err(Error::cs("cpg_mcast_joined", cpg_sys::CS_ERR_TRY_AGAIN)) } else { Ok(()) })
    };
    let long: Arc<[u8]> = vec![7; 2 << 20].into();
    let begun = Instant::now();
    outbox.send_long(&long, Some(begun + STALL), &later, |_, _| Ok(())).unwrap();
    assert!(begun.elapsed() < STALL, "it has waited for {:?}", begun.elapsed());
}

#[test]
fn what_is_put_off_leaves_the_receiver_asleep_until_the_lock_is_given_back() {
    let outbox = outbox(None);
    push(&outbox, b"refused", &|_| Some(Err(Error::cs("cpg_mcast_joined", cpg_sys::CS_ERR_TRY_AGAIN))))
        .unwrap();
    outbox.lock().unwrap().retry.as_mut().unwrap().0 = Instant::now();
    // Its time has come, and a request of another thread waits for a paused daemon.
    outbox.retry(&|_| None);
    assert!(!outbox.readiness.is_set(), "it would be woken again and again");
    let sent = RefCell::new(0);
    outbox.go_on(&|_| {
        *sent.borrow_mut() += 1;
        Some(Ok(()))
    });
    assert_eq!((*sent.borrow(), outbox.is_waiting()), (1, false));
}

#[test]
fn a_long_message_goes_past_a_window_that_nothing_comes_back_to() {
    let outbox = outbox(None);
    let sent = RefCell::new(0);
    let works = |_: &[u8]| {
        *sent.borrow_mut() += 1;
        Some(Ok(()))
    };
    let short = vec![1; 300_000];
    let fill = || push(&outbox, &short, &works).unwrap();
    let nothing_comes = || outbox.lock().unwrap().last_arrival = Instant::now().checked_sub(STALL).unwrap();
    let long: Arc<[u8]> = vec![7; 2 << 20].into();
    let send_long = || outbox.send_long(&long, Some(Instant::now()), &works, |_, _| Ok(()));
    (0..4).for_each(|_| _ = fill());
    assert!(matches!(send_long(), Err(Error::QueueFull)), "the window is closed");
    nothing_comes();
    send_long().unwrap();
    assert!(matches!(send_long(), Err(Error::QueueFull)), "one message alone goes past it");
    // In its turn.
    fill();
    assert_eq!(*sent.borrow(), 4);
    nothing_comes();
    assert!(matches!(send_long(), Err(Error::QueueFull)));
    assert_eq!(*sent.borrow(), 5);
}

#[cfg(feature = "tokio")]
#[test]
fn a_task_that_gives_up_waiting_for_space_leaves_nothing_behind() {
    let outbox = outbox(None);
    while push(&outbox, &[1; 10_000], &|_| None).is_ok() {}
    for _ in 0..3 {
        let mut number = None;
        for _ in 0..2 {
            let cx = Context::from_waker(Waker::noop());
            let slices = [IoSlice::new(&[1; 10_000])];
            assert!(outbox.poll_push(&cx, &mut number, &slices, 10_000, &|_| None).is_pending());
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
        let waits = push(&outbox, b"waits", &|_| None);
        assert_eq!(waits.is_ok(), keep);
        outbox.unheard(&|_| None);
        assert_eq!(push(&outbox, b"late", &|_| None), Err(Error::ReceiverDropped));
        if let Ok(number) = waits {
            assert_eq!(outbox.outcome(number), Some(Err(Error::ReceiverDropped)));
        }
    }
}

#[test]
fn a_token_of_another_queue_is_an_error_and_never_another_message() {
    let works = |_: &[u8]| Some(Ok(()));
    let tokens: Vec<_> = (0..3)
        .map(|_| {
            let gone = outbox(None);
            push(&gone, b"delivered", &works).unwrap()
        })
        .collect();
    // The memory of a queue that has gone is used again.
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
    let works = |bytes: &[u8]| {
        sent.borrow_mut().push(bytes.to_vec());
        Some(Ok(()))
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
    let long: Arc<[u8]> = vec![7; 2 << 20].into();
    let long_sent = outbox.send_long(&long, None, &works, |_, _| Ok(())).unwrap();
    let settled = outbox.arrived(&long, &works).unwrap().end;
    assert_eq!(look(&outbox, settled), "returned lost");
    let open = push(&outbox, b"open", &works).unwrap();
    let outcomes = || [delivered, lost, long_sent, open].map(|token| outbox.outcome(token));
    let before = [Some(Ok(())), Some(Err(LOST)), Some(Ok(())), None];
    assert_eq!(outcomes(), before);
    outbox.close();
    assert_eq!(outcomes(), before);
    outbox.end(&Error::Left);
    assert_eq!(outcomes(), [Some(Ok(())), Some(Err(LOST)), Some(Ok(())), Some(Err(Error::Left))]);
}

#[test]
fn each_of_the_tickets_of_a_message_has_its_own_waker() {
    #[derive(Default)]
    struct Count(std::sync::atomic::AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let outbox = Arc::new(outbox(None));
    let works = |_: &[u8]| Some(Ok(()));
    let sent = push(&outbox, b"x", &works).unwrap();
    let later = push(&outbox, b"y", &works).unwrap();
    let counts: [Arc<Count>; 4] = Default::default();
    let wakers = counts.each_ref().map(|count| Waker::from(Arc::clone(count)));
    let tickets = [sent, sent, sent, later].map(|sent| Ticket::new(Arc::clone(&outbox), sent));
    let mut tickets: Vec<_> = tickets.into_iter().zip(&wakers).collect();
    let mut poll = |index: usize| {
        let (ticket, waker) = &mut tickets[index];
        Pin::new(ticket).poll(&mut Context::from_waker(waker))
    };
    assert!((0..4).all(|index| poll(index).is_pending() && poll(index).is_pending()));
    drop(tickets.remove(0));
    assert_eq!(look(&outbox, alone(&outbox, sent).end), "on");
    let woken = counts.each_ref().map(|count| count.0.load(Ordering::SeqCst));
    assert_eq!(woken, [0, 1, 1, 0]);
    drop(tickets);
    assert!(outbox.lock().unwrap().settled_wakers.is_empty());
}
