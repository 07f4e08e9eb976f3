//! A service with graceful shutdown: SIGTERM ends the loop, what was sent is still delivered, and the group is left.
//!
//! A thread waits for the signal and wakes the run, which ends between two events.
//! [`leave_until`](cpg::Group::leave_until) then delivers the events that come before this member's leave. The other
//! members see the reason `leave`, and know that this member has ended as it should: `procdown` is a crash. The leave
//! has a deadline, and a second signal ends the process at once.

use std::error::Error;
use std::io::{self, Write as _};
use std::ops::ControlFlow::{Break, Continue};
use std::thread;
use std::time::{Duration, Instant};

use cpg::{Ended, Event, Group, Limits, Waker};
use nix::sys::signal::{SigSet, Signal};

/// The longest wait for the events before the leave: shorter than a service manager waits before it kills the service.
const SHUTDOWN: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let waker = Waker::new()?;
    wake_on_signal(waker.clone())?;
    let mut group = Group::join("idioms")?;
    println!("ready");
    let mut requests = 0;
    let ended =
        group.run(Limits::forever().woken_by(&waker), |_, event| match serve(&event, &mut requests) {
            Ok(()) => Continue(()),
            Err(error) => Break(error),
        })?;
    // Requests that other members sent before they see the leave are answered, too.
    let mut served = Ok(());
    group.leave_until(Instant::now() + SHUTDOWN, |_, event| {
        if served.is_ok() {
            served = serve(&event, &mut requests);
        }
    })?;
    println!("left after {requests} requests");
    match ended {
        Ended::Broke(error) => Err(error.into()),
        _ => Ok(served?),
    }
}

fn serve(event: &Event<'_>, requests: &mut u32) -> io::Result<()> {
    if let Event::Deliver(message) = event {
        *requests += 1;
        writeln!(io::stdout(), "request {}", message.payload().escape_ascii())?;
    }
    Ok(())
}

/// Wakes the run when SIGTERM or SIGINT comes. The next of them ends the process at once. This is called before there
/// are other threads, because the signals are blocked in this thread and in those that it starts later.
fn wake_on_signal(waker: Waker) -> io::Result<()> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
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
