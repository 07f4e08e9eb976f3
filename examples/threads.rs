//! A group used by many threads: some that send, one that dispatches, one that ends it.
//!
//!     threads GROUP
//!
//! It shows a session that is [split](Session::split): workers share the sender, and each waits out flow control by itself; the
//! main thread runs the receiver, until a [`Waker`] ends that. Lines of standard input are the work. What is printed is that
//! of the examples of event loops, but the workers send in any order.

mod joined;
mod program;

use std::io::{self, BufRead as _};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::mpsc::{self, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cpg::{Ended, GroupName, Handle, Limits, Sender, Session, Waker};
use joined::show;
use nix::sys::signal::{SigSet, Signal};
use program::End;

const WORKERS: usize = 4;

/// How long flow control may hold up a message, and the daemon the end.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    joined::main("threads", run)
}

fn run(handle: Handle, group: GroupName) -> Result<(), End> {
    let (sender, mut receiver) = Session::options().join_on(handle, group)?.split();
    let waker = Waker::new()?;
    end_with_signals(waker.clone())?;
    let (results, reports) = mpsc::channel();
    thread::spawn({
        let report = Report { results, waker: waker.clone() };
        move || {
            let read = send_lines(&sender, &report);
            report.tell(read);
        }
    });
    let ended =
        receiver.run(Limits::forever().woken_by(&waker), |_, event| match show(io::stdout(), &event) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        });
    let result = match ended {
        Ok(Ended::Broke(error)) => Err(error.into()),
        Ok(_) => reports.try_recv().unwrap_or(Ok(())),
        Err(error) => Err(error.into()),
    };
    // What was sent before comes before the own leave.
    let mut printed = Ok(());
    let left = receiver.leave_until(Instant::now() + PATIENCE, |_, event| {
        if printed.is_ok() {
            printed = show(io::stdout(), &event);
        }
    });
    // What went wrong first tells more than what that did to the rest.
    result.and(left.map_err(End::from)).and(printed.map_err(End::from))
}

/// The first SIGINT or SIGTERM wakes, the next ends the process, so that nobody has to wait for a daemon that is stopped.
fn end_with_signals(waker: Waker) -> io::Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    // Here and in all threads that are started from here on, so that they come to the one that waits for them.
    signals.thread_block()?;
    thread::spawn(move || {
        // It fails for a wrong argument only.
        let _: nix::Result<Signal> = signals.wait();
        let _: nix::Result<()> = signals.thread_unblock();
        waker.wake();
        loop {
            thread::park();
        }
    });
    Ok(())
}

/// What threads tell the main thread: that all is done, or what has failed.
#[derive(Clone)]
struct Report {
    results: mpsc::Sender<Result<(), End>>,
    waker: Waker,
}

impl Report {
    fn tell(&self, result: Result<(), End>) {
        // Nobody listens any more if a signal or an earlier failure has ended it.
        let _ = self.results.send(result);
        self.waker.wake();
    }
}

/// Has the lines of standard input sent by workers, to the end.
fn send_lines(sender: &Sender, report: &Report) -> Result<(), End> {
    let (lines, work) = sync_channel(WORKERS);
    let work = Arc::new(Mutex::new(work));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (sender, work, report) = (sender.clone(), Arc::clone(&work), report.clone());
            thread::spawn(move || {
                if let Err(error) = send(&sender, &work) {
                    report.tell(Err(error.into()));
                }
            })
        })
        .collect();
    drop(work);
    for line in io::stdin().lock().split(b'\n') {
        // None is left to take it when all have failed.
        if lines.send(line?).is_err() {
            break;
        }
    }
    drop(lines);
    for worker in workers {
        worker.join().expect("a worker panicked");
    }
    Ok(())
}

fn send(sender: &Sender, lines: &Mutex<mpsc::Receiver<Vec<u8>>>) -> cpg::Result<()> {
    loop {
        let line = lines.lock().expect("a worker panicked").recv();
        let Ok(line) = line else { return Ok(()) };
        sender.send_until(&line, Instant::now() + PATIENCE)?;
    }
}
