//! Changes in an epoch: delivered, accepted, applied, confirmed, answered.

use cpg::{Member, NodeId};

use super::message::{Message, Place};
use super::{Answer, Applied, Entry, Machine, Output, Replica};

impl<M: Machine> Replica<M> {
    /// Sends a command in the epoch that this member is in.
    pub(super) fn send_own(&mut self, number: u64) {
        let (Some(current), Some(own)) = (&self.current, self.own.get_mut(&number)) else { return };
        own.sent = true;
        let message = Message::Change { epoch: current.epoch, number, command: &own.command };
        self.output.push_back(Output::Send(message.to_bytes()));
    }

    pub(super) fn send_all_own(&mut self) {
        let numbers: Vec<u64> = self.own.keys().copied().collect();
        for number in numbers {
            self.send_own(number);
        }
    }

    /// Nobody can tell what became of the commands that were sent.
    pub(super) fn fail_sent(&mut self) {
        let mut unknown: Vec<u64> = self.applied.drain(..).map(|applied| applied.number).collect();
        unknown.extend(self.own.iter().filter(|(_, own)| own.sent).map(|(&number, _)| number));
        self.own.retain(|_, own| !own.sent);
        self.output.extend(unknown.into_iter().map(|number| Output::Answer(number, Answer::Unknown)));
    }

    pub(super) fn change(&mut self, entry: Entry) {
        match self.current.as_mut().and_then(|current| current.catching.as_mut()) {
            Some(catching) if catching.marked => catching.after.push(entry),
            Some(_) => {}
            None => self.push(entry),
        }
    }

    pub(super) fn push(&mut self, mut entry: Entry) {
        let before =
            self.tail.back().map_or_else(|| self.held.map_or(0, |held| held.chain), |entry| entry.chain);
        let Entry { sender, number, .. } = entry;
        let of = [u64::from(sender.node().get()), u64::from(sender.pid()), number];
        entry.chain = of.into_iter().fold(before, mix);
        self.tail.push_back(entry);
    }

    /// Applies what was delivered, up to there; false if it is not the same.
    pub(super) fn reach(&mut self, position: u64, chain: u64) -> bool {
        let Some(held) = self.held else { return false };
        let Some(count) = position.checked_sub(held.position).and_then(|count| usize::try_from(count).ok())
        else {
            // Of before the snapshot that this member has got.
            return true;
        };
        let here = count.checked_sub(1).map_or(Some(held.chain), |last| Some(self.tail.get(last)?.chain));
        if here != Some(chain) {
            return false;
        }
        for entry in self.tail.drain(..count) {
            let outcome = self.machine.apply(&entry.command);
            if entry.sender == self.me && self.own.remove(&entry.number).is_some() {
                let position = self.held.map_or(0, |held| held.position) + 1;
                self.applied.push_back(Applied { number: entry.number, position, outcome, age: 0 });
            }
            if let Some(held) = &mut self.held {
                held.position += 1;
                held.chain = entry.chain;
            }
        }
        self.waited = 0;
        true
    }

    pub(super) fn accept(&mut self, sender: Member, position: u64, chain: u64) {
        let Some(current) = self.current.as_mut().filter(|current| current.sequencer == sender) else {
            return;
        };
        current.confirmed.insert(sender.node(), position);
        if let Some(catching) = &mut current.catching {
            catching.accepted = Some((position, chain));
        } else if sender != self.me && !self.reach(position, chain) {
            self.catch_up();
        }
        self.settle();
    }

    pub(super) fn confirm(&mut self, sender: Member, position: u64) {
        if let Some(current) = &mut self.current {
            current.confirmed.insert(sender.node(), position);
        }
        self.settle();
    }

    /// Answers the commands that a majority holds.
    pub(super) fn settle(&mut self) {
        let (Some(current), Some(held)) = (&self.current, self.held) else { return };
        let of = |node: &NodeId| {
            if *node == self.me.node() {
                held.position
            } else {
                current.confirmed.get(node).copied().unwrap_or(0)
            }
        };
        let mut positions: Vec<u64> = self.voices.iter().map(of).collect();
        positions.sort_unstable_by(|one, other| other.cmp(one));
        let majority = self.options.nodes as usize / 2;
        let confirmed =
            if self.options.confirm { positions.get(majority).copied().unwrap_or(0) } else { held.position };
        let count = self.applied.iter().take_while(|applied| applied.position <= confirmed).count();
        let done = self.applied.drain(..count);
        self.output.extend(done.map(|applied| Output::Answer(applied.number, Answer::Done(applied.outcome))));
    }

    /// All events that were there have been delivered: tells the others how far this member has come.
    pub fn flush(&mut self) {
        if !self.is_in_step() {
            return;
        }
        let (Some(current), Some(held)) = (&self.current, self.held) else { return };
        let leads = current.sequencer == self.me;
        if let Some(last) = self.tail.back().filter(|_| leads) {
            let (position, chain) = (held.position + self.tail.len() as u64, last.chain);
            // What it tells it holds, whatever comes next.
            self.reach(position, chain);
        }
        let (Some(current), Some(held)) = (&mut self.current, self.held) else { return };
        if current.told.replace(held.position) != Some(held.position) {
            let Place { position, chain, .. } = held;
            let epoch = current.epoch;
            self.send(&if leads {
                Message::Accept { epoch, position, chain }
            } else {
                Message::Confirm { epoch, position }
            });
        }
        self.settle();
    }
}

/// One step of the chain: a bijection of `chain` for each number (the finalizer of splitmix64).
fn mix(chain: u64, number: u64) -> u64 {
    let mut value = (chain ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
