//! A group in the main loop of GTK and GNOME programs, through the crate `glib`.
//!
//!     loop_glib GROUP
//!
//! The group's descriptor is a source whose callback dispatches. Callbacks own what they use, so these share the state
//! in a cell. This program iterates the main context itself, and sends between two iterations. In a program that runs a
//! `MainLoop`, the callbacks would do this. The other `loop_` examples do the same work; compare them.

mod joined;
mod program;
mod talk;

use std::cell::RefCell;
use std::ops::ControlFlow::{self as Turn, Break, Continue};
use std::os::fd::AsRawFd as _;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use cpg::{Group, Limits};
use glib::{ControlFlow, IOCondition, MainContext, Priority};
use nix::sys::signal::Signal;
use program::End;
use talk::Talk;

/// The state that the callbacks share.
struct State {
    group: Group,
    talk: Talk,
    heard: cpg::Result<()>,
    stopped: bool,
}

impl State {
    /// Does the work between two iterations.
    fn turn(&mut self) -> Result<Turn<(), Option<Duration>>, End> {
        std::mem::replace(&mut self.heard, Ok(()))?;
        if self.stopped { Ok(Break(())) } else { self.talk.say(&self.group) }
    }
}

fn main() -> ExitCode {
    joined::main("loop_glib", |handle, group| {
        let group = handle.join(group)?;
        let context = MainContext::default();
        let talk = Talk::start({
            let context = context.clone();
            move || context.wakeup()
        });
        let state = Rc::new(RefCell::new(State { group, talk, heard: Ok(()), stopped: false }));
        let result = run(&context, &state);
        let state = Rc::into_inner(state).expect("the sources are gone").into_inner();
        // The first error is the cause; later ones may follow from it.
        result.and(state.group.leave().map_err(End::from))
    })
}

fn run(context: &MainContext, state: &Rc<RefCell<State>>) -> Result<(), End> {
    let mut sources = Vec::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let state = Rc::clone(state);
        sources.push(glib::unix_signal_add_local(signal as i32, move || {
            state.borrow_mut().stopped = true;
            ControlFlow::Continue
        }));
    }
    let fd = state.borrow().group.as_raw_fd();
    // With ERR and HUP, which poll reports without being asked. Else GLib would not call back for them, and the loop
    // would spin.
    let ready = IOCondition::IN | IOCondition::ERR | IOCondition::HUP;
    sources.push(glib::unix_fd_add_local(fd, ready, {
        let state = Rc::clone(state);
        move |_, _| {
            let State { group, talk, heard, .. } = &mut *state.borrow_mut();
            *heard = group.dispatch(Limits::available(), |link, event| talk.hear(link, &event)).map(drop);
            ControlFlow::Continue
        }
    }));
    let result = iterate(context, state);
    sources.into_iter().for_each(glib::SourceId::remove);
    result
}

fn iterate(context: &MainContext, state: &RefCell<State>) -> Result<(), End> {
    loop {
        let Continue(time) = state.borrow_mut().turn()? else { return Ok(()) };
        let timer =
            time.map(|time| glib::timeout_source_new(time, None, Priority::DEFAULT, || ControlFlow::Break));
        if let Some(timer) = &timer {
            timer.attach(Some(context));
        }
        context.iteration(true);
        if let Some(timer) = timer {
            timer.destroy();
        }
    }
}
