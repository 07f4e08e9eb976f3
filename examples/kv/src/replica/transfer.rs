//! The state for those who are not in step.

use cpg::Member;

use super::message::{Message, Place, Reader, Writer};
use super::{Catching, Entry, Giving, Machine, Output, Replica};

impl<M: Machine> Replica<M> {
    /// Has the sequencer give this member the state.
    pub(super) fn catch_up(&mut self) {
        self.tail.clear();
        self.fail_sent();
        if let Some(current) = &mut self.current {
            self.wishes += 1;
            let (epoch, number) = (current.epoch, self.wishes);
            current.catching = Some(Catching { number, ..Catching::default() });
            self.send(&Message::Want { epoch, number });
        }
    }

    pub(super) fn want(&mut self, sender: Member, number: u64) {
        let Some(current) = &mut self.current else { return };
        if let Some(catching) = current.catching.as_mut().filter(|_| sender == self.me) {
            catching.marked |= catching.number == number;
        }
        let Some(held) = self.held.filter(|_| current.sequencer == self.me) else { return };
        let mut snapshot = Writer::default();
        snapshot.u64(held.position).u64(held.chain).u64(self.tail.len() as u64);
        for Entry { sender, number, command, .. } in &self.tail {
            snapshot.member(*sender).u64(*number).field(command);
        }
        snapshot.bytes(&self.machine.snapshot());
        current.giving.insert(sender, Giving { number, snapshot: snapshot.0, sent: 0, under_way: 0 });
        self.give(sender);
    }

    /// Sends the next parts of a snapshot, as many as may be under way.
    pub(super) fn give(&mut self, to: Member) {
        let Some(current) = &mut self.current else { return };
        let Some(giving) = current.giving.get_mut(&to) else { return };
        let total = giving.snapshot.len();
        while giving.sent < total && giving.under_way < self.options.parts {
            let end = total.min(giving.sent + self.options.part);
            let (offset, bytes) = (giving.sent as u64, &giving.snapshot[giving.sent..end]);
            let part = Message::Part {
                epoch: current.epoch,
                to,
                number: giving.number,
                offset,
                total: total as u64,
                bytes,
            };
            self.output.push_back(Output::Send(part.to_bytes()));
            giving.sent = end;
            giving.under_way += 1;
        }
        if giving.under_way == 0 {
            current.giving.remove(&to);
        }
    }

    pub(super) fn part(
        &mut self,
        sender: Member,
        to: Member,
        number: u64,
        (offset, total): (u64, u64),
        bytes: &[u8],
    ) {
        let Some(current) = self.current.as_mut().filter(|current| current.sequencer == sender) else {
            return;
        };
        if sender == self.me {
            if let Some(giving) = current.giving.get_mut(&to).filter(|giving| giving.number == number) {
                giving.under_way = giving.under_way.saturating_sub(1);
            }
            self.give(to);
        }
        let Some(current) = self.current.as_mut().filter(|_| to == self.me) else { return };
        let wanted = |catching: &&mut Catching| catching.marked && catching.number == number;
        let Some(catching) = current.catching.as_mut().filter(wanted) else { return };
        self.waited = 0;
        if offset != catching.snapshot.len() as u64 {
            self.catch_up();
            return;
        }
        catching.snapshot.extend_from_slice(bytes);
        if catching.snapshot.len() as u64 == total {
            let caught = current.catching.take().unwrap_or_default();
            if self.install(caught).is_none() {
                self.catch_up();
            }
        }
    }

    /// Takes the state; `None` if it is none, or what was accepted since does not follow from it.
    pub(super) fn install(&mut self, Catching { after, accepted, snapshot, .. }: Catching) -> Option<()> {
        let epoch = self.current.as_ref()?.epoch;
        let mut from = Reader(&snapshot);
        let (position, chain, count) = (from.u64()?, from.u64()?, from.u64()?);
        let mut before = Vec::new();
        for _ in 0..count {
            let (sender, number, command) = (from.member()?, from.u64()?, from.field()?.to_vec());
            before.push(Entry { sender, number, command, chain: 0 });
        }
        self.machine = M::restore(from.rest())?;
        self.held = Some(Place { epoch, position, chain });
        self.tail.clear();
        before.into_iter().chain(after).for_each(|entry| self.push(entry));
        accepted.is_none_or(|(position, chain)| self.reach(position, chain)).then(|| self.send_all_own())
    }
}
