//! Clients with a split group: one thread sends, this one dispatches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use std::ops::ControlFlow::Continue;

use cpg::{Event, Group, Sender, Ticket, Wait};
use cpg_checker::record::Ending;

use super::book::Book;
use super::{JOIN, LEAVE, TICK, Task, Traffic, ending};
use crate::Result;

/// Tickets that have not said anything.
#[derive(Default)]
struct Tickets(Vec<(u32, Ticket)>);

impl Tickets {
    fn look(&mut self, book: &Book) {
        self.0.retain(|(seq, ticket)| match ticket.outcome() {
            None => true,
            Some(outcome) => {
                book.ticket(*seq, outcome.is_ok());
                false
            }
        });
    }

    /// Waits for the rest, when the membership has ended.
    fn finish(&mut self, book: &Book) {
        for (seq, ticket) in self.0.drain(..) {
            match ticket.wait_until(Instant::now() + LEAVE) {
                Err(cpg::Error::TimedOut { .. }) => eprintln!("the ticket of {seq} says nothing"),
                outcome => book.ticket(seq, outcome.is_ok()),
            }
        }
    }
}

/// The sending thread of one membership, or of several in a group that comes back.
struct Sending {
    sender: Sender,
    book: Arc<Book>,
    traffic: Traffic,
    tickets: Tickets,
    sent_last: bool,
    /// The dispatching thread ends the membership.
    over: Arc<AtomicBool>,
}

impl Sending {
    fn run(mut self) -> (Traffic, bool) {
        while !self.over.load(Ordering::SeqCst) {
            self.tickets.look(&self.book);
            if !self.book.is_quiet() {
                while let Some(len) = self.traffic.due() {
                    if !self.send(len, false) {
                        break;
                    }
                }
            } else if self.book.is_last_wanted() && !self.sent_last {
                self.sent_last = self.send(100, true);
            }
            thread::sleep(TICK / 2);
        }
        self.tickets.finish(&self.book);
        (self.traffic, self.sent_last)
    }

    fn send(&mut self, len: usize, last: bool) -> bool {
        let way = self.traffic.random.range(0, 5);
        let (seq, bytes) = self.book.make(len, way >= 2, last);
        let deadline = Instant::now() + Duration::from_millis(200);
        let sent = match way {
            0 => self.sender.send(&bytes).map(|()| None),
            1 => self.sender.send_until(&bytes, deadline).map(|()| None),
            2 => self.sender.try_send_tracked(&bytes).map(Some),
            3 => self.sender.send_tracked_until(&bytes, deadline).map(Some),
            _ => self.sender.send_tracked(&bytes).map(Some),
        };
        match sent {
            Ok(ticket) => {
                self.tickets.0.extend(ticket.map(|ticket| (seq, ticket)));
                true
            }
            Err(error) => {
                self.book.refused(seq, &error, bytes.len());
                false
            }
        }
    }
}

/// Until it is told to stop.
pub fn run(task: &Task, book: &Arc<Book>) -> Result<()> {
    let mut traffic = Traffic::new(task);
    let name = task.group()?;
    let mut sent_last = false;
    while !book.is_stopping() {
        let Ok(group) = Group::join_until(task.how(), &name, Instant::now() + JOIN) else {
            thread::sleep(TICK);
            continue;
        };
        book.begin(group.me());
        let stay = task.stay(&mut traffic.random);
        let (sender, mut receiver) = group.split()?;
        let over = Arc::new(AtomicBool::new(false));
        let sending = Sending {
            sender,
            book: Arc::clone(book),
            traffic,
            tickets: Tickets::default(),
            sent_last,
            over: Arc::clone(&over),
        };
        let sending = thread::spawn(move || sending.run());
        let lost = loop {
            if let Some(time) = book.take_stall() {
                thread::sleep(time);
            }
            let handled = receiver.run_with(Wait::until(Instant::now() + TICK), |link, event| {
                book.event(&event, link.me());
                Continue::<()>(())
            });
            if let Err(error) = handled {
                break Some(error);
            }
            book.flush();
            let gone = !book.is_quiet() && stay.is_some_and(|until| Instant::now() >= until);
            if gone || book.is_stopping() {
                break None;
            }
        };
        let ended = if let Some(error) = lost {
            if !error.is_connection_lost() {
                eprintln!("dispatch: {error}");
            }
            Ending::Lost
        } else {
            let me = receiver.me();
            let mut lost = false;
            let left = receiver.leave_until(Instant::now() + LEAVE, |_, event| {
                lost |= matches!(event, Event::Lost(_));
                book.event(&event, me);
            });
            ending(&left)
        };
        over.store(true, Ordering::SeqCst);
        (traffic, sent_last) = sending.join().map_err(|_| "the sending thread panicked")?;
        book.end(ended, true);
    }
    Ok(())
}
