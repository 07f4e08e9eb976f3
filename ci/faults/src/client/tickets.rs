//! Tickets, and the fate of their messages.

use std::time::Instant;

use cpg::Ticket;

use super::LEAVE;
use super::book::Book;
use super::watchdog::Watch;

/// The tickets that are not resolved, with the numbers of their messages.
#[derive(Default)]
pub struct Tickets(Vec<(u32, Ticket)>);

impl Tickets {
    pub fn add(&mut self, seq: u32, ticket: Ticket) {
        self.0.push((seq, ticket));
    }

    /// Records the outcomes of tickets that are resolved by now.
    pub fn look(&mut self, book: &Book) {
        self.0.retain(|(seq, ticket)| match ticket.outcome() {
            None => true,
            Some(outcome) => {
                book.ticket(*seq, outcome.is_ok());
                false
            }
        });
    }

    /// Waits for the remaining tickets, after the membership has ended.
    pub fn finish(self, book: &Book, watch: &Watch) {
        for (seq, ticket) in self.0 {
            watch.beat("waits for a ticket");
            match ticket.wait_until(Instant::now() + LEAVE) {
                Err(cpg::Error::TimedOut { .. }) => silent(seq),
                outcome => book.ticket(seq, outcome.is_ok()),
            }
        }
    }

    /// Does what [`finish`](Self::finish) does, in a task.
    pub async fn finish_in_task(self, book: &Book, watch: &Watch) {
        for (seq, ticket) in self.0 {
            watch.beat("waits for a ticket");
            match tokio::time::timeout(LEAVE, ticket).await {
                Ok(outcome) => book.ticket(seq, outcome.is_ok()),
                Err(_) => silent(seq),
            }
        }
    }
}

fn silent(seq: u32) {
    eprintln!("the ticket of message {seq} is not resolved");
}
