//! A group in a loop on plain epoll, through the crate `polling`.
//!
//!     loop_polling GROUP
//!
//! The mode is level-triggered: the group's descriptor stays ready until all events are dispatched. So a turn of the
//! loop may handle as many events as the program likes. The other `loop_` examples do the same work; compare them.

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

/// The key of a descriptor in the events of the poller.
const GROUP: usize = 0;
const SIGNALS: usize = 1;

fn main() -> ExitCode {
    joined::main("loop_polling", |handle, group| {
        let mut group = handle.join(group)?;
        let result = poll(&mut group);
        // The first error is the cause; later ones may follow from it.
        result.and(group.leave().map_err(End::from))
    })
}

fn poll(group: &mut Group) -> Result<(), End> {
    // Before other threads are started, because they inherit the blocked signals.
    let signals = Signals::new()?;
    let poller = Arc::new(Poller::new()?);
    for (fd, key) in [(group.as_fd(), GROUP), (signals.as_fd(), SIGNALS)] {
        // SAFETY: both are deleted below before they are closed. If there is a panic in between, they are closed first;
        // then epoll forgets them, and no code waits for them any more.
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
