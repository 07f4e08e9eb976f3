//! Clients with a plain group, which do everything on one thread.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cpg::{Event, Group, Limits, Link, OwnedEvent};

use super::book::Book;
use super::child;
use super::{JOIN, LEAVE, TICK, Task, Traffic, connect, ending, lost};
use crate::style::Kind;

/// Sends the messages that are due now.
fn send(link: &Link, book: &Book, traffic: &mut Traffic) {
    while let Some(len) = traffic.due() {
        let (seq, bytes) = book.make(len, false, false);
        let sent = if traffic.random.one_in(2) {
            link.send(&bytes)
        } else {
            link.send_until(&bytes, Instant::now() + Duration::from_millis(50))
        };
        if let Err(error) = sent {
            book.refused(seq, &error, bytes.len());
            return;
        }
    }
}

/// Sends the last message, until the daemon accepts it.
fn send_last(link: &Link, book: &Book) -> bool {
    let (seq, bytes) = book.make(100, false, true);
    match link.send_until(&bytes, Instant::now() + JOIN) {
        Ok(()) => true,
        Err(error) => {
            book.refused(seq, &error, bytes.len());
            false
        }
    }
}

/// Handles events for a moment. An error ends the membership.
fn handle(group: &mut Group, task: &Task, book: &Arc<Book>, traffic: &mut Traffic) -> cpg::Result<()> {
    let until = Instant::now() + TICK;
    let me = group.me();
    if task.style.kind == Kind::Recv {
        while let Some(event) = group.recv_until(until)? {
            owned(&event, book, me);
        }
        return Ok(());
    }
    let handled = group.run(Limits::forever().until(until), |link, event| {
        if child::in_handler(book, || link.send(child::MESSAGE)) {
            return Continue(());
        }
        book.event(&event, me);
        let quiet = book.is_quiet();
        if !quiet && matches!(event, Event::Deliver(_)) && traffic.random.one_in(16) {
            send(link, book, traffic);
        }
        if traffic.random.one_in(200) { Break(()) } else { Continue(()) }
    });
    child::after(book, &handled, || group.dispatch(Limits::available(), |_, _| ()));
    handled.map(drop)
}

fn owned(event: &OwnedEvent, book: &Book, me: cpg::Member) {
    match event {
        OwnedEvent::Deliver(message) => book.message(message),
        OwnedEvent::ConfChg(view) => book.event(&Event::ConfChg(view.as_view()), me),
        OwnedEvent::TotemConfChg(ring) => book.ring(ring),
        other => eprintln!("not understood: {other:?}"),
    }
}

/// Runs a client until it is told to stop.
pub fn run(task: &Task, book: &Arc<Book>) {
    let mut traffic = Traffic::new(task);
    let mut sent_last = false;
    let watch = book.watch("the thread");
    while !book.is_stopping() {
        watch.beat("joins");
        let Ok(mut group) = connect().join_until(task.group(), Instant::now() + JOIN) else {
            std::thread::sleep(TICK);
            continue;
        };
        book.begin(group.me());
        let stay = task.stay(&mut traffic.random);
        let error = loop {
            if let Some(time) = book.take_stall() {
                std::thread::sleep(time);
            }
            watch.beat("dispatches");
            // A client without a handler forks between two dispatches in both cases.
            let forks = child::between(book)
                || (task.style.kind == Kind::Recv && child::in_handler(book, || group.send(child::MESSAGE)));
            if forks {
                child::tried(&group.send(child::MESSAGE));
                child::tried(&group.dispatch(Limits::available(), |_, _| ()));
                drop(group);
                child::done();
            }
            if let Err(error) = handle(&mut group, task, book, &mut traffic) {
                break Some(error);
            }
            book.flush();
            if !book.is_quiet() {
                send(&group, book, &mut traffic);
                if stay.is_some_and(|until| Instant::now() >= until) {
                    break None;
                }
            } else if book.is_last_wanted() && !sent_last {
                sent_last = send_last(&group, book);
            }
            if book.is_stopping() {
                break None;
            }
        };
        watch.beat("leaves");
        let ended = if let Some(error) = error {
            lost(&error)
        } else {
            let me = group.me();
            ending(&group.leave_until(Instant::now() + LEAVE, |_, event| book.event(&event, me)))
        };
        book.end(ended, false);
    }
}
