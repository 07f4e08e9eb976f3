//! A group that many threads share: one thread dispatches, all others send.
//!
//! A session is split for that. The [`Receiver`](cpg::Receiver) belongs to the thread that dispatches. The [`Sender`]
//! is cloned for each of the others; no lock around it is needed. The state that the messages build is shared as any
//! other state in Rust, here in an `Arc<Mutex>`. A thread that must see the effect of its message waits for the
//! message's ticket: when the ticket is settled with `Ok`, the handler has run.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::{Arc, Mutex};
use std::thread;

use cpg::{Event, Limits, Sender, Session, Waker};

const THREADS: u8 = 4;
const ENTRIES: u8 = 10;

/// The entries of all members, in the order that is the same on each of them.
type Ledger = Arc<Mutex<Vec<Vec<u8>>>>;

fn main() -> cpg::Result<()> {
    let (sender, mut receiver) = Session::join("idioms")?.split();
    let ledger = Ledger::default();
    let waker = Waker::new()?;
    let dispatching = thread::spawn({
        let (ledger, waker) = (Arc::clone(&ledger), waker.clone());
        move || {
            let ended = receiver.run(Limits::forever().woken_by(&waker), |_, event| {
                if let Event::Deliver(message) = event {
                    let Ok(mut ledger) = ledger.lock() else { return Break(()) };
                    ledger.push(message.payload().to_vec());
                }
                Continue(())
            });
            ended.and(receiver.leave())
        }
    });
    let writers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (sender, ledger) = (sender.clone(), Arc::clone(&ledger));
            thread::spawn(move || write(&sender, &ledger, thread))
        })
        .collect();
    let written: cpg::Result<()> =
        writers.into_iter().try_for_each(|writer| writer.join().expect("a writer panicked"));
    waker.wake();
    dispatching.join().expect("the thread that dispatches panicked").and(written)?;
    println!("{} entries", ledger.lock().expect("no thread panicked").len());
    Ok(())
}

fn write(sender: &Sender, ledger: &Ledger, thread: u8) -> cpg::Result<()> {
    for number in 0..ENTRIES {
        let entry = [thread, number];
        // Without the ticket, the thread would go on as soon as the message is queued.
        sender.ticket(sender.send(&entry)?).wait()?;
        assert!(ledger.lock().expect("no thread panicked").contains(&entry.to_vec()));
    }
    Ok(())
}
