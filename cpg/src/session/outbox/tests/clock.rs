//! The times at which the receiver looks again.

use super::*;

#[test]
fn a_message_that_waits_goes_out_when_those_in_flight_do_not_come_back() {
    for flow in [Flow::new().window_size(1), Flow::coalesced().window_size(1)] {
        let outbox = Outbox::new(flow.sizes(1 << 20), None, Readiness::new(&[]).unwrap());
        let sent = RefCell::new(Vec::new());
        let works = |_: u64, bytes: &mut Bytes| {
            sent.borrow_mut().push(bytes.to_vec());
            Handed::Sent
        };
        push(&outbox, b"dropped", &works).unwrap();
        assert_eq!(alarm(&outbox), Alarm::Off, "nothing waits");
        let kept = push(&outbox, b"waits", &works).unwrap();
        let before = alarm(&outbox);
        assert!(matches!(before, Alarm::At(at) if at > Instant::now() + STALL / 2));
        // Nothing goes out before its time, and the timer is not set for each message.
        assert_eq!(look(&outbox, 0), "on");
        push(&outbox, b"too", &works).unwrap();
        outbox.end_dispatch(0, false);
        assert_eq!(alarm(&outbox), before);
        rings(&outbox);
        assert_eq!(look(&outbox, 0), "on");
        assert_eq!(sent.borrow().len(), 1, "those in flight may be in libcpg");
        assert!(
            matches!(alarm(&outbox), Alarm::At(at) if at <= Instant::now()),
            "it looks until it finds nothing"
        );
        outbox.found_nothing(&works);
        let packets = sent.take();
        assert_eq!(packets.len(), 2, "one goes out past the window");
        outbox.found_nothing(&|_, _| panic!("a message has just gone out"));
        // If it does come back, its delivery shows that the one before it was dropped.
        let arrived = outbox.arrived(&packets[1], &works).unwrap();
        assert!(arrived.contains(&1));
        assert_eq!(look(&outbox, arrived.end), "returned dropped");
        assert_eq!(outbox.outcome(kept), Some(Ok(())));
    }
}

#[test]
fn a_message_that_waits_goes_out_each_time_that_nothing_has_come_back_for_long() {
    let outbox = Outbox::new(Flow::new().window_size(1).sizes(1 << 20), None, Readiness::new(&[]).unwrap());
    let sent = RefCell::new(0);
    let works = |_: u64, _: &mut Bytes| {
        *sent.borrow_mut() += 1;
        Handed::Sent
    };
    (0..4).for_each(|number| _ = push(&outbox, &[number], &works).unwrap());
    for expected in 2..5 {
        rings(&outbox);
        assert_eq!(look(&outbox, 0), "on");
        outbox.found_nothing(&works);
        assert_eq!(*sent.borrow(), expected);
    }
    assert_eq!(alarm(&outbox), Alarm::Off, "nothing waits");
}

#[test]
fn the_wait_for_a_thread_to_come_back_by_ends_with_its_time() {
    let outbox = outbox(Some(true));
    outbox.lose(&LOST);
    outbox.look_again(Duration::from_secs(1));
    assert!(matches!(alarm(&outbox), Alarm::At(_)));
    rings(&outbox);
    assert_eq!(look(&outbox, 0), "on");
    assert_eq!(alarm(&outbox), Alarm::Off, "it would be woken again and again");
    // A session that is back before that time is woken once more, and sends at once what is given to it.
    outbox.look_again(Duration::from_secs(1));
    outbox.reopen(&|_, _| Handed::Sent);
    let sent = RefCell::new(0);
    push(&outbox, b"at once", &|_, _| {
        *sent.borrow_mut() += 1;
        Handed::Sent
    })
    .unwrap();
    assert_eq!(*sent.borrow(), 1);
    rings(&outbox);
    assert_eq!((look(&outbox, 0), alarm(&outbox)), ("on".to_owned(), Alarm::Off));
}

#[test]
fn what_is_put_off_leaves_the_receiver_asleep_until_the_lock_is_given_back() {
    let outbox = outbox(None);
    push(&outbox, b"refused", &|_, _| Handed::Refused(AGAIN)).unwrap();
    rings(&outbox);
    // The time of the retry has come, and a request of another thread waits for a paused daemon.
    look_and_send(&outbox, 0, &|_, _| Handed::Busy);
    assert_eq!(alarm(&outbox), Alarm::Off, "it would be woken again and again");
    let sent = RefCell::new(0);
    outbox.go_on(&|_, _| {
        *sent.borrow_mut() += 1;
        Handed::Sent
    });
    assert_eq!((*sent.borrow(), outbox.is_waiting()), (1, false));
}

#[test]
fn a_sender_does_not_put_off_what_the_receiver_has_to_do_now() {
    let outbox = outbox(None);
    outbox.begin_dispatch();
    outbox.end_dispatch(0, true);
    for message in [vec![0; 2 << 20], vec![1]] {
        push(&outbox, &message, &|_, _| Handed::Sent).unwrap();
    }
    assert!(outbox.is_waiting());
    assert_eq!(alarm(&outbox), Alarm::Now);
    assert_eq!(look(&outbox, 0), "on");
    assert!(matches!(alarm(&outbox), Alarm::At(at) if at > Instant::now() + STALL / 2));
}

#[test]
fn the_time_of_a_refused_message_is_forgotten_when_it_has_been_sent() {
    let outbox = outbox(None);
    push(&outbox, &vec![0; 2 << 20], &|_, _| Handed::Refused(AGAIN)).unwrap();
    assert!(matches!(alarm(&outbox), Alarm::At(at) if at < Instant::now() + STALL / 2));
    // A request has ended, and its thread goes on with the queue.
    outbox.go_on(&|_, _| Handed::Sent);
    push(&outbox, b"waits", &|_, _| Handed::Sent).unwrap();
    assert!(outbox.is_waiting());
    assert!(matches!(alarm(&outbox), Alarm::At(at) if at > Instant::now() + STALL / 2));
}
