//! Changes in an epoch: delivered, accepted, applied, held by a majority, answered; and the state for those who are not in step.

use cpg::Member;

use super::format::Format as _;
use super::message::{Body, Message};
use super::primary::Place;
use super::transfer::{Giving, Part};
use super::{Answer, Change, Current, Machine, Output, Own, Phase, Replica, Stage};

impl<M: Machine> Replica<M> {
    /// Sends a command in the epoch that this member is in.
    pub(super) fn send_own(&mut self, number: u64) {
        if let Some(own) = self.own.get_mut(&number) {
            own.stage = Stage::Sent;
            let body = Body::Change { number, command: &own.command };
            self.output.push_back(Output::Send(Message { epoch: self.promised, body }.to_bytes()));
        }
    }

    /// Sends all commands that have no place yet.
    pub(super) fn send_all_own(&mut self) {
        let waits = |own: &Own<M::Outcome>| !matches!(own.stage, Stage::Applied(..));
        let numbers: Vec<u64> =
            self.own.iter().filter(|(_, own)| waits(own)).map(|(&number, _)| number).collect();
        for number in numbers {
            self.send_own(number);
        }
    }

    /// Gives up the commands that were sent: nobody can tell whether they take effect.
    pub(super) fn fail_sent(&mut self) {
        self.give_up(|own| !matches!(own.stage, Stage::Kept));
    }

    /// Gives up these commands, and answers them without an outcome.
    pub(super) fn give_up(&mut self, these: impl Fn(&Own<M::Outcome>) -> bool) {
        let output = &mut self.output;
        self.own.retain(|&number, own| {
            let ends = these(own);
            let answer = if matches!(own.stage, Stage::Kept) { Answer::Refused } else { Answer::Unknown };
            output.extend(ends.then_some(Output::Answer(number, answer)));
            !ends
        });
    }

    pub(super) fn change(&mut self, sender: Member, number: u64, command: Vec<u8>) {
        let Phase::In(current) = &mut self.phase else { return };
        let change = Change { sender, number, command, chain: 0 };
        if let Some(catching) = &mut current.catching {
            catching.change(change);
        } else {
            let accepts = current.sequencer == self.me;
            self.push(change);
            if accepts {
                self.apply(self.tail.len());
            }
        }
    }

    fn push(&mut self, mut change: Change) {
        let before =
            self.tail.back().map_or_else(|| self.held.map_or(0, |held| held.chain), |last| last.chain);
        let of = [u64::from(change.sender.node().get()), u64::from(change.sender.pid()), change.number];
        change.chain = of.into_iter().fold(before, mix);
        self.tail.push_back(change);
    }

    fn apply(&mut self, count: usize) {
        let Some(held) = &mut self.held else { return };
        for change in self.tail.drain(..count) {
            let outcome = self.machine.apply(&change.command);
            *held = Place { epoch: held.epoch, position: held.position + 1, chain: change.chain };
            if let Some(own) = self.own.get_mut(&change.number).filter(|_| change.sender == self.me) {
                own.stage = Stage::Applied(held.position, outcome);
            }
        }
        self.waited = 0;
    }

    /// Applies the delivered changes up to this position. Returns false if they are not the changes that were accepted.
    pub(super) fn reach(&mut self, position: u64, chain: u64) -> bool {
        let Some(held) = self.held else { return false };
        let Some(count) = position.checked_sub(held.position) else {
            // The changes were accepted before the state that this member was given.
            return true;
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let here = match count.checked_sub(1) {
            None => Some(held.chain),
            Some(last) => self.tail.get(last).map(|change| change.chain),
        };
        let same = here == Some(chain);
        if same {
            self.apply(count);
        }
        same
    }

    pub(super) fn held_by(&mut self, sender: Member, position: u64, chain: u64) {
        let Phase::In(current) = &mut self.phase else { return };
        if sender != self.me {
            current.held.insert(sender, position);
        }
        if sender == current.sequencer {
            if current.catching.is_some() {
                current.accepted = Some((position, chain));
            } else if sender != self.me && !self.reach(position, chain) {
                self.catch_up();
            }
        }
        self.settle();
    }

    /// Answers the commands that a majority holds.
    pub(super) fn settle(&mut self) {
        let (Phase::In(current), Some(held)) = (&self.phase, self.held) else { return };
        let of = |member: &Member| {
            if *member == self.me { held.position } else { current.held.get(member).copied().unwrap_or(0) }
        };
        let acknowledged = self.options.nodes.acknowledged(self.voters.iter().map(of));
        let upto = if self.options.confirm { acknowledged } else { held.position };
        let done =
            |own: &Own<M::Outcome>| matches!(own.stage, Stage::Applied(position, _) if position <= upto);
        let numbers: Vec<u64> =
            self.own.iter().filter(|(_, own)| done(own)).map(|(&number, _)| number).collect();
        for number in numbers {
            if let Some(Own { stage: Stage::Applied(_, outcome), .. }) = self.own.remove(&number) {
                self.output.push_back(Output::Answer(number, Answer::Done(outcome)));
            }
        }
    }

    pub(super) fn wanted_by(&mut self, sender: Member) {
        let Phase::In(current) = &mut self.phase else { return };
        if let Some(catching) = current.catching.as_mut().filter(|_| sender == self.me) {
            catching.mark();
        }
        if let Some(held) = self.held.filter(|_| current.sequencer == self.me) {
            let snapshot = self.machine.snapshot();
            let state = (held.position, held.chain, &snapshot[..]).to_bytes();
            current.giving.insert(sender, Giving::new(state));
            self.give(sender);
        }
    }

    /// Sends parts of all snapshots at the pace of the clock.
    pub(super) fn give_at_tick(&mut self) {
        let Phase::In(Current { giving, .. }) = &mut self.phase else { return };
        for state in giving.values_mut() {
            state.tick(self.options.parts);
        }
        let to: Vec<Member> = giving.keys().copied().collect();
        for to in to {
            self.give(to);
        }
    }

    /// Sends the next parts of a snapshot, as many as are due.
    fn give(&mut self, to: Member) {
        let Phase::In(Current { giving, .. }) = &mut self.phase else { return };
        let Some(state) = giving.get_mut(&to) else { return };
        while let Some(part) = state.next(self.options.part, self.options.parts) {
            let message = Message { epoch: self.promised, body: Body::Part { to, part } };
            self.output.push_back(Output::Send(message.to_bytes()));
        }
        giving.retain(|_, state| !state.is_sent());
    }

    pub(super) fn part(&mut self, sender: Member, to: Member, part: Part<'_>) {
        let Phase::In(current) = &mut self.phase else { return };
        if sender != current.sequencer {
            return;
        }
        if let Some(catching) = current.catching.as_mut().filter(|_| to == self.me) {
            self.waited = 0;
            if catching.part(part) {
                self.install();
            }
        }
        if sender == self.me {
            if let Phase::In(current) = &mut self.phase {
                current.giving.get_mut(&to).into_iter().for_each(Giving::delivered);
            }
            self.give(to);
        }
    }

    /// Installs the state that has arrived. Asks for another state if the bytes are no state, or if the changes accepted since do not
    /// follow it.
    fn install(&mut self) {
        let Phase::In(current) = &mut self.phase else { return };
        let (Some(catching), accepted) = (current.catching.take(), current.accepted) else { return };
        let (state, after) = catching.finish();
        let restored = <(u64, u64, &[u8])>::of(&state)
            .and_then(|(position, chain, state)| Some((position, chain, M::restore(state)?)));
        if let Some((position, chain, machine)) = restored {
            self.machine = machine;
            self.held = Some(Place { epoch: self.promised, position, chain });
            for change in after {
                self.push(change);
            }
            if accepted.is_none_or(|(position, chain)| self.reach(position, chain)) {
                return self.send_all_own();
            }
        }
        self.catch_up();
    }
}

/// One step of the chain: a bijection of `chain` for each number (the finalizer of splitmix64).
fn mix(chain: u64, number: u64) -> u64 {
    let mut value = (chain ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
