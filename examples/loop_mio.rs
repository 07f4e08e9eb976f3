//! A group in a loop on `mio`.
//!
//!     loop_mio GROUP
//!
//! mio has only the edge-triggered mode: the group's descriptor is reported once, and again only for events that come
//! after all earlier ones have been dispatched. [`Limits::available()`] dispatches all of them. A program that handles
//! fewer per turn must not wait again before a dispatch has returned 0. The other `loop_` examples do the same work;
//! compare them.

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
        // The first error is the cause; later ones may follow from it.
        result.and(group.leave().map_err(End::from))
    })
}

fn poll(group: &mut Group) -> Result<(), End> {
    // Before other threads are started, because they inherit the blocked signals.
    let signals = Signals::new()?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut SourceFd(&group.as_raw_fd()), GROUP, Interest::READABLE)?;
    poll.registry().register(&mut SourceFd(&signals.as_fd().as_raw_fd()), SIGNALS, Interest::READABLE)?;
    // This function keeps one owner, because a wake is lost if the last owner drops the waker before the loop has seen
    // the wake.
    let waker = Arc::new(Waker::new(poll.registry(), LINES)?);
    let mut talk = Talk::start({
        let waker = Arc::clone(&waker);
        move || waker.wake().expect("an eventfd takes it")
    });
    let mut events = Events::with_capacity(8);
    while let Continue(time) = talk.say(group)? {
        match poll.poll(&mut events, time) {
            // For example after SIGSTOP and SIGCONT.
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
