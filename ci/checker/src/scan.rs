//! One process after the other: what can be decided over its records alone, and what the comparisons need.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;

use crate::History;
use crate::record::{Change, Ending, Fate, Member, MessageId, Record, Ring, View};
use crate::report::{Known, Property, Report};

/// From here on a message may travel in parts. (The limit is 1 MiB less 1 KiB; nothing is sent between the two.)
pub(crate) const LONG: u32 = 1_000_000;

/// What is known of one message.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) hash: u32,
    pub(crate) len: u32,
    pub(crate) known: bool,
    pub(crate) tracked: bool,
    /// One bit for each fate.
    fates: u8,
    /// Its sender has delivered it.
    pub(crate) own: bool,
    /// Clients that deliver it.
    pub(crate) delivered: u32,
    /// Clients that have come to it: for the order.
    pub(crate) reached: u32,
}

impl Sent {
    pub(crate) fn has(&self, fate: Fate) -> bool {
        self.fates & (1 << fate as u8) != 0
    }
}

/// The messages of all processes.
#[derive(Debug, Default)]
pub(crate) struct Messages(HashMap<(u16, u16), Vec<Sent>>);

impl Messages {
    pub(crate) fn get_mut(&mut self, id: MessageId) -> &mut Sent {
        let all = self.0.entry((id.client, id.launch)).or_default();
        let index = id.seq as usize;
        if all.len() <= index {
            all.resize(index + 1, Sent::default());
        }
        &mut all[index]
    }

    pub(crate) fn get(&self, id: MessageId) -> Sent {
        self.of(id.client, id.launch).get(id.seq as usize).copied().unwrap_or_default()
    }

    pub(crate) fn of(&self, client: u16, launch: u16) -> &[Sent] {
        self.0.get(&(client, launch)).map_or(&[], Vec::as_slice)
    }
}

/// How a stretch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the event about its ring.
    Ring,
    /// With the first view of a membership.
    Join,
}

/// How a stretch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With the event about the next ring.
    Ring(Ring),
    /// With the last message of the run.
    Settled,
    /// In the middle: the client left, or was killed, or lost its daemon.
    Cut {
        /// Whether its daemon went on.
        daemon: bool,
    },
}

/// What a client saw on one ring: from the event about it, or its own joining, to the event about the next.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) process: usize,
    pub(crate) group: u8,
    pub(crate) me: Member,
    pub(crate) start: Start,
    pub(crate) ring: Option<Ring>,
    pub(crate) end: End,
    /// Where its first event is, where the one after its last message, and where the one that ends it.
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) until: u64,
    /// Nodes whose members the views of the next ring say have left.
    pub(crate) lost_nodes: BTreeSet<u32>,
    /// Nodes whose members have come with this ring or one before, of which nothing has been heard since.
    pub(crate) met_nodes: BTreeSet<u32>,
    /// How often the members of a node have come since the membership began.
    pub(crate) meetings: BTreeMap<u32, u32>,
    /// Which membership of the process.
    pub(crate) membership: usize,
}

/// One membership of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership {
    pub(crate) first_seq: u32,
    pub(crate) ending: Option<Ending>,
}

/// What is known of a process.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) client: u16,
    pub(crate) launch: u16,
    pub(crate) group: u8,
    pub(crate) queued: bool,
    pub(crate) bye: bool,
    pub(crate) memberships: Vec<Membership>,
    /// Who it was.
    pub(crate) members: HashSet<Member>,
}

/// What all processes saw.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) messages: Messages,
    pub(crate) processes: Vec<Process>,
    pub(crate) stretches: Vec<Stretch>,
    index: HashMap<(u16, u16), usize>,
}

impl Scan {
    /// The process that sent a message.
    pub(crate) fn process(&self, id: MessageId) -> Option<&Process> {
        self.index.get(&(id.client, id.launch)).map(|&index| &self.processes[index])
    }
}

/// Tells deliveries that are in their sender's order from those that are not. One for a client, over all its processes.
#[derive(Debug, Default)]
pub(crate) struct Sequence(HashMap<(u16, u16), u32>);

impl Sequence {
    pub(crate) fn is_next(&mut self, id: MessageId) -> bool {
        match self.0.get_mut(&(id.client, id.launch)) {
            Some(last) if id.seq <= *last => false,
            Some(last) => {
                *last = id.seq;
                true
            }
            None => {
                self.0.insert((id.client, id.launch), id.seq);
                true
            }
        }
    }
}

/// Reads the records of all processes.
pub(crate) fn scan(history: &History, report: &mut Report) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let mut sequences: HashMap<u16, Sequence> = HashMap::new();
    for (index, process) in history.processes.iter().enumerate() {
        let mut reader = process.source.open_at(0)?;
        let Some(Record::Hello { client, launch, group, queued }) = reader.read()? else {
            // Killed before it had written anything.
            scan.processes.push(Process::default());
            continue;
        };
        report.counts.processes += 1;
        let mut of = Of {
            report,
            name: &process.name,
            index,
            process: Process { client, launch, group, queued, ..Process::default() },
            messages: &mut scan.messages,
            sequence: sequences.entry(client).or_default(),
            stretches: &mut scan.stretches,
            live: None,
            next_seq: 0,
            at: reader.offset(),
        };
        while let Some(record) = reader.read()? {
            of.record(record, reader.offset());
            of.at = reader.offset();
        }
        of.cut(true);
        scan.index.insert((client, launch), scan.processes.len());
        scan.processes.push(of.process);
    }
    Ok(scan)
}

/// The membership that is being read.
struct Live {
    me: Member,
    view: Option<BTreeSet<Member>>,
    ring: Option<Ring>,
    start: Start,
    from: u64,
    to: u64,
    /// Whether there was anything since `from`.
    any: bool,
    /// An earlier membership of the same process has ended, and this one has not begun for the others.
    absent: bool,
    /// Who left since the last ring.
    departed: HashSet<Member>,
    /// Nodes that went down since the last message.
    lost_nodes: BTreeSet<u32>,
    /// Nodes that came since the last message, and those that came with this ring.
    up_nodes: BTreeSet<u32>,
    met_nodes: BTreeSet<u32>,
    unheard: BTreeSet<u32>,
    meetings: BTreeMap<u32, u32>,
    /// Messages of members that are not there.
    early: Vec<(Member, MessageId)>,
}

const LEAVE: u8 = 2;
const NODE_DOWN: u8 = 3;
pub(crate) const NODE_UP: u8 = 4;

struct Of<'a> {
    report: &'a mut Report,
    name: &'a str,
    index: usize,
    process: Process,
    messages: &'a mut Messages,
    sequence: &'a mut Sequence,
    stretches: &'a mut Vec<Stretch>,
    live: Option<Live>,
    next_seq: u32,
    /// Where the record that is being looked at begins.
    at: u64,
}

impl Of<'_> {
    fn record(&mut self, record: Record, after: u64) {
        match record {
            Record::Hello { .. } => self.bad(Property::Delivery, "a second beginning of the process"),
            Record::Begin { me, .. } => self.begin(me, after),
            Record::Send { seq, hash, len, tracked } => {
                self.report.counts.sent += 1;
                self.next_seq = seq + 1;
                let sent = self.messages.get_mut(self.own(seq));
                *sent = Sent { hash, len, tracked, known: true, ..*sent };
            }
            Record::Fate { seq, fate } => self.fate(seq, fate),
            Record::Deliver { id, sender, .. } => self.deliver(id, sender, after),
            Record::View(view) => self.view(&view, after),
            Record::Totem(ring) => self.ring(ring, after),
            Record::End(ending) => {
                if let Some(membership) = self.process.memberships.last_mut() {
                    membership.ending.get_or_insert(ending);
                }
                self.cut(ending != Ending::Lost);
            }
            Record::Settled => {
                if let Some(live) = self.live.as_ref().filter(|live| live.view.is_some()) {
                    let stretch = self.stretch(live, End::Settled);
                    self.stretches.push(stretch);
                }
                // What comes now is the end of the run, where nothing is compared.
                if let Some(live) = &mut self.live {
                    live.ring = None;
                    live.start = Start::Join;
                    live.from = after;
                    live.to = after;
                    live.any = false;
                }
            }
            Record::Bye => self.process.bye = true,
            Record::Alien { len } => {
                self.bad(Property::Delivery, &format!("{len} bytes were delivered that are no message"));
            }
        }
    }

    fn own(&self, seq: u32) -> MessageId {
        MessageId { client: self.process.client, launch: self.process.launch, seq }
    }

    fn bad(&mut self, property: Property, what: &str) {
        let name = self.name;
        self.report.violation(property, || format!("{name}: {what}"));
    }

    fn begin(&mut self, me: Member, after: u64) {
        self.cut(true);
        self.report.counts.incarnations += 1;
        self.process.memberships.push(Membership { first_seq: self.next_seq, ending: None });
        self.process.members.insert(me);
        self.live = Some(Live {
            me,
            view: None,
            ring: None,
            start: Start::Join,
            from: after,
            to: after,
            any: false,
            absent: false,
            departed: HashSet::new(),
            lost_nodes: BTreeSet::new(),
            up_nodes: BTreeSet::new(),
            met_nodes: BTreeSet::new(),
            unheard: BTreeSet::new(),
            meetings: BTreeMap::new(),
            early: Vec::new(),
        });
    }

    fn fate(&mut self, seq: u32, fate: Fate) {
        let counts = &mut self.report.counts;
        match fate {
            Fate::Resolved => counts.resolved += 1,
            Fate::Failed => counts.failed += 1,
            Fate::Refused | Fate::Unclear => counts.refused += 1,
            Fate::BackSent | Fate::BackUnsent | Fate::BackDropped => counts.handed_back += 1,
            Fate::Accepted => {}
        }
        let sent = self.messages.get_mut(self.own(seq));
        let again = sent.has(fate);
        sent.fates |= 1 << fate as u8;
        if again {
            self.bad(Property::Fate, &format!("message {seq}: {fate:?} twice"));
        }
    }

    fn deliver(&mut self, id: MessageId, sender: Member, after: u64) {
        self.report.counts.delivered += 1;
        if !self.sequence.is_next(id) {
            return self.bad(
                Property::Delivery,
                &format!("{id:?} was delivered a second time, or after a later one of its sender"),
            );
        }
        let own = (id.client, id.launch) == (self.process.client, self.process.launch);
        let sent = self.messages.get_mut(id);
        sent.delivered += 1;
        sent.own |= own;
        let Some(live) = &mut self.live else {
            return self.bad(Property::Delivery, &format!("{id:?} was delivered outside a membership"));
        };
        live.to = after;
        live.any = true;
        live.lost_nodes.clear();
        live.up_nodes.clear();
        live.unheard.remove(&sender.node);
        let Some(view) = &live.view else {
            return self.bad(Property::Delivery, &format!("{id:?} was delivered before the first view"));
        };
        if !view.contains(&sender) {
            if live.departed.contains(&sender) {
                self.report.counts.late += 1;
            } else {
                live.early.push((sender, id));
            }
        }
    }

    fn view(&mut self, view: &View, after: u64) {
        self.report.counts.views += 1;
        let Some(live) = &mut self.live else {
            return self.bad(Property::Views, "a view outside a membership");
        };
        let me = live.me;
        let members: BTreeSet<Member> = view.members.iter().copied().collect();
        let among = |list: &[Change], member: Member| list.iter().any(|&(other, _)| other == member);
        let mut complaint = None;
        if let Some(last) = &live.view {
            let mut follows = last.clone();
            follows.retain(|&member| !among(&view.left, member));
            follows.extend(view.joined.iter().map(|&(member, _)| member));
            if follows != members {
                complaint = Some(format!("{view:?} does not follow from {last:?}"));
            }
            live.any = true;
        } else {
            if !members.contains(&me) || !among(&view.joined, me) {
                complaint = Some(format!("the first view is {view:?}, without {me:?} as joining"));
            }
            (live.from, live.to) = (after, after);
        }
        if !members.contains(&me) && !among(&view.left, me) && !live.absent {
            complaint = Some(format!("{view:?} is without {me:?}, which has not left"));
        }
        for &(member, reason) in &view.left {
            live.departed.insert(member);
            if reason == NODE_DOWN {
                live.lost_nodes.insert(member.node);
            }
        }
        let mut come = BTreeSet::new();
        for &(member, reason) in &view.joined {
            live.departed.remove(&member);
            if reason == NODE_UP {
                come.insert(member.node);
            }
        }
        for &node in &come {
            *live.meetings.entry(node).or_default() += 1;
        }
        live.up_nodes.extend(come);
        let early = std::mem::take(&mut live.early);
        let (come, early): (Vec<_>, Vec<_>) =
            early.into_iter().partition(|(sender, _)| members.contains(sender));
        live.early = early;
        live.view = Some(members);
        for (sender, id) in come {
            let name = self.name;
            self.report.known(Known::BeforeJoining, || {
                format!("{name}: {id:?} of {sender:?}, who was then said to join")
            });
        }
        if let Some(complaint) = complaint {
            self.bad(Property::Views, &complaint);
        }
        if view.left.iter().any(|&(member, reason)| member == me && reason == LEAVE) {
            self.cut(true);
        } else if among(&view.left, me) {
            self.earlier_self(after);
        } else if let Some(live) =
            self.live.as_mut().filter(|live| live.absent && among(&view.joined, live.me))
        {
            live.absent = false;
            live.start = Start::Join;
            (live.from, live.to) = (after, after);
            live.any = false;
        }
    }

    /// A view says that this process has ended, while it goes on.
    fn earlier_self(&mut self, after: u64) {
        let name = self.name;
        self.report.known(Known::EarlierSelf, || format!("{name}, byte {after}"));
        if let Some(live) = &self.live {
            let stretch = self.stretch(live, End::Cut { daemon: true });
            self.stretches.push(stretch);
        }
        if let Some(live) = &mut self.live {
            live.absent = true;
            (live.from, live.to) = (after, after);
        }
    }

    fn ring(&mut self, ring: Ring, after: u64) {
        self.report.counts.rings += 1;
        let Some(live) = &mut self.live else { return };
        if live.view.is_none() || (!live.any && live.ring.is_none_or(|old| old == ring)) {
            // The ring that it joined in.
            live.ring = Some(ring);
            (live.from, live.to) = (after, after);
            return;
        }
        if live.ring == Some(ring) {
            // It joined while that ring was being formed, so what it saw until now was of the one before.
            live.ring = None;
        }
        let early = std::mem::take(&mut live.early);
        live.departed.clear();
        let live = self.live.as_ref().expect("looked at above");
        if !live.absent {
            let stretch = self.stretch(live, End::Ring(ring));
            self.stretches.push(stretch);
        }
        let live = self.live.as_mut().expect("looked at above");
        live.ring = Some(ring);
        live.start = Start::Ring;
        (live.from, live.to) = (after, after);
        live.any = false;
        live.lost_nodes.clear();
        live.unheard.append(&mut live.up_nodes);
        live.met_nodes = live.unheard.clone();
        for (sender, id) in early {
            self.bad(Property::Delivery, &format!("{id:?} was delivered while {sender:?} was no member"));
        }
    }

    fn stretch(&self, live: &Live, end: End) -> Stretch {
        Stretch {
            process: self.index,
            group: self.process.group,
            me: live.me,
            start: live.start,
            ring: live.ring,
            end,
            from: live.from,
            to: live.to,
            until: self.at,
            lost_nodes: live.lost_nodes.clone(),
            met_nodes: live.met_nodes.clone(),
            meetings: live.meetings.clone(),
            membership: self.process.memberships.len(),
        }
    }

    /// The membership ends, or its records do.
    fn cut(&mut self, daemon: bool) {
        if let Some(live) = self.live.take().filter(|live| live.view.is_some() && live.to > live.from) {
            let stretch = self.stretch(&live, End::Cut { daemon });
            self.stretches.push(stretch);
        }
    }
}
