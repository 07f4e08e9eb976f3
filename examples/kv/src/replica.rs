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

/// A state, and the commands that change it. The effect of a command depends on the state and the command alone, so that it is the same on
/// all members.
pub trait Machine: Default {
    /// The result of a command, for its writer.
    type Outcome;
    /// Applies a command.
    fn apply(&mut self, command: &[u8]) -> Self::Outcome;
    /// Returns the whole state as bytes.
    fn snapshot(&self) -> Vec<u8>;
    /// Returns the state of a snapshot; `None` if the bytes are no snapshot.
    fn restore(snapshot: &[u8]) -> Option<Self>;
}

/// The settings of a replica. Times are in ticks.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The number of nodes in the cluster.
    pub nodes: Nodes,
    /// True if a change is acknowledged only when a majority holds it. False demonstrates which writes are lost otherwise.
    pub confirm: bool,
    /// The time without progress after which the lowest member opens a new epoch. The members above it wait longer.
    pub patience: u32,
    /// The age at which a command without an outcome is answered as refused or unknown.
    pub expiry: u32,
    /// The maximum length of a part of a snapshot, in bytes. At each tick, one part is due.
    pub part: usize,
    /// The maximum number of parts in flight.
    pub parts: usize,
}

/// An action that a replica asks of its program. The program performs the actions in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<O> {
    /// A message to send to the group.
    Send(Vec<u8>),
    /// The number of a command, and the answer for its writer.
    Answer(u64, Answer<O>),
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<O> {
    /// The command was applied and survives, with this result.
    Done(O),
    /// The command was not sent, and has no effect.
    Refused,
    /// The command was sent, and may or may not take effect.
    Unknown,
}

/// The relation of a member to the primary component, as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The member is not in the group.
    Away,
    /// The view has no majority of the nodes.
    Minority,
    /// The view has this member, which was started for this other number of nodes.
    Misfit(Member, u32),
    /// The view has a majority of the nodes, which have not agreed yet.
    Forming,
    /// The view has a majority of the nodes, and too few members with state.
    Stateless {
        /// The number of members with state.
        holders: usize,
    },
    /// The member is in the primary component and waits for its state, of which this many bytes have arrived.
    CatchingUp(usize),
    /// The member is in the primary component and has its state.
    InStep,
}

/// A member's replica of the state.
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
    /// The highest epoch that this member has heard of.
    highest: Epoch,
    members: BTreeSet<Member>,
    /// The members of the view that have a vote.
    voters: BTreeSet<Member>,
    misfit: Option<(Member, u32)>,
    /// The epoch that this member has opened and not formed yet; true if a statement of an operator opened the epoch.
    opening: Option<(Epoch, bool)>,
    phase: Phase,
    /// The number of ticks without progress.
    waited: u32,
    next_number: u64,
    own: BTreeMap<u64, Own<M::Outcome>>,
    output: VecDeque<Output<M::Outcome>>,
}

/// The progress of a member in its view.
#[derive(Debug)]
enum Phase {
    Waiting,
    /// The epoch in `promised` was opened. The members that have promised it, with the place that each of them holds.
    Promised(BTreeMap<Member, Option<Place>>),
    /// The epoch in `promised` was formed.
    In(Current),
}

/// The epoch that a member is in.
#[derive(Debug)]
struct Current {
    sequencer: Member,
    /// The position that each member holds in the epoch.
    held: BTreeMap<Member, u64>,
    /// The state on its way to this member; `None` if the member is in step.
    catching: Option<Catching<Change>>,
    /// The position and the chain that the sequencer has accepted while this member was not in step.
    accepted: Option<(u64, u64)>,
    /// The snapshots on their way to members, if this member is the sequencer.
    giving: BTreeMap<Member, Giving>,
}

/// A change that was delivered.
#[derive(Debug, Clone)]
struct Change {
    sender: Member,
    number: u64,
    command: Vec<u8>,
    /// The chain after this change.
    chain: u64,
}

/// A command that was submitted to this member.
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
    /// The command was applied at this position with this result, and waits for a majority.
    Applied(u64, O),
}

impl<M: Machine> Replica<M> {
    /// Returns a replica without state. `process` is a number that no other process of the group ever has.
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

    /// Returns the next action. After each of the calls below, take the actions until none is left.
    pub fn output(&mut self) -> Option<Output<M::Outcome>> {
        self.output.pop_front()
    }

    /// Submits a command, and returns its number.
    pub fn submit(&mut self, command: Vec<u8>) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.own.insert(number, Own { command, stage: Stage::Kept, age: 0 });
        if self.is_in_step() {
            self.send_own(number);
        }
        number
    }

    /// Sets the members of the group. An empty list says that the membership is lost.
    pub fn view(&mut self, members: &[Member]) {
        self.members = members.iter().copied().collect();
        self.voters = quorum::voters(members);
        (self.phase, self.opening, self.misfit, self.waited) = (Phase::Waiting, None, None, 0);
        if self.has_majority() && self.members.first() == Some(&self.me) {
            self.open(false);
        }
    }

    /// Processes a message that was delivered.
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

    /// Tells the other members which position this member holds. Call it when all available events have been delivered.
    pub fn flush(&mut self) {
        let (Some(Place { position, chain, .. }), true) = (self.held, self.is_in_step()) else { return };
        if let Phase::In(current) = &mut self.phase {
            if current.held.insert(self.me, position) != Some(position) {
                self.send(Body::Hold { position, chain });
            }
        }
        self.settle();
    }

    /// Advances the clock by one tick.
    pub fn tick(&mut self) {
        self.give_at_tick();
        let settled = self.is_in_step() && self.tail.is_empty();
        self.waited = if settled || !self.has_majority() { 0 } else { self.waited + 1 };
        let rank = self.members.iter().position(|&member| member == self.me).unwrap_or(0) as u64;
        // Without enough state a new epoch does not help, unless an answer was lost.
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

    /// Returns this member's own state. It is the state of the primary component, or an older state, or a state with changes that will
    /// never be confirmed.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Returns the place of the state that this member holds.
    pub fn held(&self) -> Option<Place> {
        self.held
    }

    /// Returns the members of the view.
    pub fn members(&self) -> &BTreeSet<Member> {
        &self.members
    }

    /// Returns the members of the view that have state, as far as they have said so.
    pub fn holders(&self) -> Vec<Member> {
        let holds = |member: &&Member| match &self.phase {
            Phase::Waiting => false,
            Phase::Promised(promises) => promises.get(member).is_some_and(Option::is_some),
            Phase::In(current) => current.held.contains_key(member) || current.sequencer == **member,
        };
        self.members.iter().filter(holds).copied().collect()
    }

    /// Returns the member that accepts changes in the current epoch.
    pub fn sequencer(&self) -> Option<Member> {
        self.current().map(|current| current.sequencer)
    }

    /// Returns the number of changes that were delivered and not applied, and the number of commands that were not answered.
    pub fn behind(&self) -> (usize, usize) {
        let catching = self.current().and_then(|current| current.catching.as_ref());
        let after = catching.map_or(0, |catching| catching.progress().1);
        (self.tail.len() + after, self.own.len())
    }

    /// Returns the relation of this member to the primary component.
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
