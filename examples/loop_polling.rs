//! A group in a loop on plain epoll, through the crate `polling`.
//!
//!     loop_polling GROUP
//!
//! It shows the group's descriptor in level-triggered mode: it stays ready until all is dispatched, so how much a turn of the
//! loop handles is free to choose. The other examples of loops do the same; compare them.

mod joined;
mod program;
mod signals;
mod talk;

use std::ops::ControlFlow::Continue;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::sync::Arc;

use cpg::{Group, Limits};
use polling::{Event, Events, PollMode, Poller};
use program::End;
use signals::Signals;
use talk::Talk;

/// What a descriptor is called in the events of the poller.
const GROUP: usize = 0;
const SIGNALS: usize = 1;

fn main() -> ExitCode {
    joined::main("loop_polling", |handle, group| {
        let mut group = handle.join(group)?;
        let result = poll(&mut group);
        // What went wrong first tells more than what that did to the rest.
        result.and(group.leave().map_err(End::from))
    })
}

fn poll(group: &mut Group) -> Result<(), End> {
    // Before there are threads, which inherit what is blocked.
    let signals = Signals::new()?;
    let poller = Arc::new(Poller::new()?);
    for (fd, key) in [(group.as_fd(), GROUP), (signals.as_fd(), SIGNALS)] {
        // SAFETY: both are deleted below before they are closed. A panic in between closes them first, upon which epoll forgets
        // them, and nobody waits any more.
        #[allow(unsafe_code, reason = "polling cannot see that a descriptor stays open")]
        unsafe { poller.add_with_mode(&fd, Event::readable(key), PollMode::Level) }?;
    }
    let result = turn(group, &signals, &poller);
    poller.delete(&signals)?;
    poller.delete(group)?;
    result
}

fn turn(group: &mut Group, signals: &Signals, poller: &Arc<Poller>) -> Result<(), End> {
    let mut talk = Talk::start({
        let poller = Arc::clone(poller);
        move || poller.notify().expect("an eventfd takes it")
    });
    let mut events = Events::new();
    while let Continue(time) = talk.say(group)? {
        events.clear();
        poller.wait(&mut events, time)?;
        for event in events.iter() {
            match event.key {
                GROUP => {
                    group.dispatch(Limits::available(), |link, event| talk.hear(link, &event))?;
                }
                _ if signals.take()? => return Ok(()),
                _ => (),
            }
        }
    }
    Ok(())
}
