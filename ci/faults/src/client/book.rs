//! The state of a client, and the records that it writes.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use cpg::{Error, Event, Member};
use cpg_checker::record::{self, Change, Ending, Fate, MessageId, Record, Ring, View};

use super::say;
use super::watchdog::{Watch, Watchdog};
use crate::message;

/// The number of bytes that are collected before they are written, unless they are needed earlier.
const BUFFER: usize = 16 << 10;

/// The book of a client, for all its threads.
#[derive(Debug)]
pub struct Book {
    client: u16,
    launch: u16,
    writer: Mutex<(File, Vec<u8>)>,
    state: Mutex<State>,
    quiet: AtomicBool,
    stop: AtomicBool,
    last: AtomicBool,
    stall: AtomicU32,
    next_seq: AtomicU32,
    watchdog: Watchdog,
    /// The process that has made the book.
    pid: u32,
    fork: [AtomicBool; 2],
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A place where a client forks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Between,
    Handler,
}

#[derive(Debug, Default)]
struct State {
    incarnation: u32,
    members: Vec<Member>,
    /// The ring of the last event about a ring, if the client gets such events. Views of the next ring may have come
    /// since.
    ring: Option<cpg::OwnedRing>,
    /// The messages of this client whose fate is not yet completely known.
    open: HashMap<u32, Open>,
    /// The number of last messages that were delivered, and the number of all last messages.
    lasts: u32,
    lasts_wanted: u32,
    settled: bool,
}

#[derive(Debug, Default)]
struct Open {
    /// True while the message is neither delivered nor handed back.
    untold: bool,
    /// True while there is a ticket that is not resolved.
    ticket: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn member(member: Member) -> record::Member {
    record::Member { node: member.node().get(), pid: member.pid() }
}

impl Book {
    pub fn new(client: u16, launch: u16, file: File) -> Self {
        Self {
            client,
            launch,
            writer: Mutex::new((file, Vec::new())),
            state: Mutex::default(),
            quiet: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            last: AtomicBool::new(false),
            stall: AtomicU32::new(0),
            next_seq: AtomicU32::new(0),
            watchdog: Watchdog::default(),
            pid: std::process::id(),
            fork: Default::default(),
            threads: Mutex::default(),
        }
    }

    pub fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// Watches the calling thread or task.
    pub fn watch(&self, name: &'static str) -> Watch {
        self.watchdog.watch(name)
    }

    pub fn want_fork(&self, place: Place) {
        self.fork[place as usize].store(true, Ordering::SeqCst);
    }

    /// Returns true if the client is to fork here. The request is then over.
    pub fn takes_fork(&self, place: Place) -> bool {
        self.fork[place as usize].swap(false, Ordering::SeqCst)
    }

    /// Returns false in a forked child.
    pub fn is_parent(&self) -> bool {
        std::process::id() == self.pid
    }

    /// Notes a thread that must end before the process.
    pub fn wait_for(&self, thread: JoinHandle<()>) {
        lock(&self.threads).push(thread);
    }

    /// Waits for those threads.
    pub fn wait_for_threads(&self) {
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            thread.join().expect("a panic ends the process");
        }
    }

    pub fn write(&self, record: &Record) {
        let mut writer = lock(&self.writer);
        record.write(&mut writer.1);
        if writer.1.len() >= BUFFER {
            Self::flush_now(&mut writer);
        }
    }

    /// Writes the records to the file. After that, they survive a SIGKILL of the process.
    pub fn flush(&self) {
        Self::flush_now(&mut lock(&self.writer));
    }

    fn flush_now((file, buffer): &mut (File, Vec<u8>)) {
        file.write_all(buffer).expect("records can be written");
        buffer.clear();
    }

    pub fn set_quiet(&self) {
        self.quiet.store(true, Ordering::SeqCst);
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::SeqCst)
    }

    pub fn want_last(&self, count: u32) {
        lock(&self.state).lasts_wanted = count;
        self.last.store(true, Ordering::SeqCst);
        self.look_settled();
    }

    pub fn is_last_wanted(&self) -> bool {
        self.last.load(Ordering::SeqCst)
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub fn stall(&self, millis: u32) {
        self.stall.store(millis, Ordering::SeqCst);
    }

    /// Returns the time during which the client is not to dispatch.
    pub fn take_stall(&self) -> Option<Duration> {
        let millis = self.stall.swap(0, Ordering::SeqCst);
        (millis > 0).then(|| Duration::from_millis(millis.into()))
    }

    /// Notes the list of members from the daemon.
    pub fn listed(&self, members: BTreeSet<Member>) {
        lock(&self.state).members = members.into_iter().collect();
    }

    /// Returns the state in one line: the number of open messages, and the view without ghosts (B26).
    pub fn look(&self) -> String {
        let state = lock(&self.state);
        let mut line = format!("state {}", state.open.len());
        let ghosts: Vec<Member> = state.ring.iter().flat_map(|ring| ring.ghosts(&state.members)).collect();
        for member in state.members.iter().filter(|member| !ghosts.contains(member)) {
            write!(line, " {member}").expect("a String takes everything");
        }
        line
    }

    pub fn begin(&self, me: Member) {
        let mut state = lock(&self.state);
        state.incarnation += 1;
        self.write(&Record::Begin { incarnation: state.incarnation, me: member(me) });
    }

    /// Notes the end of the membership. Messages that were sent without a queue get no further answers.
    pub fn end(&self, ending: Ending, queued: bool) {
        let mut state = lock(&self.state);
        state.members.clear();
        state.ring = None;
        if !queued {
            state.open.clear();
        }
        self.write(&Record::End(ending));
        self.flush();
    }

    /// Makes a message and notes that it is about to be sent. Messages must be sent in the order in which they were made.
    pub fn make(&self, len: usize, tracked: bool, last: bool) -> (u32, Vec<u8>) {
        let seq = self.next_seq.fetch_add(1, Ordering::SeqCst);
        let id = MessageId { client: self.client, launch: self.launch, seq };
        let mut state = lock(&self.state);
        let bytes = message::make(id, state.incarnation, last, len);
        state.open.insert(seq, Open { untold: true, ticket: tracked });
        drop(state);
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.write(&Record::Send { seq, hash: message::hash_of(&bytes), len, tracked });
        self.flush();
        (seq, bytes)
    }

    /// Notes that the call that sends a message has failed.
    pub fn refused(&self, seq: u32, error: &Error, len: usize) {
        // Parts of a long message may have gone out before the daemon died.
        let unclear = len > 1_000_000 && !error.is_retryable();
        lock(&self.state).open.remove(&seq);
        self.write(&Record::Fate { seq, fate: if unclear { Fate::Unclear } else { Fate::Refused } });
    }

    /// Notes the answer of a ticket.
    pub fn ticket(&self, seq: u32, delivered: bool) {
        self.write(&Record::Fate { seq, fate: if delivered { Fate::Resolved } else { Fate::Failed } });
        self.told(seq, |open| open.ticket = false);
    }

    fn told(&self, seq: u32, change: impl FnOnce(&mut Open)) {
        let mut state = lock(&self.state);
        if let Some(open) = state.open.get_mut(&seq) {
            change(open);
            if !open.untold && !open.ticket {
                state.open.remove(&seq);
            }
        }
    }

    /// Records an event.
    pub fn event(&self, event: &Event<'_>, me: Member) {
        match event {
            Event::Deliver(message) => self.deliver(message.payload(), message.sender(), message.is_packed()),
            Event::ConfChg(view) => self.view(*view),
            Event::TotemConfChg(ring) => self.ring(&ring.into_owned()),
            Event::Undelivered(message) => self.back(message, me),
            Event::Lost(_) => self.end(Ending::Lost, true),
            Event::Rejoined(back) => {
                self.begin(me);
                self.view(back.view());
            }
            Event::Malformed(packet) => {
                let excusable = packet.error() == cpg::packet::Error::Seal;
                self.alien(packet.bytes().len(), packet.sender(), excusable);
            }
            other => eprintln!("not understood: {other:?}"),
        }
    }

    /// Records an event of a message that owns its bytes, as [`event`](Self::event) does.
    pub fn message(&self, message: &cpg::OwnedMessage) {
        self.deliver(message.payload(), message.sender(), message.is_packed());
    }

    /// Records an event of a new ring, as [`event`](Self::event) does.
    pub fn ring(&self, ring: &cpg::OwnedRing) {
        self.write(&Record::Totem(Ring { seq: ring.id().seq(), node: ring.id().node().get() }));
        lock(&self.state).ring = Some(ring.clone());
    }

    fn deliver(&self, payload: &[u8], sender: Member, packed: bool) {
        let Some(parsed) = message::parse(payload) else {
            return self.alien(payload.len(), sender, !packed);
        };
        self.write(&Record::Deliver { id: parsed.id, hash: parsed.hash, sender: member(sender) });
        if (parsed.id.client, parsed.id.launch) == (self.client, self.launch) {
            self.told(parsed.id.seq, |open| open.untold = false);
        }
        if parsed.last {
            lock(&self.state).lasts += 1;
            self.look_settled();
        }
    }

    /// Records bytes that are not a message of a client.
    fn alien(&self, len: usize, sender: Member, excusable: bool) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.write(&Record::Alien { len, sender: member(sender), excusable });
    }

    fn look_settled(&self) {
        let mut state = lock(&self.state);
        if !state.settled && state.lasts_wanted > 0 && state.lasts >= state.lasts_wanted {
            state.settled = true;
            self.write(&Record::Settled);
            self.flush();
            say("settled");
        }
    }

    fn view(&self, view: cpg::View<'_>) {
        let changes = |list: &[Member]| -> Vec<Change> {
            list.iter()
                .map(|&who| (member(who), u8::try_from(u32::from(who.reason())).unwrap_or(u8::MAX)))
                .collect()
        };
        self.write(&Record::View(View {
            members: view.members().iter().map(|&who| member(who)).collect(),
            left: changes(view.left()),
            joined: changes(view.joined()),
        }));
        lock(&self.state).members = view.members().to_vec();
    }

    fn back(&self, message: &cpg::Undelivered, me: Member) {
        let Some(parsed) = message::parse(message.payload()) else {
            return self.alien(message.payload().len(), me, false);
        };
        let seq = parsed.id.seq;
        let fate = match message.error() {
            Error::DroppedByDaemon => Fate::BackDropped,
            _ if message.was_sent() => Fate::BackSent,
            _ => Fate::BackUnsent,
        };
        self.write(&Record::Fate { seq, fate });
        self.told(seq, |open| open.untold = false);
    }
}
