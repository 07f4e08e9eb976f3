//! A group in a loop on `calloop`.
//!
//!     loop_calloop GROUP
//!
//! The group is an event source, `Generic<Group>`. The loop owns the group, and its callback dispatches. A
//! [`Dispatcher`] gives access to the group for sending, and returns it for leaving at the end. The other `loop_`
//! examples do the same work; compare them.

mod joined;
mod program;
mod signals;
mod talk;

use std::io;
use std::ops::ControlFlow::Continue;
use std::process::ExitCode;

use calloop::generic::{Generic, NoIoDrop};
use calloop::ping::make_ping;
use calloop::{Dispatcher, EventLoop, Interest, Mode, PostAction, Readiness};
use cpg::{Group, Limits};
use program::End;
use signals::Signals;
use talk::Talk;

/// The state that the callbacks share.
struct State {
    talk: Talk,
    stopped: bool,
}

fn main() -> ExitCode {
    joined::main("loop_calloop", |handle, group| {
        let group = handle.join(group)?;
        let source = Dispatcher::new(Generic::new(group, Interest::READ, Mode::Level), receive);
        let result = run(&source);
        let group = source.into_source_inner().unwrap();
        // The first error is the cause; later ones may follow from it.
        result.and(group.leave().map_err(End::from))
    })
}

/// The callback of the group.
#[allow(clippy::needless_pass_by_value, reason = "as calloop calls it")]
fn receive(_: Readiness, group: &mut NoIoDrop<Group>, state: &mut State) -> io::Result<PostAction> {
    // SAFETY: a dispatch neither drops the group nor changes its descriptor.
    #[allow(unsafe_code, reason = "calloop cannot see that the descriptor stays open")]
    let group = unsafe { group.get_mut() };
    group.dispatch(Limits::available(), |link, event| state.talk.hear(link, &event))?;
    Ok(PostAction::Continue)
}

fn run(group: &Dispatcher<'_, Generic<Group>, State>) -> Result<(), End> {
    // Before other threads are started, because they inherit the blocked signals.
    let signals = Generic::new(Signals::new()?, Interest::READ, Mode::Level);
    let mut events = EventLoop::try_new().map_err(io::Error::from)?;
    let handle = events.handle();
    handle.register_dispatcher(group.clone()).map_err(io::Error::from)?;
    let signalled = |_, signals: &mut NoIoDrop<Signals>, state: &mut State| {
        state.stopped |= signals.take()?;
        Ok(PostAction::Continue)
    };
    handle.insert_source(signals, signalled).map_err(|error| io::Error::from(error.error))?;
    let (ping, pinged) = make_ping()?;
    handle.insert_source(pinged, |(), (), _| ()).map_err(|error| io::Error::from(error.error))?;

    let mut state = State { talk: Talk::start(move || ping.ping()), stopped: false };
    while !state.stopped {
        let Continue(time) = state.talk.say(group.as_source_ref().get_ref())? else { break };
        events.dispatch(time, &mut state).map_err(io::Error::from)?;
    }
    Ok(())
}
