//! The tasks that are woken.

use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn each_of_the_tickets_of_a_message_has_its_own_waker() {
    let outbox = Arc::new(outbox(None));
    let works = |_: u64, _: &mut Bytes| Handed::Sent;
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

/// A waker that panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a fault of the waker");
    }
}

#[test]
fn a_waker_that_panics_costs_no_other_task_its_wake_up() {
    let outbox = Arc::new(outbox(None));
    let sent = push(&outbox, b"x", &|_, _| Handed::Sent).unwrap();
    let counts: [Arc<Count>; 2] = Default::default();
    let [first, last] = counts.each_ref().map(|count| Waker::from(Arc::clone(count)));
    let mut tickets = Vec::new();
    for waker in [first, Waker::from(Arc::new(Panics)), last] {
        let mut ticket = Ticket::new(Arc::clone(&outbox), sent);
        assert!(Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker)).is_pending());
        tickets.push(ticket);
    }
    // This thread does not see the panic, which would cost it an event.
    outbox.arrived(&packet_of(b"x"), &|_, _| Handed::Sent).unwrap();
    assert_eq!(look(&outbox, alone(&outbox, sent).end), "on");
    assert_eq!(counts.each_ref().map(|count| count.0.load(Ordering::SeqCst)), [1, 1]);
}
