//! The beginning of an epoch of the primary component: open, promise, form.

use std::collections::{BTreeMap, BTreeSet};

use cpg::Member;

use super::format::Format as _;
use super::message::{Body, Message};
use super::primary::{self, Epoch, Place};
use super::quorum::Nodes;
use super::transfer::Catching;
use super::{Current, Machine, Output, Phase, Replica, Standing};

impl<M: Machine> Replica<M> {
    /// Begins the state anew with the latest state that is left, at the statement of an operator that no member with more state comes back.
    /// `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// The relation of this member to the primary component, if there is nothing to begin.
    pub fn begin(&mut self, now: u64) -> Result<(), Standing> {
        match self.standing() {
            Standing::Forming | Standing::Stateless { .. } => {
                self.highest.begun = now.max(self.highest.begun + 1);
                self.open(true);
                Ok(())
            }
            other => Err(other),
        }
    }

    pub(super) fn open(&mut self, by_command: bool) {
        self.highest.number += 1;
        self.highest.opener = self.process;
        self.opening = Some((self.highest, by_command));
        let body = Body::Open { nodes: self.options.nodes.0, members: self.members.clone() };
        self.output.push_back(Output::Send(Message { epoch: self.highest, body }.to_bytes()));
    }

    pub(super) fn opened(&mut self, sender: Member, epoch: Epoch, nodes: Nodes, members: &BTreeSet<Member>) {
        if *members != self.members || !self.has_majority() || epoch == self.promised {
            return;
        }
        if nodes != self.options.nodes {
            self.misfit = Some((sender, nodes.0));
            return;
        }
        if epoch > self.promised {
            (self.promised, self.phase, self.waited) = (epoch, Phase::Promised(BTreeMap::new()), 0);
            self.opening = self.opening.filter(|(opening, _)| *opening >= epoch);
        }
        // If the opener asked for a lower epoch, this promise makes the opener try again with a higher one.
        self.send(Body::Promise(self.held));
    }

    pub(super) fn promised_by(&mut self, sender: Member, epoch: Epoch, held: Option<Place>) {
        match &mut self.phase {
            Phase::Promised(promises) if epoch == self.promised => {
                promises.insert(sender, held);
                self.waited = 0;
                self.form(self.members.len());
            }
            _ => {
                if let Some((_, by_command)) = self.opening.filter(|(opening, _)| *opening < epoch) {
                    self.open(by_command);
                }
            }
        }
    }

    /// Forms the epoch that this member has opened, if at least `count` members have promised and their promises suffice.
    pub(super) fn form(&mut self, count: usize) {
        let (Phase::Promised(promises), Some((epoch, by_command))) = (&self.phase, self.opening) else {
            return;
        };
        if epoch == self.promised && promises.len() >= count {
            if let Some((base, sequencer)) = self.begins_with(promises, by_command) {
                self.opening = None;
                self.send(Body::Form { base, sequencer });
            }
        }
    }

    pub(super) fn begins_with(
        &self,
        promises: &BTreeMap<Member, Option<Place>>,
        by_command: bool,
    ) -> Option<(Option<Place>, Member)> {
        primary::begins_with(promises, &self.voters, self.options.nodes.majority(), by_command)
    }

    pub(super) fn enter(&mut self, base: Option<Place>, sequencer: Member) {
        let (held, giving) = (BTreeMap::new(), BTreeMap::new());
        self.phase = Phase::In(Current { sequencer, held, catching: None, accepted: None, giving });
        self.waited = 0;
        let epoch = self.promised;
        let in_step = match base {
            None => {
                self.machine = M::default();
                self.held = Some(Place::default());
                self.fail_sent();
                true
            }
            Some(base) => {
                self.held.is_some_and(|held| held.epoch == base.epoch && held.position <= base.position)
                    && self.reach(base.position, base.chain)
            }
        };
        self.tail.clear();
        match &mut self.held {
            Some(held) if in_step => {
                *held = Place { epoch, position: held.position, chain: 0 };
                self.send_all_own();
            }
            _ => self.catch_up(),
        }
    }

    /// Asks the sequencer for the state.
    pub(super) fn catch_up(&mut self) {
        self.tail.clear();
        self.fail_sent();
        if let Phase::In(current) = &mut self.phase {
            (current.catching, current.accepted) = (Some(Catching::begin()), None);
            self.send(Body::Want);
        }
    }
}
