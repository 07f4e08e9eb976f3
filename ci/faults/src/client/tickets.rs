//! What has become of messages that a ticket was taken for.

use std::time::Instant;

use cpg::Ticket;

use super::LEAVE;
use super::book::Book;
use super::watchdog::Watch;

/// Tickets that have not said anything, with the numbers of their messages.
#[derive(Default)]
pub struct Tickets(Vec<(u32, Ticket)>);

impl Tickets {
    pub fn add(&mut self, seq: u32, ticket: Ticket) {
        self.0.push((seq, ticket));
    }

    /// Writes down what some of them say by now.
    pub fn look(&mut self, book: &Book) {
        self.0.retain(|(seq, ticket)| match ticket.outcome() {
            None => true,
            Some(outcome) => {
                book.ticket(*seq, outcome.is_ok());
                false
            }
        });
    }

    /// Waits for the rest, when the membership has ended.
    pub fn finish(self, book: &Book, watch: &Watch) {
        for (seq, ticket) in self.0 {
            watch.beat("waits for a ticket");
            match ticket.wait_until(Instant::now() + LEAVE) {
                Err(cpg::Error::TimedOut { .. }) => silent(seq),
                outcome => book.ticket(seq, outcome.is_ok()),
            }
        }
    }

    /// As [`finish`](Self::finish), in a task.
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
    eprintln!("the ticket of {seq} says nothing");
}
