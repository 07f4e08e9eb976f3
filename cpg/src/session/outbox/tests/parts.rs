//! Messages whose parts a thread sends.

use std::cell::Cell;

use super::*;

/// A connection that sends messages of one letter in parts, on a thread.
#[derive(Default)]
struct Parts {
    under_way: Cell<Option<u64>>,
    /// The messages that the daemon has, and those of which it has parts.
    sent: RefCell<Vec<String>>,
}

impl Parts {
    fn send(&self) -> impl Fn(u64, &mut Bytes) -> Handed {
        |number, bytes| {
            assert!(self.under_way.get().is_none(), "the half can be back before the queue knows the result");
            let text: Vec<_> = read::messages(bytes)
                .map(|message| String::from_utf8(message.unwrap().to_vec()).unwrap())
                .collect();
            let parts = text[0].len() == 1;
            self.sent.borrow_mut().push(text.join(" "));
            if !parts {
                return Handed::Sent;
            }
            bytes.share();
            self.under_way.set(Some(number));
            Handed::UnderWay
        }
    }

    /// Ends the work of the thread with this result.
    fn end(&self, outbox: &Outbox, result: Result<()>) -> Option<Duration> {
        outbox.parted(self.under_way.take().unwrap(), result, &self.send())
    }

    fn sent(&self) -> Vec<String> {
        self.sent.take()
    }
}

#[test]
fn what_is_behind_a_message_in_parts_is_sent_when_its_parts_have_been() {
    let (outbox, parts) = (outbox(None), Parts::default());
    let send = parts.send();
    for message in [&b"before"[..], b"L", b"behind", b"it"] {
        push(&outbox, message, &send).unwrap();
    }
    assert_eq!(parts.sent(), ["before", "L"]);
    assert!(outbox.is_waiting(), "a leave waits for it");
    // The message behind does not go out either when there is room, when nothing has come back for long, or when the message in
    // parts has come back.
    outbox.lock().unwrap().progress = Instant::now().checked_sub(STALL).unwrap();
    push(&outbox, b"later", &send).unwrap();
    assert_eq!(alarm(&outbox), Alarm::Off, "the thread goes on");
    outbox.found_nothing(&send);
    outbox.go_on(&send);
    outbox.arrived(&packet_of(b"before"), &send).unwrap();
    outbox.arrived(&packet_of(b"L"), &send).unwrap();
    assert!(parts.sent().is_empty() && outbox.is_waiting());
    parts.end(&outbox, Ok(()));
    assert_eq!((parts.sent(), outbox.is_waiting()), (vec!["behind it later".to_owned()], false));
}

#[test]
fn a_message_in_parts_that_members_interrupt_is_begun_again_before_what_is_behind_it() {
    let (outbox, parts) = (outbox(None), Parts::default());
    let send = parts.send();
    let ticket = push(&outbox, b"L", &send).unwrap();
    push(&outbox, b"behind", &send).unwrap();
    for _ in 0..1000 {
        parts.end(&outbox, Err(Error::cs("cpg_mcast_joined", cpg_sys::CS_ERR_INTERRUPT)));
        assert_eq!(parts.sent().pop().unwrap(), "L");
        assert!(parts.sent().is_empty() && outbox.is_waiting());
    }
    parts.end(&outbox, Ok(()));
    assert_eq!(parts.sent(), ["behind"]);
    outbox.arrived(&packet_of(b"L"), &send).unwrap();
    assert_eq!(look(&outbox, 1), "on");
    assert_eq!(outbox.outcome(ticket), Some(Ok(())));
}

#[test]
fn a_message_in_parts_that_flow_control_refuses_is_tried_again_when_its_time_has_come() {
    let (outbox, parts) = (outbox(None), Parts::default());
    let send = parts.send();
    push(&outbox, b"L", &send).unwrap();
    push(&outbox, b"behind", &send).unwrap();
    assert_eq!(parts.end(&outbox, Err(AGAIN)), None, "the receiver has a clock");
    assert_eq!(parts.sent(), ["L"]);
    rings(&outbox);
    look_and_send(&outbox, 0, &send);
    assert_eq!(parts.sent(), ["L"]);
    // A message that comes back was sent, whatever libcpg says.
    outbox.arrived(&packet_of(b"L"), &send).unwrap();
    parts.end(&outbox, Err(AGAIN));
    assert_eq!(parts.sent(), ["behind"]);
}

#[test]
fn a_message_in_parts_that_is_refused_waits_for_what_is_in_flight_and_not_for_ever() {
    let (outbox, parts) = (outbox(None), Parts::default());
    let send = parts.send();
    push(&outbox, b"before", &send).unwrap();
    push(&outbox, b"L", &send).unwrap();
    assert_eq!(parts.end(&outbox, Err(AGAIN)), None);
    assert_eq!(parts.sent(), ["before", "L"]);
    rings(&outbox);
    assert_eq!(look_and_send(&outbox, 0, &send), "on");
    outbox.found_nothing(&send);
    assert_eq!(parts.sent(), ["L"]);
}

#[test]
fn a_message_in_parts_is_handed_back_with_its_membership_and_the_next_one_hears_nothing_of_it() {
    for keep in [false, true] {
        for result in [Ok(()), Err(LOST), Err(AGAIN)] {
            let (outbox, parts) = (outbox(Some(keep)), Parts::default());
            let ticket = push(&outbox, b"L", &parts.send()).unwrap();
            push(&outbox, b"behind", &parts.send()).unwrap();
            // The receiver is told of the loss before the thread.
            outbox.lose(&LOST);
            assert_eq!(look(&outbox, 0), "returned L");
            assert!(outbox.outcome(ticket).unwrap().unwrap_err().is_connection_lost());
            assert_eq!(look(&outbox, 0), if keep { "on" } else { "returned behind" });
            let old = parts.under_way.take().unwrap();
            outbox.reopen(&parts.send());
            push(&outbox, b"M", &parts.send()).unwrap();
            parts.sent();
            outbox.parted(old, result, &parts.send());
            assert_eq!(look(&outbox, 0), "on");
            assert!(parts.sent().is_empty() && outbox.is_waiting(), "M is under way");
            parts.end(&outbox, Ok(()));
        }
    }
    // The thread is told before the receiver. Some parts of the message have been sent, and perhaps all.
    let (outbox, parts) = (outbox(Some(true)), Parts::default());
    push(&outbox, b"L", &parts.send()).unwrap();
    push(&outbox, b"behind", &parts.send()).unwrap();
    parts.end(&outbox, Err(LOST));
    assert_eq!(look(&outbox, 0), "lost");
    outbox.lose(&LOST);
    let Look::Returned(message) = outbox.look(0, &|_, _| panic!("nothing waits")) else {
        panic!("it is handed back")
    };
    assert!(message.payload() == b"L" && message.was_sent());
    assert_eq!(look(&outbox, 0), "on", "what is kept is sent");
}

#[test]
fn a_message_in_parts_whose_thread_panics_ends_the_session_with_an_error() {
    let (outbox, parts) = (outbox(Some(true)), Parts::default());
    push(&outbox, b"L", &parts.send()).unwrap();
    parts.end(&outbox, Err(Error::io("a thread")(std::io::Error::other("it panicked"))));
    assert_eq!(look(&outbox, 0), "returned L");
    assert!(matches!(push(&outbox, b"more", &parts.send()), Err(Error::Io { .. })));
}

#[test]
fn who_waits_for_a_message_in_parts_is_woken_at_its_end() {
    let (outbox, parts) = (outbox(None), Parts::default());
    let (begun, time) = (Instant::now(), Duration::from_secs(60));
    assert!(!outbox.has_parted(begun + time), "there is none");
    loop {
        push(&outbox, b"L", &parts.send()).unwrap();
        assert!(!outbox.has_parted(Instant::now()), "it is under way");
        let number = parts.under_way.take().unwrap();
        let waited = std::thread::scope(|scope| {
            scope.spawn(|| outbox.parted(number, Ok(()), &|_, _| Handed::Busy));
            outbox.has_parted(begun + time)
        });
        assert!(begun.elapsed() < time);
        outbox.arrived(&packet_of(b"L"), &parts.send()).unwrap();
        // Otherwise the thread had ended before the wait.
        if waited {
            break;
        }
    }
}

#[test]
fn without_a_receiver_the_thread_of_a_message_in_parts_has_the_clock() {
    let (outbox, parts) = (outbox(None), Parts::default());
    let send = parts.send();
    outbox.unheard(&send);
    push(&outbox, b"L", &send).unwrap();
    assert_eq!(push(&outbox, b"behind", &send), Err(AGAIN));
    assert!(parts.end(&outbox, Err(AGAIN)).is_some());
    outbox.go_on(&send);
    assert_eq!(parts.sent(), ["L", "L"]);
    assert_eq!(parts.end(&outbox, Ok(())), None);
    push(&outbox, b"behind", &send).unwrap();
    assert_eq!((parts.sent(), outbox.is_waiting()), (vec!["behind".to_owned()], false));
}
