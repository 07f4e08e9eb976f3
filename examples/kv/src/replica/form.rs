//! How an epoch of the primary component begins: open, promise, form.

use std::collections::BTreeMap;

use cpg::Member;

use super::message::{Epoch, Message, Place};
use super::{Current, Machine, Replica, Standing};

impl<M: Machine> Replica<M> {
    /// An operator's word, at this time in milliseconds since 1970: the state begins anew, with the best that is left.
    ///
    /// # Errors
    /// The reason why not, in words.
    pub fn begin(&mut self, now: u64) -> Result<(), &'static str> {
        match self.standing() {
            Standing::InStep | Standing::CatchingUp(_) => {
                return Err("the store has its state: there is nothing to begin");
            }
            Standing::Away => {
                return Err(
                    "this member is not in the group: corosync does not run here, or the node joins just now",
                );
            }
            Standing::Minority => return Err("this takes a majority of the nodes, and they are not here"),
            Standing::Forming | Standing::Stateless { .. } => {}
        }
        self.highest.begun = now.max(self.highest.begun + 1);
        self.open(true);
        Ok(())
    }

    pub(super) fn open(&mut self, fresh: bool) {
        self.highest.number += 1;
        self.highest.opener = self.process;
        self.opening = Some((self.highest, fresh));
        let (nodes, members) = (self.options.nodes, self.members.clone());
        self.send(&Message::Open { epoch: self.highest, fresh, nodes, members });
    }

    pub(super) fn promise(&mut self, sender: Member, epoch: Epoch, nodes: u32, members: &[Member]) {
        if members != self.members || !self.is_majority(self.voices.len()) {
            return;
        }
        if nodes != self.options.nodes {
            let own = self.options.nodes;
            self.complaint =
                Some(format!("{sender} was started for {nodes} nodes, and this member for {own}"));
            return;
        }
        if epoch <= self.promised {
            if epoch < self.promised {
                self.send(&Message::Refuse { promised: self.promised });
            }
            return;
        }
        self.leave_epoch();
        (self.promised, self.opened, self.waited) = (epoch, Some(epoch), 0);
        self.answers.clear();
        self.send(&Message::Promise { epoch, held: self.held });
    }

    /// Forms the epoch that this member has opened, if enough have promised: those who hold something, or all at an operator's word.
    /// Without `now` it waits for all.
    pub(super) fn form(&mut self, now: bool) {
        let Some((epoch, fresh)) = self.opening.filter(|&(epoch, _)| self.opened == Some(epoch)) else {
            return;
        };
        let counting = || {
            let voices = self.answers.iter().filter(|(member, _)| self.has_voice(member));
            voices.filter(|(_, held)| fresh || held.is_some())
        };
        let base = counting().filter_map(|(_, held)| *held).max();
        let sequencer = counting().find(|(_, held)| **held == base).map(|(member, _)| *member);
        let all = self.answers.len() == self.members.len();
        if let Some(sequencer) = sequencer.filter(|_| self.is_majority(counting().count()) && (now || all)) {
            self.opening = None;
            self.send(&Message::Form { epoch, base, sequencer });
        }
    }

    pub(super) fn enter(&mut self, epoch: Epoch, base: Option<Place>, sequencer: Member) {
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
        self.waited = 0;
        let (confirmed, giving) = (BTreeMap::new(), BTreeMap::new());
        self.current = Some(Current { epoch, sequencer, confirmed, told: None, catching: None, giving });
        match &mut self.held {
            Some(held) if in_step => {
                *held = Place { epoch, position: held.position, chain: 0 };
                self.send_all_own();
            }
            _ => self.catch_up(),
        }
    }
}
