//! Clients with a whole session: everything on one thread, and no send that waits.

use std::ops::ControlFlow::{Break, Continue};
use std::time::Instant;

use cpg::{Event, Limits, Sender, Session};

use super::book::Book;
use super::tickets::Tickets;
use super::{JOIN, LEAVE, TICK, Task, Traffic, ending, lost};

/// Sends a message; false if it was refused.
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

/// Sends what is due now.
fn send_due(sender: &Sender, book: &Book, tickets: &mut Tickets, traffic: &mut Traffic) {
    while let Some(len) = traffic.due() {
        let tracked = traffic.random.one_in(2);
        if !send(sender, book, tickets, len, tracked, false) {
            return;
        }
    }
}

/// Handles events for a moment; an error ends the membership.
fn handle(
    session: &mut Session,
    book: &Book,
    tickets: &mut Tickets,
    traffic: &mut Traffic,
) -> cpg::Result<()> {
    let limits = Limits::forever().until(Instant::now() + TICK);
    session.run(limits, |sender, event| {
        book.event(&event, sender.me());
        let quiet = book.is_quiet();
        if !quiet && matches!(event, Event::Deliver(_)) && traffic.random.one_in(16) {
            send_due(sender, book, tickets, traffic);
        }
        if traffic.random.one_in(200) { Break(()) } else { Continue(()) }
    })?;
    Ok(())
}

/// Until it is told to stop.
pub fn run(task: &Task, book: &Book) {
    let mut traffic = Traffic::new(task);
    let mut sent_last = false;
    while !book.is_stopping() {
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
        let ended = if let Some(error) = error {
            lost(&error)
        } else {
            ending(
                &session.leave_until(Instant::now() + LEAVE, |sender, event| book.event(&event, sender.me())),
            )
        };
        tickets.finish(book);
        book.end(ended, true);
    }
}
