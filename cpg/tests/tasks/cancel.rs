//! Futures that are dropped half-way, at each poll: only what their documentation says is lost.
use std::future::Future;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::tasks::{eventually, message, on_each_runtime, polled, soon};
use crate::support::{deadline, name};
use cpg::tokio::{Sender, Session};
use cpg::{CsError, Error, Event, Handle, OwnedEvent};

/// Makes a future again and again, and drops it at its first poll, then at its second, and so on. Returns its output in
/// the end, and the number of dropped futures.
async fn at_each_poll<F: Future>(mut make: impl FnMut() -> F) -> (F::Output, usize) {
    for polls in 1.. {
        if let Some(output) = soon(polled(polls, make())).await {
            return (output, polls - 1);
        }
        tokio::task::yield_now().await;
    }
    unreachable!("it ends")
}

fn numbered(number: u32, len: usize) -> Vec<u8> {
    let mut message = vec![0; len.max(4)];
    message[..4].copy_from_slice(&number.to_le_bytes());
    message
}

fn number(payload: &[u8]) -> u32 {
    u32::from_le_bytes(*payload.first_chunk().unwrap())
}

/// Sends so many messages of all sizes, with pauses in which a receiver waits.
async fn send_numbers(sender: &Sender, count: u32) {
    for sent in 0..count {
        let len = if sent % 50 == 7 { 1_100_000 } else { 4 + sent as usize };
        soon(sender.send(&numbered(sent, len))).await.unwrap();
        if sent % 3 == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

/// Waits until a future has been dropped half-way.
async fn until_dropped(dropped: &AtomicUsize) {
    eventually("a future to be dropped half-way", || async {
        (dropped.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
}

#[test]
fn cancelled_receives_and_dispatches_lose_nothing() {
    const COUNT: u32 = 300;
    on_each_runtime(1, |_| async {
        let (sender, mut receiver) = soon(Session::join("events")).await.unwrap().split();
        soon(receiver.recv()).await.unwrap();
        let (dropped, mut heard) = (Arc::new(AtomicUsize::new(0)), Vec::new());
        let drops = |dropped: &AtomicUsize| _ = dropped.fetch_add(1, Ordering::Relaxed);
        let sending = tokio::spawn({
            let dropped = Arc::clone(&dropped);
            async move {
                send_numbers(&sender, COUNT - 1).await;
                until_dropped(&dropped).await;
                soon(sender.send(&numbered(COUNT - 1, 4))).await.unwrap();
            }
        });
        while heard.len() < COUNT as usize {
            let mut polls = 1;
            let event = loop {
                if let Some(event) = soon(polled(polls, receiver.recv())).await {
                    break event.unwrap();
                }
                polls += 1;
                drops(&dropped);
                tokio::task::yield_now().await;
            };
            let OwnedEvent::Deliver(message) = event else { panic!("{event:?}") };
            heard.push(number(message.payload()));
            let mut polls = 1;
            while heard.len() < COUNT as usize {
                let dispatching = receiver.dispatch(|_, event| {
                    let Event::Deliver(message) = event else { panic!("{event:?}") };
                    heard.push(number(message.payload()));
                });
                if soon(polled(polls, dispatching)).await.is_some() {
                    break;
                }
                polls += 1;
                drops(&dropped);
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(heard, (0..COUNT).collect::<Vec<_>>());
        soon(sending).await.unwrap();
        assert!(polled(1, receiver.recv()).await.is_none());
    });
}

#[test]
fn a_select_between_events_and_ticks_loses_nothing() {
    on_each_runtime(1, |_| async {
        let (sender, mut receiver) = soon(Session::join("select")).await.unwrap().split();
        soon(receiver.recv()).await.unwrap();
        let sending = tokio::spawn(async move { send_numbers(&sender, 200).await });
        let (mut next, mut ticks) = (0, tokio::time::interval(std::time::Duration::from_micros(500)));
        while next < 200 {
            tokio::select! {
                biased;
                _ = ticks.tick() => {}
                event = soon(receiver.recv()) => {
                    let OwnedEvent::Deliver(message) = event.unwrap() else { panic!() };
                    assert_eq!(number(message.payload()), next);
                    next += 1;
                }
            }
        }
        soon(sending).await.unwrap();
    });
}

#[test]
fn a_cancelled_short_send_was_not_sent() {
    on_each_runtime(2, |cluster| async move {
        let (sender, mut receiver) = soon(Session::join("sends")).await.unwrap().split();
        soon(receiver.recv()).await.unwrap();
        // While a node of the ring is paused, for less than the time of the token, the daemon's queue fills up.
        cluster.pause(2).unwrap();
        let (mut sent, mut next) = (Vec::new(), 0);
        while sender.try_send(&numbered(next, 1_000_000)).is_ok() {
            sent.push(next);
            next += 1;
        }
        let mut dropped = 0;
        for _ in 0..6 {
            next += 1;
            match polled(1, sender.send(&numbered(next, 1_000_000))).await {
                Some(result) => {
                    result.unwrap();
                    sent.push(next);
                }
                None => dropped += 1,
            }
        }
        cluster.resume(2).unwrap();
        let receiving = tokio::spawn(async move {
            let mut heard = Vec::new();
            while heard.last() != Some(&u32::MAX) {
                heard.push(number(&message(&mut receiver).await));
            }
            heard
        });
        let last = numbered(u32::MAX, 1_000_000);
        let (result, _) = at_each_poll(|| sender.send(&last)).await;
        result.unwrap();
        sent.push(u32::MAX);
        assert_eq!(soon(receiving).await.unwrap(), sent);
        assert!(dropped > 0, "no future was dropped half-way");
    });
}

#[test]
fn a_cancelled_send_that_waits_for_another_task_was_not_sent() {
    on_each_runtime(1, |cluster| async move {
        let mut session = soon(Session::join("behind")).await.unwrap();
        soon(session.recv()).await.unwrap();
        cluster.pause(1).unwrap();
        assert!(polled(1, session.members()).await.is_none());
        // The queue takes messages that the thread with the question holds up.
        let mut before = 0;
        while session.send(&vec![b'.'; 100_000]).is_ok() {
            before += 1;
        }
        for _ in 0..5 {
            assert!(polled(1, session.sender().send(&vec![b'x'; 100_000])).await.is_none());
        }
        cluster.resume(1).unwrap();
        for _ in 0..before {
            assert_eq!(message(&mut session).await, vec![b'.'; 100_000]);
        }
        session.send(b"sent").unwrap();
        assert_eq!(message(&mut session).await, b"sent");
    });
}

#[test]
fn a_cancelled_long_send_was_not_accepted() {
    on_each_runtime(1, |_| async {
        let (sender, mut receiver) = soon(Session::join("long")).await.unwrap().split();
        soon(receiver.recv()).await.unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        let receiving = tokio::spawn({
            let dropped = Arc::clone(&dropped);
            async move {
                // Until then nobody makes room in the queue.
                until_dropped(&dropped).await;
                let mut heard = Vec::new();
                while !heard.ends_with(&[number(b"end!")]) {
                    heard.push(number(&message(&mut receiver).await));
                }
                heard
            }
        });
        let (mut next, mut accepted) = (0, Vec::new());
        // The first futures find room at their first poll.
        while dropped.load(Ordering::Relaxed) == 0 {
            let mut made = 0;
            let (result, _) = at_each_poll(|| {
                dropped.fetch_add(made, Ordering::Relaxed);
                made = 1;
                next += 1;
                let (sender, message) = (&sender, numbered(next, 3_000_000));
                async move { sender.send(&message).await }
            })
            .await;
            result.unwrap();
            accepted.push(next);
        }
        soon(sender.send(b"end!")).await.unwrap();
        accepted.push(number(b"end!"));
        assert_eq!(soon(receiving).await.unwrap(), accepted);
    });
}

async fn is_empty(group: &'static str) -> Option<()> {
    let asking = tokio::task::spawn_blocking(move || Handle::connect()?.members_of(name(group)));
    asking.await.unwrap().unwrap().is_empty().then_some(())
}

#[test]
fn a_cancelled_join_ends_the_membership() {
    on_each_runtime(1, |_| async {
        let mut polls = 1;
        let session = loop {
            match soon(polled(polls, Session::join("joins"))).await {
                Some(Ok(session)) => break session,
                // The membership of the dropped join has not ended yet (B5).
                Some(Err(error)) => assert_eq!(error.code(), Some(CsError::Exist), "{error}"),
                None => polls += 1,
            }
            tokio::task::yield_now().await;
        };
        assert!(polls > 1, "no future was dropped half-way");
        soon(session.leave()).await.unwrap();
        // If the join was complete when its future is dropped, the membership ends as well.
        assert!(polled(1, Session::join("joins")).await.is_none());
        eventually("the membership to end", || is_empty("joins")).await;
    });
}

#[test]
fn a_cancelled_leave_ends_the_membership_under_the_senders() {
    on_each_runtime(1, |_| async {
        for polls in 1.. {
            let joining = tokio::task::spawn_blocking(|| {
                let handle = Handle::connect().unwrap();
                let socket = format!("/proc/self/fd/{}", handle.as_raw_fd());
                (cpg::Session::options().join_on_until(handle, "leaves", deadline()).unwrap(), socket)
            });
            let (session, socket) = joining.await.unwrap();
            let open = std::fs::read_link(&socket).unwrap();
            let (sender, receiver) = Session::new(session).unwrap().split();
            let left = soon(polled(polls, receiver.leave())).await;
            eventually("the handle to be closed", || async {
                std::fs::read_link(&socket).map_or(Some(()), |now| (now != open).then_some(()))
            })
            .await;
            assert!(matches!(sender.try_send(b"x"), Err(Error::Left)));
            eventually("the membership to end", || is_empty("leaves")).await;
            if let Some(result) = left {
                result.unwrap();
                assert!(polls > 1, "no future was dropped half-way");
                break;
            }
        }
    });
}

#[test]
fn a_cancelled_leave_fails_the_tickets_of_undelivered_messages() {
    on_each_runtime(1, |cluster| async move {
        let (sender, receiver) = soon(Session::join("tickets")).await.unwrap().split();
        cluster.pause(1).unwrap();
        let ticket = sender.ticket(sender.try_send(b"x").unwrap());
        assert!(polled(1, receiver.leave()).await.is_none());
        assert!(matches!(soon(ticket).await, Err(Error::Left)));
        cluster.resume(1).unwrap();
    });
}

#[test]
fn cancelled_questions_do_not_harm_the_connection() {
    on_each_runtime(1, |_| async {
        let (sender, mut receiver) = soon(Session::join("asks")).await.unwrap().split();
        let mut all = 0;
        for _ in 0..50 {
            let (members, dropped) = at_each_poll(|| sender.members()).await;
            assert_eq!(members.unwrap(), [sender.me()]);
            all += dropped;
        }
        assert!(all > 0, "no future was dropped half-way");
        soon(sender.send(b"whole")).await.unwrap();
        assert_eq!(message(&mut receiver).await, b"whole");
    });
}
