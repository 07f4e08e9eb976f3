//! State that is the same on all members of the primary component, and changes that survive once they are acknowledged.
//!
//! A [`Replica`] is told views, messages and ticks of a clock, and says what to send and what to answer. It has no I/O. The protocol, and
//! the proof that an acknowledged change survives, are on the page `replicated_state` of the guide of the crate `cpg`.

mod changes;
mod epochs;
pub mod format;
pub mod message;
pub mod primary;
pub mod quorum;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
pub mod transfer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cpg::Member;

use format::Format as _;
use message::{Body, Message};
use primary::{Epoch, Place};
use quorum::Nodes;
use transfer::{Catching, Giving};

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
    /// The nodes that there are.
    pub nodes: Nodes,
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

/// Where a member is, for its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not in the group.
    Away,
    /// Without a majority of the nodes.
    Minority,
    /// With a member that was started for another number of nodes.
    Misfit(Member, u32),
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
    tail: VecDeque<Change>,
    promised: Epoch,
    /// The highest that was heard of.
    highest: Epoch,
    members: BTreeSet<Member>,
    /// Those of them that count.
    voters: BTreeSet<Member>,
    misfit: Option<(Member, u32)>,
    /// What this member has opened and not formed, and whether at an operator's word.
    opening: Option<(Epoch, bool)>,
    phase: Phase,
    /// For how many ticks nothing has come of what it waits for.
    waited: u32,
    next_number: u64,
    own: BTreeMap<u64, Own<M::Outcome>>,
    output: VecDeque<Output<M::Outcome>>,
}

/// How far a member has come in its view.
#[derive(Debug)]
enum Phase {
    Waiting,
    /// The epoch in `promised` was opened; those who have promised it, and what they hold.
    Promised(BTreeMap<Member, Option<Place>>),
    /// The epoch in `promised` was formed.
    In(Current),
}

/// The epoch that a member is in.
#[derive(Debug)]
struct Current {
    sequencer: Member,
    /// What members hold of it.
    held: BTreeMap<Member, u64>,
    /// Until this member is in step.
    catching: Option<Catching<Change>>,
    /// The position and the chain that were accepted meanwhile.
    accepted: Option<(u64, u64)>,
    /// Snapshots on their way, if this is the sequencer.
    giving: BTreeMap<Member, Giving>,
}

/// A change that was delivered.
#[derive(Debug, Clone)]
struct Change {
    sender: Member,
    number: u64,
    command: Vec<u8>,
    /// After it.
    chain: u64,
}

/// A command of this member.
#[derive(Debug)]
struct Own<O> {
    command: Vec<u8>,
    stage: Stage<O>,
    age: u32,
}

#[derive(Debug)]
enum Stage<O> {
    Kept,
    Sent,
    /// It has this place, and waits for a majority.
    Applied(u64, O),
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
            members: BTreeSet::new(),
            voters: BTreeSet::new(),
            misfit: None,
            opening: None,
            phase: Phase::Waiting,
            waited: 0,
            next_number: 0,
            own: BTreeMap::new(),
            output: VecDeque::new(),
        }
    }

    /// What to do next; to be asked after each of the calls below until it gives none.
    pub fn output(&mut self) -> Option<Output<M::Outcome>> {
        self.output.pop_front()
    }

    /// Has a command done, and returns its number.
    pub fn submit(&mut self, command: Vec<u8>) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.own.insert(number, Own { command, stage: Stage::Kept, age: 0 });
        if self.is_in_step() {
            self.send_own(number);
        }
        number
    }

    /// The members of the group are these from now on; none, if the membership is lost.
    pub fn view(&mut self, members: &[Member]) {
        self.members = members.iter().copied().collect();
        self.voters = quorum::voters(members);
        (self.phase, self.opening, self.misfit, self.waited) = (Phase::Waiting, None, None, 0);
        if self.has_majority() && self.members.first() == Some(&self.me) {
            self.open(false);
        }
    }

    /// A message was delivered.
    pub fn deliver(&mut self, sender: Member, message: &[u8]) {
        let Some(Message { epoch, body }) = Message::of(message) else { return };
        self.highest = self.highest.max(epoch);
        match body {
            Body::Open { nodes, members } => self.opened(sender, epoch, Nodes(nodes), &members),
            Body::Promise(held) => self.promised_by(sender, epoch, held),
            _ if epoch != self.promised => {}
            Body::Form { base, sequencer } => {
                if let Phase::Promised(_) = self.phase {
                    self.enter(base, sequencer);
                }
            }
            Body::Change { number, command } => self.change(sender, number, command.to_vec()),
            Body::Hold { position, chain } => self.held_by(sender, position, chain),
            Body::Want => self.wanted_by(sender),
            Body::Part { to, part } => self.part(sender, to, part),
        }
    }

    /// All events that were there have been delivered: tells the others how far this member has come.
    pub fn flush(&mut self) {
        let (Some(Place { position, chain, .. }), true) = (self.held, self.is_in_step()) else { return };
        if let Phase::In(current) = &mut self.phase {
            if current.held.insert(self.me, position) != Some(position) {
                self.send(Body::Hold { position, chain });
            }
        }
        self.settle();
    }

    /// Time passes.
    pub fn tick(&mut self) {
        let settled = self.is_in_step() && self.tail.is_empty();
        self.waited = if settled || !self.has_majority() { 0 } else { self.waited + 1 };
        let rank = self.members.iter().position(|&member| member == self.me).unwrap_or(0) as u64;
        // Without enough state nothing comes of it, unless an answer was lost.
        let times = if matches!(self.standing(), Standing::Stateless { .. }) { 4 } else { 1 };
        if u64::from(self.waited) > u64::from(self.options.patience) * (rank + 1) * times {
            self.waited = 0;
            self.open(false);
        } else if self.waited > self.options.patience / 2 {
            self.form(0);
        }
        for own in self.own.values_mut() {
            own.age += 1;
        }
        let expiry = self.options.expiry;
        self.give_up(|own| own.age > expiry);
    }

    /// This member's own state: that of the primary component, or an older one, or with changes that will not be confirmed.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// What it holds.
    pub fn held(&self) -> Option<Place> {
        self.held
    }

    /// The view.
    pub fn members(&self) -> &BTreeSet<Member> {
        &self.members
    }

    /// The members of the view that have state, as far as they have said.
    pub fn holders(&self) -> Vec<Member> {
        let holds = |member: &&Member| match &self.phase {
            Phase::Waiting => false,
            Phase::Promised(promises) => promises.get(member).is_some_and(Option::is_some),
            Phase::In(current) => current.held.contains_key(member) || current.sequencer == **member,
        };
        self.members.iter().filter(holds).copied().collect()
    }

    /// Who accepts changes in the epoch that this member is in.
    pub fn sequencer(&self) -> Option<Member> {
        self.current().map(|current| current.sequencer)
    }

    /// Changes that were delivered and not applied, and commands that were not answered.
    pub fn behind(&self) -> (usize, usize) {
        let catching = self.current().and_then(|current| current.catching.as_ref());
        let after = catching.map_or(0, |catching| catching.progress().1);
        (self.tail.len() + after, self.own.len())
    }

    /// Where this member is.
    pub fn standing(&self) -> Standing {
        match &self.phase {
            _ if self.members.is_empty() => Standing::Away,
            Phase::In(Current { catching: Some(catching), .. }) => {
                Standing::CatchingUp(catching.progress().0)
            }
            Phase::In(_) => Standing::InStep,
            _ if !self.has_majority() => Standing::Minority,
            _ if self.misfit.is_some() => {
                let (member, nodes) = self.misfit.unwrap_or((self.me, 0));
                Standing::Misfit(member, nodes)
            }
            Phase::Promised(promises)
                if promises.len() == self.members.len() && self.begins_with(promises, false).is_none() =>
            {
                Standing::Stateless { holders: self.holders().len() }
            }
            _ => Standing::Forming,
        }
    }

    fn has_majority(&self) -> bool {
        self.voters.len() >= self.options.nodes.majority()
    }

    fn current(&self) -> Option<&Current> {
        if let Phase::In(current) = &self.phase { Some(current) } else { None }
    }

    fn is_in_step(&self) -> bool {
        self.current().is_some_and(|current| current.catching.is_none())
    }

    /// Sends a message about the epoch that this member has promised.
    fn send(&mut self, body: Body<'_>) {
        self.output.push_back(Output::Send(Message { epoch: self.promised, body }.to_bytes()));
    }
}
