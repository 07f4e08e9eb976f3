//! A fuzz target that makes any callbacks that C may make, through a stub of libcpg. The handler must get every event
//! once and in order. This must also hold if the handler panics at times, if messages travel in packets, and for every
//! way of taking events, by a group or a session.
#![no_main]

#[path = "../../../cpg/tests/stub/stub.rs"]
mod stub;

use std::ops::ControlFlow::{Break, Continue};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, set_hook, take_hook};
use std::sync::{Arc, Mutex, Once};
use std::time::Instant;

use cpg::{CsError, Error, Event, Group, Handle, Limits, Receiver, Sender, Session, packet};
use cpg_sys::{CS_ERR_LIBRARY, CS_ERR_TRY_AGAIN, CS_OK, cpg_address, cpg_name, cs_error_t};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use stub::{List, SOUND, Stub, c_name};

/// The largest number of members for which libcpg has room.
const MOST: usize = 128;

#[derive(Arbitrary, Debug)]
struct Input {
    kind: Kind,
    steps: Vec<Step>,
}

/// The group or session that has joined.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Kind {
    Group,
    Session { coalesced: bool, split: bool },
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// C has this event for a dispatch.
    Plan(Call, Return),
    /// The program takes events.
    Take(How),
    /// The handler panics after so many events.
    Panic(u8),
    /// The daemon counts so many members.
    Count(u8),
    /// C calls back outside of a dispatch.
    Odd(Call),
    Send(Vec<u8>),
}

#[derive(Arbitrary, Debug, Clone)]
enum Call {
    Deliver {
        name: Option<Name>,
        sender: (u32, u32),
        payload: Vec<u8>,
    },
    DeliverNull {
        name: Option<Name>,
        sender: (u32, u32),
        len: u32,
    },
    /// Messages in a packet, and the bytes after the last message.
    Packet {
        name: Name,
        sender: (u32, u32),
        messages: Vec<Vec<u8>>,
        rest: Vec<u8>,
    },
    ConfChg {
        name: Option<Name>,
        lists: [Addresses; 3],
    },
    TotemConfChg {
        seq: u64,
        node: u32,
        members: Vec<u32>,
        long: Option<u32>,
        null: bool,
    },
    Nothing,
}

#[derive(Arbitrary, Debug, Clone)]
struct Name {
    length: u32,
    bytes: Vec<u8>,
}

#[derive(Arbitrary, Debug, Clone)]
enum Addresses {
    Of(Vec<(u32, u32, u32)>),
    /// The same member so many times.
    Times(u8, (u32, u32, u32)),
    Null(usize),
    /// Longer than the limit.
    Long(usize),
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Return {
    Ok,
    TryAgain,
    Lost,
    Other(u32),
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum How {
    One,
    All,
    AtMost(u8),
    Run,
    Break,
    /// With a deadline that has passed.
    Late,
}

impl Return {
    fn code(self) -> cs_error_t {
        match self {
            Self::Ok => CS_OK,
            Self::TryAgain => CS_ERR_TRY_AGAIN,
            Self::Lost => CS_ERR_LIBRARY,
            Self::Other(code) => code,
        }
    }
}

/// An event as the handler sees it, in a form to compare.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Message { name: Vec<u8>, sender: (u32, u32), payload: Vec<u8>, packed: bool },
    View { name: Vec<u8>, lists: [Vec<(u32, u32, u32)>; 3] },
    Ring { seq: u64, node: u32, members: Vec<u32> },
    Malformed { name: Vec<u8>, sender: (u32, u32), bytes: Vec<u8> },
}

impl Name {
    fn in_c(&self) -> cpg_name {
        c_name(&self.bytes, self.length)
    }

    fn seen(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(MOST, 0);
        bytes.truncate(self.length as usize);
        bytes
    }
}

impl Addresses {
    fn listed(&self) -> Vec<(u32, u32, u32)> {
        match self {
            Self::Of(list) => list.clone(),
            Self::Times(times, one) => vec![*one; usize::from(*times)],
            Self::Null(_) | Self::Long(_) => Vec::new(),
        }
    }

    fn in_c<'l>(&self, list: &'l [cpg_address]) -> List<'l, cpg_address> {
        match self {
            Self::Of(_) | Self::Times(..) => List::Of(list),
            Self::Null(len) => List::Null(*len),
            Self::Long(len) => List::Long(list, (*len).max(MOST + 1)),
        }
    }

    fn len(&self) -> usize {
        self.in_c(&vec![cpg_address::default(); self.listed().len()]).len()
    }
}

impl Call {
    fn make(&self, stub: Stub) {
        match self {
            Self::Deliver { name, sender, payload } => {
                let name = name.as_ref().map(Name::in_c);
                stub.deliver(name.as_ref(), *sender, &mut payload.clone());
            }
            Self::DeliverNull { name, sender, len } => {
                let name = name.as_ref().map(Name::in_c);
                stub.deliver_null(name.as_ref(), *sender, *len as usize);
            }
            Self::Packet { name, sender, messages, rest } => {
                stub.deliver(Some(&name.in_c()), *sender, &mut bytes(messages, rest));
            }
            Self::ConfChg { name, lists } => {
                let name = name.as_ref().map(Name::in_c);
                let arrays = lists.clone().map(|list| {
                    let entries = list.listed().into_iter();
                    entries
                        .map(|(nodeid, pid, reason)| cpg_address { nodeid, pid, reason })
                        .collect::<Vec<_>>()
                });
                let lists = std::array::from_fn(|i| lists[i].in_c(&arrays[i]));
                stub.confchg(name.as_ref(), lists);
            }
            Self::TotemConfChg { seq, node, members, long, null } => {
                let list = match (long, null) {
                    (Some(len), true) => List::Null(*len as usize),
                    (Some(len), false) => List::Long(members, (*len as usize).max(MOST + 1)),
                    (None, _) => List::Of(members),
                };
                stub.totem_confchg(*seq, *node, list);
            }
            Self::Nothing => {}
        }
    }

    /// Returns the events that this callback makes. If a list is too long, returns none, with the length of the longest
    /// list.
    fn events(&self, kind: Kind) -> Result<Vec<Seen>, usize> {
        match self {
            Self::Deliver { name: Some(name), sender, payload } => {
                Ok(messages(&name.seen(), *sender, payload, kind))
            }
            Self::DeliverNull { name: Some(name), sender, .. } => {
                Ok(messages(&name.seen(), *sender, &[], kind))
            }
            Self::Packet { name, sender, messages: several, rest } => {
                Ok(messages(&name.seen(), *sender, &bytes(several, rest), kind))
            }
            Self::ConfChg { name, lists } => {
                let longest = lists.iter().map(Addresses::len).max().unwrap_or_default();
                let view = |name: &Name| Seen::View {
                    name: name.seen(),
                    lists: std::array::from_fn(|i| lists[i].listed()),
                };
                if longest > MOST { Err(longest) } else { Ok(name.iter().map(view).collect()) }
            }
            Self::TotemConfChg { seq, node, members, long, null } => {
                let members = if long.is_some() && *null { &[][..] } else { members };
                let len = match (long, null) {
                    (Some(len), true) => *len as usize,
                    (Some(len), false) => (*len as usize).max(MOST + 1),
                    (None, _) => members.len(),
                };
                let ring = Seen::Ring { seq: *seq, node: *node, members: members.to_vec() };
                if len > MOST { Err(len) } else { Ok(vec![ring]) }
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Returns the number of members in the view of this callback, if it has one.
    fn view(&self) -> Option<usize> {
        match self {
            Self::ConfChg { name: Some(_), lists } => Some(lists[0].listed().len()),
            _ => None,
        }
    }
}

fn bytes(messages: &[Vec<u8>], rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet::begin(&mut bytes);
    for message in messages {
        packet::push(&mut bytes, message);
    }
    bytes.extend_from_slice(rest);
    bytes
}

/// Returns the events that a payload makes. The readers of packets have a separate target.
fn messages(name: &[u8], sender: (u32, u32), payload: &[u8], kind: Kind) -> Vec<Seen> {
    let message = |payload: &[u8], packed| Seen::Message {
        name: name.to_vec(),
        sender,
        payload: payload.to_vec(),
        packed,
    };
    let malformed = |bytes: &[u8]| Seen::Malformed { name: name.to_vec(), sender, bytes: bytes.to_vec() };
    match kind {
        Kind::Session { coalesced, .. } if packet::is_packet(payload) => {
            if !coalesced {
                return vec![malformed(payload)];
            }
        }
        _ => return vec![message(payload, false)],
    }
    let mut seen = Vec::new();
    let mut rest = packet::messages(payload);
    while let Some(next) = rest.next() {
        seen.push(match next {
            Ok(payload) => message(payload, true),
            Err(_) => malformed(rest.rest()),
        });
    }
    seen
}

fn see(event: Event<'_>) -> Option<Seen> {
    let member = |member: &cpg::Member| (member.node().get(), member.pid(), u32::from(member.reason()));
    let pair = |member: cpg::Member| (member.node().get(), member.pid());
    Some(match event {
        Event::Deliver(mut message) => {
            let payload = message.payload().to_vec();
            // The handler may change the payload.
            message.payload_mut().fill(0xaa);
            let name = message.group().as_bytes().to_vec();
            Seen::Message { name, sender: pair(message.sender()), payload, packed: message.is_packed() }
        }
        Event::ConfChg(view) => Seen::View {
            name: view.group().as_bytes().to_vec(),
            lists: [view.members(), view.left(), view.joined()].map(|list| list.iter().map(member).collect()),
        },
        Event::TotemConfChg(ring) => Seen::Ring {
            seq: ring.id().seq(),
            node: ring.id().node().get(),
            members: ring.members().iter().map(|node| node.get()).collect(),
        },
        Event::Malformed(packet) => Seen::Malformed {
            name: packet.group().as_bytes().to_vec(),
            sender: pair(packet.sender()),
            bytes: packet.bytes().to_vec(),
        },
        // This target does not check the sends.
        Event::Undelivered(_) => return None,
        event => panic!("{event:?}"),
    })
}

enum Joined {
    Group(Group),
    Session(Session),
    Split(Sender, Receiver),
}

impl Joined {
    fn new(kind: Kind, handle: Handle) -> Self {
        let Kind::Session { coalesced, split } = kind else {
            return Self::Group(handle.join("fuzz").unwrap());
        };
        let options = if coalesced { Session::options().coalesce() } else { Session::options() };
        let session = options.join_on(handle, "fuzz").unwrap();
        if split {
            let (sender, receiver) = session.split();
            Self::Split(sender, receiver)
        } else {
            Self::Session(session)
        }
    }

    fn send(&self, message: &[u8]) {
        match self {
            Self::Group(group) => group.send(message).unwrap(),
            // The queue is full, or a dispatch has ended the session with an error.
            Self::Session(session) => drop(session.send(message)),
            Self::Split(sender, _) => drop(sender.try_send(message)),
        }
    }

    fn take(&mut self, how: How, mut handler: impl FnMut(Event<'_>)) -> cpg::Result<()> {
        let limits = match how {
            How::One => Limits::available().at_most(1),
            How::AtMost(most) => Limits::available().at_most(usize::from(most)),
            How::All | How::Run | How::Break => Limits::available(),
            How::Late => Limits::forever().until(Instant::now()),
        };
        let mut run = |event: Event<'_>| {
            handler(event);
            if matches!(how, How::Break) { Break(()) } else { Continue(()) }
        };
        match (self, how) {
            (Self::Group(group), How::Run | How::Break) => group.run(limits, |_, event| run(event)).map(drop),
            (Self::Session(session), How::Run | How::Break) => {
                session.run(limits, |_, event| run(event)).map(drop)
            }
            (Self::Split(_, receiver), How::Run | How::Break) => {
                receiver.run(limits, |_, event| run(event)).map(drop)
            }
            (Self::Group(group), _) => group.dispatch(limits, |_, event| handler(event)).map(drop),
            (Self::Session(session), _) => session.dispatch(limits, |_, event| handler(event)).map(drop),
            (Self::Split(_, receiver), _) => receiver.dispatch(limits, |_, event| handler(event)).map(drop),
        }
    }
}

impl How {
    /// Returns true if this way of taking events may end before all are taken.
    fn is_partial(self) -> bool {
        matches!(self, Self::One | Self::AtMost(_) | Self::Break | Self::Late)
    }
}

/// The state of the test: the plans for C, and the results.
struct Check {
    kind: Kind,
    /// True if a ring event is handed over at once: in a group always, and in a session after its first view.
    begun: bool,
    /// The last ring before the first view, which is handed over after that view.
    early: Option<Seen>,
    /// The events that the executed plans make.
    expected: Vec<Seen>,
    seen: Vec<Seen>,
    /// The plans that were executed since the last check.
    carried_out: Arc<Mutex<Vec<(Call, Return)>>>,
    /// The number of events until the handler panics.
    panic: Option<u8>,
    /// The number of members in the last view, and the number according to the daemon.
    view: usize,
    count: usize,
    /// The number of members of a list that was too long, or of a group that is too large.
    refused: Option<usize>,
    /// The error that comes after the undelivered messages have been handed back. `None` if the handler has panicked at
    /// it.
    put_off: Option<CsError>,
    /// The error that has ended a session, which each further dispatch returns.
    over: Option<Error>,
}

/// The handler's panic.
struct Planned;

impl Check {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            begun: matches!(kind, Kind::Group),
            early: None,
            expected: Vec::new(),
            seen: Vec::new(),
            carried_out: Arc::default(),
            panic: None,
            view: 0,
            count: 1,
            refused: None,
            put_off: None,
            over: None,
        }
    }

    fn plan(&self, stub: Stub, call: &Call, back: Return) {
        let (call, carried_out) = (call.clone(), Arc::clone(&self.carried_out));
        stub.plan(move |stub| {
            call.make(stub);
            carried_out.lock().unwrap().push((call, back));
            back.code()
        });
    }

    fn expect(&mut self, event: Seen) {
        match event {
            Seen::Ring { .. } if !self.begun => self.early = Some(event),
            Seen::View { .. } => {
                self.begun = true;
                self.expected.push(event);
                self.expected.extend(self.early.take());
            }
            _ => self.expected.push(event),
        }
    }

    /// Takes events, and checks what the handler saw and what the call returned.
    fn take(&mut self, joined: &mut Joined, how: How) {
        let (seen, panic) = (&mut self.seen, &mut self.panic);
        let taking = AssertUnwindSafe(|| {
            joined.take(how, |event| {
                seen.extend(see(event));
                *panic = panic.map(|after| after.wrapping_sub(1));
                if *panic == Some(u8::MAX) {
                    *panic = None;
                    panic_any(Planned);
                }
            })
        });
        let result = catch_unwind(taking);
        let carried_out: Vec<_> = self.carried_out.lock().unwrap().drain(..).collect();
        for (i, (call, back)) in carried_out.iter().enumerate() {
            assert!(self.refused.is_none(), "events are taken of a group that is too large");
            assert!(self.over.is_none(), "events are taken after {:?}", self.over);
            match call.events(self.kind) {
                Ok(events) => events.into_iter().for_each(|event| self.expect(event)),
                Err(members) => self.refused = Some(members),
            }
            self.view = call.view().unwrap_or(self.view);
            let is_last = i + 1 == carried_out.len();
            assert!(is_last || back.code() == CS_OK, "it went on after {back:?}");
        }
        assert!(self.expected.starts_with(&self.seen), "{:?} of {:?}", self.seen, self.expected);
        let code = carried_out.last().map(|(_, back)| back.code());
        let error = code.filter(|code| ![CS_OK, CS_ERR_TRY_AGAIN].contains(code)).map(CsError::from);
        if !matches!(result, Ok(Err(_))) && error.is_some() {
            self.put_off = error;
        }
        let result = match result {
            Ok(result) => result,
            Err(panic) => return assert!(panic.is::<Planned>(), "a panic of the crate's own"),
        };
        let is_session = !matches!(joined, Joined::Group(_));
        if let Some(over) = &self.over {
            return match result {
                Ok(()) => assert!(matches!(how, How::AtMost(0)), "{over} does not come again"),
                Err(error) => assert_eq!(error, *over),
            };
        }
        if let Err(error) = &result {
            self.over = (is_session && !error.is_retryable()).then(|| error.clone());
        }
        match (result, carried_out.last()) {
            (Ok(()), last) => {
                assert!(self.refused.is_none() || how.is_partial(), "{last:?} was no error");
                assert!(error.is_none() || is_session, "{last:?} was no error");
            }
            (Err(Error::GroupTooLarge { members, .. }), _) => {
                if self.refused.is_none() {
                    assert!(self.view == MOST && self.count > MOST, "{members}");
                    self.refused = Some(members);
                }
                assert_eq!(self.refused, Some(members));
            }
            (Err(error), Some((_, back))) => assert_eq!(error.code(), Some(CsError::from(back.code()))),
            (Err(error), None) => {
                assert!(self.put_off.is_some(), "{error}");
                assert_eq!(error.code(), self.put_off.take());
            }
        }
    }

    /// Takes the remaining events, and checks that none was lost.
    fn finish(mut self, joined: &mut Joined) {
        self.panic = None;
        // Messages of an executed plan that are left in a packet.
        self.take(joined, How::All);
        assert_eq!(self.seen, self.expected);
    }
}

static QUIET: Once = Once::new();

fuzz_target!(|input: Input| {
    // libFuzzer takes all panics for crashes, but those of the handler are wanted.
    QUIET.call_once(|| {
        let crash = take_hook();
        set_hook(Box::new(move |info| {
            if !info.payload().is::<Planned>() {
                crash(info);
            }
        }));
    });
    run(&input);
});

fn run(input: &Input) {
    let handle = Handle::connect().unwrap();
    let stub = Stub::last();
    let mut joined = Joined::new(input.kind, handle);
    let mut check = Check::new(input.kind);
    for step in &input.steps {
        match step {
            Step::Plan(call, back) => check.plan(stub, call, *back),
            Step::Take(how) => check.take(&mut joined, *how),
            Step::Panic(after) => check.panic = Some(*after),
            Step::Count(count) => {
                check.count = usize::from(*count).max(1);
                stub.reply(stub::Replies { members: i32::from(*count).max(1), ..SOUND });
            }
            Step::Odd(call) => call.make(stub),
            Step::Send(message) => joined.send(message),
        }
    }
    check.finish(&mut joined);
    drop(joined);
    stub.deliver(Some(&c_name(b"closed", 6)), (1, 1), &mut []);
}
