//! Tests with a stub in place of libcpg. The stub makes callbacks and replies that a correct libcpg does not make, but
//! that a broken or a newer one, or a hostile daemon, could make; and replies that a real daemon makes only rarely.

mod buffers;
mod connecting;
mod context;
mod ending;
mod full_groups;
mod lifetime;
mod lists;
mod sessions;
mod stub;
#[path = "../support/mod.rs"]
mod support;
mod values;

use cpg::{Error, Event, Group, Handle, Limits, OwnedEvent, Result, Session, SessionOptions};
use cpg_sys::{cpg_address, cpg_name};
use stub::{List, Stub, c_name};

const NONE: List<'static, cpg_address> = List::Of(&[]);

fn join() -> (Group, Stub) {
    let handle = Handle::connect().unwrap();
    let stub = Stub::last();
    (handle.join("stub").unwrap(), stub)
}

fn join_session(options: SessionOptions) -> (Session, Stub) {
    let handle = Handle::connect().unwrap();
    let stub = Stub::last();
    (options.join_on(handle, "stub").unwrap(), stub)
}

/// A member of the stub's group.
enum Joined {
    Group(Group),
    Session(Session),
}

impl Joined {
    /// Returns a group, a session, and a session with packets.
    fn each() -> [(Self, Stub); 3] {
        let (group, stub) = join();
        let session = |options| {
            let (session, stub) = join_session(options);
            (Self::Session(session), stub)
        };
        let options = Session::options();
        [(Self::Group(group), stub), session(options), session(options.coalesce())]
    }

    fn send(&self, message: &[u8]) -> Result<()> {
        match self {
            Self::Group(group) => group.send(message),
            Self::Session(session) => session.send(message).map(drop),
        }
    }

    fn dispatch(&mut self, limits: Limits<'_>, mut handler: impl FnMut(Event<'_>)) -> Result<usize> {
        match self {
            Self::Group(group) => group.dispatch(limits, |_, event| handler(event)),
            Self::Session(session) => session.dispatch(limits, |_, event| handler(event)),
        }
    }

    /// Takes all planned events.
    fn events(&mut self) -> Vec<OwnedEvent> {
        let mut events = Vec::new();
        self.dispatch(Limits::available(), |event| events.push(event.into_owned())).unwrap();
        events
    }

    /// Asserts that a list of so many members is an error, and stays one.
    fn refuses(&mut self, len: usize) {
        for _ in 0..2 {
            let refused = self.dispatch(Limits::available(), |event| panic!("{event:?}"));
            assert!(
                matches!(refused, Err(Error::GroupTooLarge { members, .. }) if members == len),
                "{refused:?}"
            );
        }
    }
}

/// Takes all planned events.
fn events(group: &mut Group) -> Vec<OwnedEvent> {
    let mut events = Vec::new();
    group.dispatch(Limits::available(), |_, event| events.push(event.into_owned())).unwrap();
    events
}

/// Returns the payloads of events that are all messages.
fn payloads(events: &[OwnedEvent]) -> Vec<&[u8]> {
    let mut payloads = Vec::new();
    for event in events {
        let OwnedEvent::Deliver(message) = event else { panic!("{event:?}") };
        payloads.push(message.payload());
    }
    payloads
}

fn address(nodeid: u32, pid: u32, reason: u32) -> cpg_address {
    cpg_address { nodeid, pid, reason }
}

fn short_name() -> cpg_name {
    c_name(b"n", 1)
}
