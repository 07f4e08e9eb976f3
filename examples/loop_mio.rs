//! A group in a loop on `mio`.
//!
//!     loop_mio GROUP
//!
//! It shows the group's descriptor in edge-triggered mode, the only one of mio: it is ready once, and again only for events
//! that come after all before them have been dispatched. [`Limits::available()`] does that; who handles fewer in one turn comes back
//! without waiting until a dispatch returns 0. The other examples of loops do the same; compare them.

mod joined;
mod program;
mod signals;
mod talk;

use std::io::ErrorKind;
use std::ops::ControlFlow::Continue;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::ExitCode;
use std::sync::Arc;

use cpg::{Group, Limits};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use program::End;
use signals::Signals;
use talk::Talk;

const GROUP: Token = Token(0);
const SIGNALS: Token = Token(1);
const LINES: Token = Token(2);

fn main() -> ExitCode {
    joined::main("loop_mio", |handle, group| {
        let mut group = handle.join(group)?;
        let result = poll(&mut group);
        // What went wrong first tells more than what that did to the rest.
        result.and(group.leave().map_err(End::from))
    })
}

fn poll(group: &mut Group) -> Result<(), End> {
    // Before there are threads, which inherit what is blocked.
    let signals = Signals::new()?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut SourceFd(&group.as_raw_fd()), GROUP, Interest::READABLE)?;
    poll.registry().register(&mut SourceFd(&signals.as_fd().as_raw_fd()), SIGNALS, Interest::READABLE)?;
    // Kept here too: a wake that has not been seen when the last owner drops the waker is lost.
    let waker = Arc::new(Waker::new(poll.registry(), LINES)?);
    let mut talk = Talk::start({
        let waker = Arc::clone(&waker);
        move || waker.wake().expect("an eventfd takes it")
    });
    let mut events = Events::with_capacity(8);
    while let Continue(time) = talk.say(group)? {
        match poll.poll(&mut events, time) {
            // After SIGSTOP and SIGCONT, say.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            match event.token() {
                GROUP => {
                    group.dispatch(Limits::available(), |link, event| talk.hear(link, &event))?;
                }
                SIGNALS if signals.take()? => return Ok(()),
                _ => (),
            }
        }
    }
    Ok(())
}
