//! Clients with a split session: one thread sends, this one dispatches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use std::ops::ControlFlow::Continue;

use cpg::{Limits, Sender};

use super::book::Book;
use super::child;
use super::tickets::Tickets;
use super::{JOIN, LEAVE, TICK, Task, Traffic, ending, lost};
use cpg_faults::Result;

/// The sending thread of one membership, or of several if the session reconnects.
struct Sending {
    sender: Sender,
    book: Arc<Book>,
    traffic: Traffic,
    tickets: Tickets,
    sent_last: bool,
    /// True if the dispatching thread ends the membership.
    over: Arc<AtomicBool>,
}

impl Sending {
    fn run(mut self) -> (Traffic, bool) {
        let watch = self.book.watch("the sending thread");
        while !self.over.load(Ordering::SeqCst) {
            watch.beat("sends");
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
        self.tickets.finish(&self.book, &watch);
        (self.traffic, self.sent_last)
    }

    fn send(&mut self, len: usize, last: bool) -> bool {
        let way = self.traffic.random.range(0, 5);
        let (seq, bytes) = self.book.make(len, way >= 2, last);
        let deadline = Instant::now() + Duration::from_millis(200);
        let sent = match way {
            0 | 4 => self.sender.send(&bytes),
            1 | 3 => self.sender.send_until(&bytes, deadline),
            _ => self.sender.try_send(&bytes),
        }
        .map(|sent| (way >= 2).then(|| self.sender.ticket(sent)));
        match sent {
            Ok(ticket) => {
                if let Some(ticket) = ticket {
                    self.tickets.add(seq, ticket);
                }
                true
            }
            Err(error) => {
                self.book.refused(seq, &error, bytes.len());
                false
            }
        }
    }
}

/// Runs a client until it is told to stop.
pub fn run(task: &Task, book: &Arc<Book>) -> Result<()> {
    let mut traffic = Traffic::new(task);
    let mut sent_last = false;
    let watch = book.watch("the dispatching thread");
    while !book.is_stopping() {
        watch.beat("joins");
        let Ok(session) = task.options().join_until(task.group(), Instant::now() + JOIN) else {
            thread::sleep(TICK);
            continue;
        };
        book.begin(session.me());
        let stay = task.stay(&mut traffic.random);
        let (sender, mut receiver) = session.split();
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
        let error = loop {
            if let Some(time) = book.take_stall() {
                thread::sleep(time);
            }
            watch.beat("dispatches");
            if child::between(book) {
                child::tried(&receiver.sender().send(child::MESSAGE));
                child::tried(&receiver.sender().try_send(child::MESSAGE));
                child::tried(&receiver.dispatch(Limits::available(), |_, _| ()));
                drop(receiver);
                child::done();
            }
            let handled = receiver.run(Limits::forever().until(Instant::now() + TICK), |link, event| {
                if child::in_handler(book, || link.try_send(child::MESSAGE)) {
                    return Continue(());
                }
                book.event(&event, link.me());
                Continue::<()>(())
            });
            child::after(book, &handled, || receiver.dispatch(Limits::available(), |_, _| ()));
            if let Err(error) = handled {
                break Some(error);
            }
            book.flush();
            let gone = !book.is_quiet() && stay.is_some_and(|until| Instant::now() >= until);
            if gone || book.is_stopping() {
                break None;
            }
        };
        watch.beat("leaves");
        let ended = if let Some(error) = error {
            lost(&error)
        } else {
            let me = receiver.me();
            ending(&receiver.leave_until(Instant::now() + LEAVE, |_, event| book.event(&event, me)))
        };
        over.store(true, Ordering::SeqCst);
        watch.rest();
        (traffic, sent_last) = sending.join().map_err(|_| "the sending thread panicked")?;
        book.end(ended, true);
    }
    Ok(())
}
