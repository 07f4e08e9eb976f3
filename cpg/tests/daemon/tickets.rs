//! Tickets, and messages that are handed back: the fate of each message.

use std::cell::Cell;
use std::future::Future as _;
use std::io::IoSlice;
use std::ops::ControlFlow::{Break, Continue};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use crate::support::{deadline, receive, split_with, wait_for};
use cpg::{Ended, Error, Event, Flow, Limits, OwnedEvent, Receiver, Sent, Ticket, Undelivered};
use testcluster::Cluster;

fn flows() -> [Flow; 2] {
    [Flow::new(), Flow::coalesced()]
}

#[test]
fn a_ticket_is_resolved_when_the_message_has_been_handled() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for flow in flows() {
            let (sender, mut receiver) = split_with(flow, "tickets");
            let tickets: Vec<Ticket> =
                (0..100_u8).map(|number| sender.ticket(sender.send(&[number]).unwrap())).collect();
            let late = tickets[0].wait_until(Instant::now()).unwrap_err();
            assert!(matches!(late, Error::TimedOut { .. }), "{late}");
            let heard = Cell::new(0);
            while heard.get() < tickets.len() {
                let one = receiver.dispatch(Limits::one().until(deadline()), |_, event| {
                    if let Event::Deliver(message) = event {
                        let number = usize::from(message.payload()[0]);
                        assert_eq!(number, heard.get());
                        assert!(tickets[number].outcome().is_none(), "the message is still being handled");
                        heard.set(number + 1);
                    }
                });
                assert_eq!(one.unwrap(), 1);
                for (number, ticket) in tickets.iter().enumerate() {
                    let resolved = ticket.outcome();
                    assert_eq!(resolved.is_some(), number < heard.get(), "{number} of {}", heard.get());
                    assert!(resolved.is_none_or(|outcome| outcome.is_ok()));
                }
            }
            // Dropping a ticket cancels nothing.
            drop(sender.ticket(sender.send(b"dropped").unwrap()));
            assert_eq!(receive(&mut receiver, 1), [b"dropped"]);
        }
    });
}

#[test]
fn every_send_gives_a_token_whose_ticket_can_be_made_at_any_time() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for flow in flows() {
            let (sender, mut receiver) = split_with(flow, "late");
            let sending = std::thread::spawn({
                let sender = sender.clone();
                move || {
                    let slices = [IoSlice::new(b"3"), IoSlice::new(b"4")];
                    [
                        sender.send(b"1").unwrap(),
                        sender.send(&vec![2; 3_000_000]).unwrap(),
                        sender.send_vectored(&slices).unwrap(),
                        sender.send_until(b"5", deadline()).unwrap(),
                        sender.try_send(b"6").unwrap(),
                    ]
                }
            });
            let heard = receive(&mut receiver, 5);
            assert!(heard == [&b"1"[..], &vec![2; 3_000_000], b"34", b"5", b"6"]);
            let delivered = sending.join().unwrap();
            let outcomes = |tokens: &[Sent]| {
                tokens.iter().map(|sent| sender.ticket(*sent).outcome()).collect::<Vec<_>>()
            };
            assert_eq!(outcomes(&delivered), [const { Some(Ok(())) }; 5]);

            // The first message of another session has the number of one that was delivered here.
            let (other, _other_receiver) = split_with(flow, "other");
            let foreign = [other.send(b"x").unwrap()];
            assert_eq!(outcomes(&foreign), [Some(Err(Error::ForeignToken))]);
            assert_eq!(sender.ticket(foreign[0]).wait(), Err(Error::ForeignToken));

            // A leave whose deadline has passed dispatches one event and no more.
            let [_, open] = [b"7", b"8"].map(|message| sender.send(message).unwrap());
            assert_eq!(outcomes(&[open]), [None]);
            let late = receiver.leave_until(Instant::now(), |_, _| ());
            assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
            assert_eq!(outcomes(&[open]), [Some(Err(Error::Left))]);
            assert_eq!(outcomes(&delivered), [const { Some(Ok(())) }; 5]);
        }
    });
}

#[test]
fn the_timeout_of_a_ticket_says_if_no_thread_has_ever_dispatched() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::new(), "nobody");
        let ticket = sender.ticket(sender.send(b"x").unwrap());
        let never = ticket.wait_until(Instant::now()).unwrap_err();
        assert!(never.to_string().contains("nobody has dispatched"), "{never}");
        receiver.dispatch(Limits::available().at_most(1), |_, _| ()).unwrap();
        let ticket = sender.ticket(sender.send(b"y").unwrap());
        let late = ticket.wait_until(Instant::now()).unwrap_err();
        assert!(!late.to_string().contains("nobody has dispatched"), "{late}");
    });
}

#[test]
fn a_ticket_is_resolved_while_the_dispatch_waits_for_more() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for flow in flows() {
            let (sender, mut receiver) = split_with(flow, "more");
            let waker = cpg::Waker::new().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let resolved = sender.ticket(sender.send(b"alone").unwrap()).wait_until(deadline());
                    waker.wake();
                    resolved.unwrap();
                });
                let limits = Limits::forever().woken_by(&waker);
                let ended = receiver.run::<()>(limits, |_, _| Continue(())).unwrap();
                assert_eq!(ended, Ended::Woken);
            });
        }
    });
}

#[test]
fn a_message_whose_handler_panics_counts_as_handled() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for flow in flows() {
            let (sender, mut receiver) = split_with(flow, "panic");
            let ticket = sender.ticket(sender.send(b"x").unwrap());
            let mut dispatch = || {
                receiver.dispatch(Limits::forever().until(deadline()), |_, event| {
                    if let Event::Deliver(_) = event {
                        std::panic::panic_any("in the handler");
                    }
                })
            };
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut dispatch)).is_err());
            assert!(matches!(ticket.outcome(), Some(Ok(()))));
        }
    });
}

#[test]
fn a_thread_waits_for_its_message() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for flow in flows() {
            let (sender, mut receiver) = split_with(flow, "threads");
            let handled = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                let threads: Vec<_> = (1..=4_usize)
                    .map(|id| {
                        let (sender, handled) = (sender.clone(), &handled);
                        scope.spawn(move || {
                            for _ in 0..50 {
                                let before = handled.load(Ordering::SeqCst);
                                let ticket = sender.ticket(sender.send(&id.to_le_bytes()).unwrap());
                                ticket.wait_until(deadline()).unwrap();
                                assert!(handled.load(Ordering::SeqCst) > before);
                            }
                        })
                    })
                    .collect();
                while handled.load(Ordering::SeqCst) < 200 {
                    receiver
                        .dispatch(Limits::one().until(deadline()), |_, event| {
                            if let Event::Deliver(_) = event {
                                handled.fetch_add(1, Ordering::SeqCst);
                            }
                        })
                        .unwrap();
                }
                for thread in threads {
                    thread.join().unwrap();
                }
            });
        }
    });
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_ticket_is_a_future_for_any_executor() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::new(), "future");
        let mut ticket = sender.ticket(sender.send(b"x").unwrap());
        let mut dropped = sender.ticket(sender.send(b"y").unwrap());
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let poll = |ticket: &mut Ticket| Pin::new(ticket).poll(&mut Context::from_waker(&waker));
        assert!(poll(&mut ticket).is_pending() && poll(&mut ticket).is_pending());
        assert!(poll(&mut dropped).is_pending());
        drop(dropped);
        receive(&mut receiver, 2);
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "woken once, and not for one that has been dropped");
        assert!(matches!(poll(&mut ticket), Poll::Ready(Ok(()))));
    });
}

/// Drops a ticket when it is woken, as an executor that has ended drops a task that is woken.
struct Drops(Mutex<Option<Ticket>>);

impl Wake for Drops {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take().expect("the waker is called only once"));
    }
}

#[test]
fn a_waker_of_a_task_may_use_and_drop_tickets() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::new(), "wakers");
        let mut ticket = sender.ticket(sender.send(b"x").unwrap());
        let mut other = sender.ticket(sender.send(b"y").unwrap());
        assert!(Pin::new(&mut other).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let waker = Waker::from(Arc::new(Drops(Mutex::new(Some(other)))));
        assert!(Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker)).is_pending());
        // On another thread, so that a lock that is never released makes the test fail and not hang.
        let (done, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(receive(&mut receiver, 2)));
        assert_eq!(heard.recv_timeout(crate::support::PATIENCE).unwrap(), [b"x", b"y"]);
        assert!(matches!(ticket.outcome(), Some(Ok(()))));
    });
}

#[test]
fn a_ticket_does_not_keep_the_membership() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, receiver) = split_with(Flow::new(), "kept by nobody");
        let ticket = sender.ticket(sender.send(b"x").unwrap());
        drop((sender, receiver));
        let handle = cpg::Handle::connect().unwrap();
        wait_for("the end", || handle.processes().unwrap().is_empty().then_some(()));
        assert!(matches!(ticket.wait(), Err(Error::ReceiverDropped)));
    });
}

/// The messages that were delivered, and those that were handed back.
type Ends = (Vec<Vec<u8>>, Vec<Undelivered>);

/// Sends 300 messages. When the daemon dies, some are in flight and some wait. Collects the fate of each.
fn lost(flow: Flow, hear: fn(Receiver) -> Ends) {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, receiver) = split_with(flow, "lost");
        cluster.pause(1).unwrap();
        let tickets: Vec<_> =
            (0..300_u32).map(|number| sender.ticket(sender.send(&number.to_le_bytes()).unwrap())).collect();
        let waiting = std::thread::spawn({
            let ticket = sender.ticket(sender.send(&300_u32.to_le_bytes()).unwrap());
            move || ticket.wait()
        });
        cluster.kill(1).unwrap();
        let (delivered, returned) = hear(receiver);
        let all = delivered.iter().map(Vec::as_slice).chain(returned.iter().map(Undelivered::payload));
        let all: Vec<_> = all.map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect();
        assert_eq!(all, (0..=300).collect::<Vec<_>>());
        assert!(returned.iter().all(|message| message.error().is_connection_lost()));
        assert!(
            returned.iter().is_sorted_by_key(|message| !message.was_sent()),
            "those in flight come first"
        );
        assert!(returned.iter().any(|message| !message.was_sent()));
        for (number, ticket) in tickets.iter().enumerate() {
            let outcome = ticket.outcome().unwrap();
            assert_eq!(outcome.is_ok(), number < delivered.len());
            assert!(outcome.is_ok() || outcome.unwrap_err().is_connection_lost());
        }
        assert!(waiting.join().unwrap().unwrap_err().is_connection_lost());
        assert!(sender.send(b"x").is_err());
    });
}

#[test]
fn undelivered_messages_of_a_lost_daemon_come_back_to_a_handler() {
    for flow in [Flow::new().window_size(100_000), Flow::coalesced().packet_size(100).window_size(300)] {
        lost(flow, |mut receiver| {
            let (mut delivered, mut returned) = (Vec::new(), Vec::new());
            let error = receiver
                .run(Limits::forever(), |_, event| {
                    match event {
                        Event::Deliver(message) => delivered.push(message.payload().to_vec()),
                        Event::Undelivered(message) => returned.push(message),
                        _ => {}
                    }
                    Continue::<()>(())
                })
                .unwrap_err();
            assert!(error.is_connection_lost(), "{error}");
            (delivered, returned)
        });
    }
}

#[test]
fn undelivered_messages_of_a_lost_daemon_come_back_one_by_one() {
    lost(Flow::new().window_size(100_000), |mut receiver| {
        let (mut delivered, mut returned) = (Vec::new(), Vec::new());
        for event in receiver.events() {
            match event {
                Ok(OwnedEvent::Deliver(message)) => delivered.push(message.into_payload()),
                Ok(OwnedEvent::Undelivered(message)) => returned.push(message),
                Ok(_) => {}
                Err(error) => assert!(error.is_connection_lost(), "{error}"),
            }
        }
        (delivered, returned)
    });
}

#[test]
fn undelivered_messages_of_a_lost_daemon_come_back_when_leaving() {
    lost(Flow::new().window_size(100_000), |receiver| {
        let (mut delivered, mut returned) = (Vec::new(), Vec::new());
        let error = receiver
            .leave_until(deadline(), |_, event| match event {
                Event::Deliver(message) => delivered.push(message.payload().to_vec()),
                Event::Undelivered(message) => returned.push(message),
                _ => {}
            })
            .unwrap_err();
        assert!(error.is_connection_lost(), "{error}");
        (delivered, returned)
    });
}

#[test]
fn messages_not_sent_by_the_deadline_of_a_leave_come_back() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::new().window_size(1), "late");
        receiver.dispatch(Limits::one().until(deadline()), |_, _| ()).unwrap();
        let tickets = [b"first", b"other"].map(|text| sender.ticket(sender.send(text).unwrap()));
        let mut returned = Vec::new();
        let late = receiver
            .leave_until(Instant::now(), |_, event| {
                if let Event::Undelivered(message) = event {
                    returned.push((message.was_sent(), message.into_payload()));
                }
            })
            .unwrap_err();
        assert!(matches!(late, Error::TimedOut { .. }), "{late}");
        assert_eq!(returned, [(true, b"first".to_vec()), (false, b"other".to_vec())]);
        assert!(tickets.iter().all(|ticket| matches!(ticket.outcome(), Some(Err(Error::Left)))));
    });
}

#[test]
fn a_panic_while_messages_come_back_leaves_the_others() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::new().window_size(1), "panic");
        receiver.dispatch(Limits::one().until(deadline()), |_, _| ()).unwrap();
        cluster.pause(1).unwrap();
        for number in 0..3_u8 {
            sender.send(&[number]).unwrap();
        }
        cluster.kill(1).unwrap();
        let returned = Cell::new(0);
        let mut next = || {
            receiver.run(Limits::forever(), |_, event| {
                let Event::Undelivered(message) = event else { return Continue(()) };
                assert_eq!(message.payload(), [returned.get()]);
                returned.set(returned.get() + 1);
                if returned.get() == 2 { std::panic::panic_any("the second") } else { Break(()) }
            })
        };
        next().unwrap();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut next)).is_err());
        next().unwrap();
        assert_eq!(returned.get(), 3);
        assert!(wait_for("the error", || next().err()).is_connection_lost());
    });
}
