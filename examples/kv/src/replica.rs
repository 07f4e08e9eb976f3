//! State that is the same on all members of the primary component, and changes that survive once they are acknowledged.
//!
//! A [`Replica`] is told views, messages and ticks of a clock, and says what to send and what to answer. It has no I/O. The protocol, and
//! the proof that an acknowledged change survives, are on the page `replicated_state` of the guide of the crate `cpg`.

mod form;
pub mod message;
mod order;
#[cfg(test)]
mod simulation;
mod transfer;

use std::collections::{BTreeMap, VecDeque};

use cpg::{Member, NodeId};

use message::{Epoch, Message, Place};

/// The state, and how commands change it: the same everywhere, so by nothing else than the command.
pub trait Machine: Default {
    /// What a command gives its writer.
    type Outcome;
    /// Does a command.
    fn apply(&mut self, command: &[u8]) -> Self::Outcome;
    /// All of the state.
    fn snapshot(&self) -> Vec<u8>;
    /// The state that this is a snapshot of; `None` if it is none.
    fn restore(snapshot: &[u8]) -> Option<Self>;
}

/// How a replica goes about it. Times are in ticks.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The nodes that there are, whether they run or not.
    pub nodes: u32,
    /// False for a demonstration of what is lost when nobody waits for a majority.
    pub confirm: bool,
    /// How long the lowest member waits for what does not come. Those above it wait longer.
    pub patience: u32,
    /// How long a command may take before its writer is told that it is refused or unknown.
    pub expiry: u32,
    /// The bytes of a part of a snapshot.
    pub part: usize,
    /// The parts that may be under way.
    pub parts: usize,
}

/// What a replica wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<O> {
    /// This is to be sent to the group.
    Send(Vec<u8>),
    /// This is to be told to the writer of a command.
    Answer(u64, Answer<O>),
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<O> {
    /// It was done, and survives.
    Done(O),
    /// It was not sent, and is not done.
    Refused,
    /// It was sent, and may be done or not.
    Unknown,
}

/// A member's part of the state.
#[derive(Debug)]
pub struct Replica<M: Machine> {
    options: Options,
    me: Member,
    /// A number that no other process has.
    process: u64,
    machine: M,
    held: Option<Place>,
    /// The changes that were delivered after `held`, in its epoch.
    tail: VecDeque<Entry>,
    promised: Epoch,
    /// The highest that was heard of.
    highest: Epoch,
    /// The view, in order, and the nodes that have one member in it.
    members: Vec<Member>,
    voices: Vec<NodeId>,
    /// What was promised in this view last, and what those hold who promised it.
    opened: Option<Epoch>,
    answers: BTreeMap<Member, Option<Place>>,
    /// What this member has opened and not formed, and whether by an operator's word.
    opening: Option<(Epoch, bool)>,
    current: Option<Current>,
    waited: u32,
    /// How often this member has wanted the state.
    wishes: u64,
    next_number: u64,
    /// Own commands that have no place yet, and those that wait for a majority.
    own: BTreeMap<u64, Own>,
    applied: VecDeque<Applied<M::Outcome>>,
    output: VecDeque<Output<M::Outcome>>,
    complaint: Option<String>,
}

/// The epoch that a member is in.
#[derive(Debug)]
struct Current {
    epoch: Epoch,
    sequencer: Member,
    /// What others hold of it.
    confirmed: BTreeMap<NodeId, u64>,
    /// The last position that this member has told.
    told: Option<u64>,
    /// Until this member is in step.
    catching: Option<Catching>,
    /// Snapshots on their way, if this is the sequencer.
    giving: BTreeMap<Member, Giving>,
}

#[derive(Debug, Default)]
struct Catching {
    /// The number of the wish.
    number: u64,
    /// `Want` has its place in the order.
    marked: bool,
    after: Vec<Entry>,
    accepted: Option<(u64, u64)>,
    snapshot: Vec<u8>,
}

#[derive(Debug)]
struct Giving {
    number: u64,
    snapshot: Vec<u8>,
    sent: usize,
    under_way: usize,
}

/// A change that was delivered.
#[derive(Debug, Clone)]
struct Entry {
    sender: Member,
    number: u64,
    command: Vec<u8>,
    chain: u64,
}

#[derive(Debug)]
struct Own {
    command: Vec<u8>,
    sent: bool,
    age: u32,
}

#[derive(Debug)]
struct Applied<O> {
    number: u64,
    position: u64,
    outcome: O,
    age: u32,
}

/// Where a member is, for its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not in the group.
    Away,
    /// Without a majority of the nodes.
    Minority,
    /// A majority of the nodes is there, and has not agreed yet.
    Forming,
    /// A majority of the nodes is there, and too few of them have state.
    Stateless {
        /// So many.
        holders: usize,
    },
    /// In the primary component, without its state yet: so many bytes have come.
    CatchingUp(usize),
    /// In the primary component.
    InStep,
}

impl<M: Machine> Replica<M> {
    /// `process` is a number that no other process of the group has, ever.
    pub fn new(me: Member, process: u64, options: Options) -> Self {
        Self {
            options,
            me,
            process,
            machine: M::default(),
            held: None,
            tail: VecDeque::new(),
            promised: Epoch::default(),
            highest: Epoch::default(),
            members: Vec::new(),
            voices: Vec::new(),
            opened: None,
            answers: BTreeMap::new(),
            opening: None,
            current: None,
            waited: 0,
            wishes: 0,
            next_number: 0,
            own: BTreeMap::new(),
            applied: VecDeque::new(),
            output: VecDeque::new(),
            complaint: None,
        }
    }

    /// What to do next; to be asked after each of the calls below until it gives none.
    pub fn output(&mut self) -> Option<Output<M::Outcome>> {
        self.output.pop_front()
    }

    /// This member's own state: that of the primary component, or an older one, or with changes that will not be confirmed.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// What it holds.
    pub fn held(&self) -> Option<Place> {
        self.held
    }

    /// The members of the view that have state, as far as they have said.
    pub fn holders(&self) -> Vec<Member> {
        let in_step = |member: &Member| {
            let current = self.current.as_ref();
            current.is_some_and(|current| {
                current.sequencer == *member
                    || current.confirmed.contains_key(&member.node())
                    || (*member == self.me && current.catching.is_none())
            })
        };
        let holds =
            |member: &&Member| in_step(member) || self.answers.get(member).is_some_and(Option::is_some);
        self.members.iter().filter(holds).copied().collect()
    }

    /// Changes that were delivered and not applied, and commands that were not answered.
    pub fn behind(&self) -> (usize, usize) {
        let after = self.catching().map_or(0, |catching| catching.after.len());
        (self.tail.len() + after, self.own.len() + self.applied.len())
    }

    /// Who accepts changes in the epoch that this member is in.
    pub fn sequencer(&self) -> Option<Member> {
        self.current.as_ref().map(|current| current.sequencer)
    }

    /// The view, in order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What keeps this member from taking part, in words.
    pub fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    /// Where this member is.
    pub fn standing(&self) -> Standing {
        match &self.current {
            _ if self.members.is_empty() => Standing::Away,
            Some(Current { catching: Some(catching), .. }) => Standing::CatchingUp(catching.snapshot.len()),
            Some(_) => Standing::InStep,
            None if !self.is_majority(self.voices.len()) => Standing::Minority,
            None if self.is_stateless() => Standing::Stateless { holders: self.holders().len() },
            None => Standing::Forming,
        }
    }

    fn is_majority(&self, nodes: usize) -> bool {
        2 * nodes > self.options.nodes as usize
    }

    /// True if all have promised what this member has, and too few of them hold something.
    fn is_stateless(&self) -> bool {
        let holders = self.answers.iter().filter(|(member, held)| held.is_some() && self.has_voice(member));
        !self.is_majority(holders.count()) && self.answers.len() == self.members.len()
    }

    fn has_voice(&self, member: &Member) -> bool {
        self.voices.binary_search(&member.node()).is_ok()
    }

    fn catching(&self) -> Option<&Catching> {
        self.current.as_ref()?.catching.as_ref()
    }

    fn is_in_step(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.catching.is_none())
    }

    fn send(&mut self, message: &Message<'_>) {
        self.output.push_back(Output::Send(message.to_bytes()));
    }

    /// Has a command done, and returns its number.
    pub fn submit(&mut self, command: Vec<u8>) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.own.insert(number, Own { command, sent: false, age: 0 });
        if self.is_in_step() {
            self.send_own(number);
        }
        number
    }

    /// The members of the group are these from now on; none, if the membership is lost.
    pub fn view(&mut self, members: &[Member]) {
        self.leave_epoch();
        self.members = members.to_vec();
        self.members.sort_unstable();
        let nodes = self.members.chunk_by(|one, other| one.node() == other.node());
        self.voices = nodes.filter(|on_node| on_node.len() == 1).map(|on_node| on_node[0].node()).collect();
        (self.opened, self.opening, self.waited, self.complaint) = (None, None, 0, None);
        self.answers.clear();
        if self.is_majority(self.voices.len()) && self.members.first() == Some(&self.me) {
            self.open(false);
        }
    }

    fn leave_epoch(&mut self) {
        self.current = None;
    }

    /// Time passes.
    pub fn tick(&mut self) {
        let stuck =
            self.current.as_ref().is_none_or(|current| current.catching.is_some() || !self.tail.is_empty());
        self.waited = if stuck && self.is_majority(self.voices.len()) { self.waited + 1 } else { 0 };
        let rank = self.members.iter().position(|&member| member == self.me).unwrap_or(0);
        // Without enough state nothing comes of it, unless an answer was lost.
        let times = if self.is_stateless() { 4 } else { 1 };
        let patience = u64::from(self.options.patience) * (rank as u64 + 1) * times;
        if u64::from(self.waited) > patience {
            self.waited = 0;
            self.open(false);
        } else {
            // Who has state and is slow is not to be passed over at an operator's word.
            let fresh = self.opening.is_some_and(|(_, fresh)| fresh);
            self.form(self.waited > if fresh { self.options.patience / 2 } else { 1 });
        }
        for own in self.own.values_mut() {
            own.age += 1;
        }
        let (expiry, output) = (self.options.expiry, &mut self.output);
        self.own.retain(|&number, own| {
            let answer = if own.sent { Answer::Unknown } else { Answer::Refused };
            let late = own.age > expiry;
            output.extend(late.then_some(Output::Answer(number, answer)));
            !late
        });
        self.applied.iter_mut().for_each(|applied| applied.age += 1);
        self.applied.retain(|applied| {
            let late = applied.age > expiry;
            output.extend(late.then_some(Output::Answer(applied.number, Answer::Unknown)));
            !late
        });
    }

    /// A message was delivered.
    pub fn deliver(&mut self, sender: Member, message: &[u8]) {
        let Some(message) = Message::of(message) else { return };
        self.highest = self.highest.max(message.epoch());
        let of_current = self.current.as_ref().is_some_and(|current| current.epoch == message.epoch());
        match message {
            Message::Open { epoch, nodes, members, .. } => self.promise(sender, epoch, nodes, &members),
            Message::Promise { epoch, held } if self.opened == Some(epoch) => {
                self.waited = 0;
                self.answers.insert(sender, held);
                self.form(false);
            }
            Message::Refuse { promised } => {
                if let Some((_, fresh)) = self.opening.filter(|&(epoch, _)| epoch < promised) {
                    self.open(fresh);
                }
            }
            Message::Form { epoch, base, sequencer }
                if self.opened == Some(epoch) && self.current.is_none() =>
            {
                self.enter(epoch, base, sequencer);
            }
            Message::Change { number, command, .. } if of_current => {
                self.change(Entry { sender, number, command: command.to_vec(), chain: 0 });
            }
            Message::Accept { position, chain, .. } if of_current => self.accept(sender, position, chain),
            Message::Confirm { position, .. } if of_current => self.confirm(sender, position),
            Message::Want { number, .. } if of_current => self.want(sender, number),
            Message::Part { to, number, offset, total, bytes, .. } if of_current => {
                self.part(sender, to, number, (offset, total), bytes);
            }
            _ => {}
        }
    }
}
