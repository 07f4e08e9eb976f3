//! Clients with a whole session, which do everything on one thread. No send waits.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;
use std::time::Instant;

use cpg::{Event, Limits, Sender, Session};

use super::book::Book;
use super::child;
use super::tickets::Tickets;
use super::{JOIN, LEAVE, TICK, Task, Traffic, ending, lost};

/// Sends a message. Returns false if it was refused.
fn send(sender: &Sender, book: &Book, tickets: &mut Tickets, len: usize, tracked: bool, last: bool) -> bool {
    let (seq, bytes) = book.make(len, tracked, last);
    let sent = sender.try_send(&bytes);
    match &sent {
        Ok(sent) if tracked => tickets.add(seq, sender.ticket(*sent)),
        Ok(_) => {}
        Err(error) => book.refused(seq, error, bytes.len()),
    }
    sent.is_ok()
}

/// Sends the messages that are due now.
fn send_due(sender: &Sender, book: &Book, tickets: &mut Tickets, traffic: &mut Traffic) {
    while let Some(len) = traffic.due() {
        let tracked = traffic.random.one_in(2);
        if !send(sender, book, tickets, len, tracked, false) {
            return;
        }
    }
}

/// Handles events for a moment. An error ends the membership.
fn handle(
    session: &mut Session,
    book: &Arc<Book>,
    tickets: &mut Tickets,
    traffic: &mut Traffic,
) -> cpg::Result<()> {
    let limits = Limits::forever().until(Instant::now() + TICK);
    let handled = session.run(limits, |sender, event| {
        if child::in_handler(book, || sender.try_send(child::MESSAGE)) {
            return Continue(());
        }
        book.event(&event, sender.me());
        let quiet = book.is_quiet();
        if !quiet && matches!(event, Event::Deliver(_)) && traffic.random.one_in(16) {
            send_due(sender, book, tickets, traffic);
        }
        if traffic.random.one_in(200) { Break(()) } else { Continue(()) }
    });
    child::after(book, &handled, || session.dispatch(Limits::available(), |_, _| ()));
    handled.map(drop)
}

/// Runs a client until it is told to stop.
pub fn run(task: &Task, book: &Arc<Book>) {
    let mut traffic = Traffic::new(task);
    let mut sent_last = false;
    let watch = book.watch("the thread");
    while !book.is_stopping() {
        watch.beat("joins");
        let Ok(mut session) = task.options().join_until(task.group(), Instant::now() + JOIN) else {
            std::thread::sleep(TICK);
            continue;
        };
        book.begin(session.me());
        let mut tickets = Tickets::default();
        let stay = task.stay(&mut traffic.random);
        let error = loop {
            if let Some(time) = book.take_stall() {
                std::thread::sleep(time);
            }
            watch.beat("dispatches");
            if child::between(book) {
                child::tried(&session.send(child::MESSAGE));
                child::tried(&session.dispatch(Limits::available(), |_, _| ()));
                drop(session);
                child::done();
            }
            if let Err(error) = handle(&mut session, book, &mut tickets, &mut traffic) {
                break Some(error);
            }
            tickets.look(book);
            book.flush();
            if !book.is_quiet() {
                send_due(session.sender(), book, &mut tickets, &mut traffic);
                if stay.is_some_and(|until| Instant::now() >= until) {
                    break None;
                }
            } else if book.is_last_wanted() && !sent_last {
                sent_last = send(session.sender(), book, &mut tickets, 100, true, true);
            }
            if book.is_stopping() {
                break None;
            }
        };
        watch.beat("leaves");
        let ended = if let Some(error) = error {
            lost(&error)
        } else {
            ending(
                &session.leave_until(Instant::now() + LEAVE, |sender, event| book.event(&event, sender.me())),
            )
        };
        watch.beat("waits for tickets");
        tickets.finish(book, &watch);
        book.end(ended, true);
    }
}
