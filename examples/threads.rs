//! A group that many threads use: some threads send, one dispatches, one ends the program.
//!
//!     threads GROUP
//!
//! The program [splits](Session::split) a session. The workers share the sender; each waits by itself while flow
//! control holds its message up. The main thread runs the receiver until a [`Waker`] ends the run. The work is the
//! lines of standard input. The output is that of the examples of event loops, but the workers send the lines in any
//! order.

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

/// The longest time that a message may wait for flow control, and that leaving may take.
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
    // Messages that were sent before are delivered before this member's leave.
    let mut printed = Ok(());
    let left = receiver.leave_until(Instant::now() + PATIENCE, |_, event| {
        if printed.is_ok() {
            printed = show(io::stdout(), &event);
        }
    });
    // The first error is the cause; later ones may follow from it.
    result.and(left.map_err(End::from)).and(printed.map_err(End::from))
}

/// Makes the first SIGINT or SIGTERM wake the run. The next one ends the process, also while it waits for a paused
/// daemon.
fn end_with_signals(waker: Waker) -> io::Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    // In this thread and in all that it starts later. So the signals go to the thread that waits for them.
    signals.thread_block()?;
    thread::spawn(move || {
        // The calls fail only for a wrong argument.
        let _: nix::Result<Signal> = signals.wait();
        let _: nix::Result<()> = signals.thread_unblock();
        waker.wake();
        loop {
            thread::park();
        }
    });
    Ok(())
}

/// The way by which a thread tells the main thread that all is done, or that something has failed.
#[derive(Clone)]
struct Report {
    results: mpsc::Sender<Result<(), End>>,
    waker: Waker,
}

impl Report {
    fn tell(&self, result: Result<(), End>) {
        // The main thread no longer listens if a signal or an earlier failure has ended the run.
        let _ = self.results.send(result);
        self.waker.wake();
    }
}

/// Reads standard input to its end, and gives its lines to workers that send them.
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
        // This fails when all workers have failed.
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
