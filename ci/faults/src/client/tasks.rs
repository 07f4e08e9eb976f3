//! Clients with tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cpg::tokio::{Sender, SessionOptions};

use super::book::Book;
use super::child;
use super::tickets::Tickets;
use super::{JOIN, LEAVE, TICK, Task, Traffic, ending, lost};
use cpg_faults::Result;

/// Runs a client until it is told to stop.
pub fn run(task: &Task, book: &Arc<Book>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(memberships(task, book))
}

async fn memberships(task: &Task, book: &Arc<Book>) -> Result<()> {
    let mut traffic = Traffic::new(task);
    let mut sent_last = false;
    let watch = book.watch("the dispatching task");
    while !book.is_stopping() {
        watch.beat("joins");
        let options = SessionOptions::from(task.options());
        let Ok(session) = options.join_until(task.group(), Instant::now() + JOIN).await else {
            tokio::time::sleep(TICK).await;
            continue;
        };
        book.begin(session.me());
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
        let sending = tokio::spawn(sending.run());
        let error = loop {
            if let Some(time) = book.take_stall() {
                tokio::time::sleep(time).await;
            }
            watch.beat("dispatches");
            if child::between(book) {
                child::tried(&receiver.sender().try_send(child::MESSAGE));
                child::tried(&at_once(receiver.sender().send(child::MESSAGE)).await);
                child::tried(&at_once(receiver.dispatch(|_, _| ())).await);
                drop(receiver);
                child::done();
            }
            let handled = receiver.dispatch(|link, event| {
                if !child::in_handler(book, || link.try_send(child::MESSAGE)) {
                    book.event(&event, link.me());
                }
            });
            let mut timed = Box::pin(tokio::time::timeout(TICK, handled));
            let handled = timed.as_mut().await;
            if !book.is_parent() {
                // Dropping it takes a lock of tokio's, which a thread of the parent may have held at the fork.
                std::mem::forget(timed);
                if let Ok(handled) = &handled {
                    child::tried(handled);
                }
                child::tried(&at_once(receiver.dispatch(|_, _| ())).await);
                child::done();
            }
            drop(timed);
            if let Ok(Err(error)) = handled {
                break Some(error);
            }
            book.flush();
            if book.is_stopping() {
                break None;
            }
        };
        watch.beat("leaves");
        let ended = if let Some(error) = error {
            lost(&error)
        } else {
            let left =
                receiver.leave_until(Instant::now() + LEAVE, |link, event| book.event(&event, link.me()));
            ending(&left.await)
        };
        over.store(true, Ordering::SeqCst);
        watch.rest();
        (traffic, sent_last) = sending.await?;
        book.end(ended, true);
    }
    Ok(())
}

/// Polls a future in a child, where no thread wakes a task, and returns its result.
async fn at_once<T>(future: impl Future<Output = cpg::Result<T>>) -> cpg::Result<()> {
    let mut future = std::pin::pin!(future);
    let now = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await;
    match now {
        std::task::Poll::Ready(result) => result.map(drop),
        std::task::Poll::Pending => Ok(()),
    }
}

/// The task that sends.
struct Sending {
    sender: Sender,
    book: Arc<Book>,
    traffic: Traffic,
    tickets: Tickets,
    sent_last: bool,
    over: Arc<AtomicBool>,
}

impl Sending {
    async fn run(mut self) -> (Traffic, bool) {
        let watch = self.book.watch("the sending task");
        while !self.over.load(Ordering::SeqCst) {
            watch.beat("sends");
            self.tickets.look(&self.book);
            if !self.book.is_quiet() {
                while let Some(len) = self.traffic.due() {
                    if !self.send(len, false).await {
                        break;
                    }
                }
            } else if self.book.is_last_wanted() && !self.sent_last {
                self.sent_last = self.send(100, true).await;
            }
            tokio::time::sleep(TICK / 2).await;
        }
        self.tickets.finish_in_task(&self.book, &watch).await;
        (self.traffic, self.sent_last)
    }

    async fn send(&mut self, len: usize, last: bool) -> bool {
        let way = self.traffic.random.range(0, 4);
        let (seq, bytes) = self.book.make(len, way >= 2, last);
        let sent = match way {
            0 | 3 => self.sender.send(&bytes).await,
            _ => self.sender.try_send(&bytes),
        }
        .map(|sent| (way >= 2).then(|| self.sender.ticket(sent)));
        match sent {
            Ok(Some(mut ticket)) if self.traffic.random.one_in(4) => {
                // As a future, but only for a while, because this process can be stopped for longer than any limit.
                match tokio::time::timeout(Duration::from_secs(1), &mut ticket).await {
                    Ok(outcome) => self.book.ticket(seq, outcome.is_ok()),
                    Err(_) => self.tickets.add(seq, ticket),
                }
                true
            }
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
