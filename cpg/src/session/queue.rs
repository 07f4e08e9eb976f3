//! What waits to be sent and what is in flight: the state of a sending queue, which calls nobody.

use std::collections::{VecDeque, vec_deque};
use std::io::IoSlice;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Instant;

use crate::error::Error;
use crate::event::undelivered::Undelivered;
use crate::packet::{read, write};
use crate::session::flow::Flow;

/// Buffers that are kept for the next packets, and what they take: more are given back.
const SPARE: usize = 512;
const SPARE_BYTES: usize = 4 << 20;

/// The messages of a sender, by numbers that count up: accepted, delivered, settled.
#[derive(Debug)]
pub(crate) struct Queue {
    flow: Flow,
    /// Those in flight, then those that wait.
    packets: VecDeque<Packet>,
    /// How many of them are in flight.
    flying: usize,
    flying_cost: usize,
    waiting_bytes: usize,
    /// The number of the next message.
    next: u64,
    /// Messages below this have come back.
    arrived: u64,
    /// Messages below this have been handled, or are in `lost`.
    settled: u64,
    lost: Vec<(Range<u64>, Error)>,
    returned: VecDeque<(u64, Undelivered)>,
    ended: Option<Error>,
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
}

/// One message of libcpg's, with one or more of the program's in it.
#[derive(Debug)]
struct Packet {
    bytes: Bytes,
    /// What it counts for in the queue.
    weight: usize,
    messages: Range<u64>,
    /// When it was sent.
    sent: Option<Instant>,
}

/// The bytes of a packet.
#[derive(Debug)]
enum Bytes {
    Own(Vec<u8>),
    /// Of a message that its sender sends past the queue.
    Long(Arc<[u8]>),
    /// The same until it has been sent: its sender hands it back itself.
    Held(Arc<[u8]>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Long(bytes) | Self::Held(bytes) => bytes,
        }
    }
}

/// There is no room for a message now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Queue {
    pub(crate) fn new(flow: Flow) -> Self {
        Self {
            flow,
            packets: VecDeque::new(),
            flying: 0,
            flying_cost: 0,
            waiting_bytes: 0,
            next: 0,
            arrived: 0,
            settled: 0,
            lost: Vec::new(),
            returned: VecDeque::new(),
            ended: None,
            spare: Vec::new(),
            spare_bytes: 0,
        }
    }

    pub(crate) fn ended(&self) -> Option<&Error> {
        self.ended.as_ref()
    }

    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        self.packets.len() > self.flying
    }

    #[inline]
    pub(crate) fn is_flying(&self) -> bool {
        self.flying > 0
    }

    /// The last one that waits.
    #[inline]
    fn last_waiting(&mut self) -> Option<&mut Packet> {
        if self.is_waiting() { self.packets.back_mut() } else { None }
    }

    /// Puts a message of `len` bytes at the end, and gives it a number.
    #[inline]
    pub(crate) fn push(&mut self, slices: &[IoSlice<'_>], len: usize) -> Result<u64, Full> {
        // The memory of a packet is shared by its messages.
        let weight = if self.flow.coalesce { len + 1 } else { len + size_of::<Packet>() };
        if self.waiting_bytes + weight > self.flow.queue && self.is_waiting() {
            return Err(Full);
        }
        let (number, packet_size) = (self.next, self.flow.packet);
        self.next += 1;
        self.waiting_bytes += weight;
        if self.flow.coalesce {
            if let Some(last) = self.last_waiting() {
                if let Bytes::Own(bytes) = &mut last.bytes {
                    if bytes.len() + write::frame_len(len) <= packet_size {
                        write::push_slices(bytes, slices, len);
                        last.weight += weight;
                        last.messages.end = number + 1;
                        return Ok(number);
                    }
                }
            }
        }
        // The last one's memory is warm.
        let mut bytes = self.spare.pop().unwrap_or_default();
        self.spare_bytes -= bytes.capacity();
        if self.flow.coalesce {
            write::begin(&mut bytes);
            write::push_slices(&mut bytes, slices, len);
        } else {
            bytes.clear();
            bytes.reserve(len);
            for slice in slices {
                bytes.extend_from_slice(slice);
            }
        }
        let messages = number..number + 1;
        self.packets.push_back(Packet { bytes: Bytes::Own(bytes), weight, messages, sent: None });
        Ok(number)
    }

    /// Puts a long message at the end, which its sender takes in its turn.
    pub(crate) fn push_long(&mut self, bytes: Arc<[u8]>) -> u64 {
        let number = self.next;
        self.next += 1;
        let bytes = Bytes::Held(bytes);
        self.packets.push_back(Packet { bytes, weight: 0, messages: number..self.next, sent: None });
        number
    }

    /// Takes the last message back, of `len` bytes, if it has that number and waits.
    pub(crate) fn retract(&mut self, number: u64, len: usize) -> bool {
        let Some(last) = self.last_waiting() else { return false };
        let Bytes::Own(bytes) = &mut last.bytes else { return false };
        if last.messages.end != number + 1 {
            return false;
        }
        if last.messages.start == number {
            return self.withdraw(number);
        }
        // A packet that others are in.
        bytes.truncate(bytes.len() - write::frame_len(len));
        last.weight -= len + 1;
        last.messages.end = number;
        self.waiting_bytes -= len + 1;
        self.unnumber(number..number + 1);
        true
    }

    /// Puts a long message in flight, if it is its turn.
    pub(crate) fn take_turn(&mut self, number: u64) -> bool {
        let turn = self.packets.get(self.flying).is_some_and(|packet| packet.messages.start == number);
        if turn {
            self.sent();
        }
        turn
    }

    /// A long message has been sent.
    pub(crate) fn release(&mut self, number: u64) {
        let mut flying = self.packets.range_mut(..self.flying).rev();
        let Some(packet) = flying.find(|packet| packet.messages.start == number) else { return };
        if let Bytes::Held(bytes) = &packet.bytes {
            packet.bytes = Bytes::Long(Arc::clone(bytes));
        }
    }

    /// Takes a message back that waits in a packet of its own; false if it does not wait.
    pub(crate) fn withdraw(&mut self, number: u64) -> bool {
        let own = |packet: &Packet| packet.messages == (number..number + 1);
        let Some(index) = self.packets.range(self.flying..).rposition(own) else { return false };
        if let Some(packet) = self.packets.remove(self.flying + index) {
            self.waiting_bytes -= packet.weight;
            self.unnumber(packet.messages);
        }
        true
    }

    /// A message is not sent after all. Its sender knows, and nobody has a ticket for it.
    fn unnumber(&mut self, messages: Range<u64>) {
        if messages.end == self.next {
            self.next = messages.start;
        }
    }

    /// Whether the window is open.
    pub(crate) fn is_open(&self) -> bool {
        self.flying_cost < self.flow.window || !self.is_flying()
    }

    /// Whether the window is to be filled again after an arrival. With packets that is when half of it is free: one at a time
    /// they would be small, and the daemon would wake up for each.
    pub(crate) fn is_wide_open(&self) -> bool {
        if self.flow.coalesce { self.flying_cost <= self.flow.window / 2 } else { self.is_open() }
    }

    /// What is to be sent next, if anything waits and it is not a long message's turn.
    pub(crate) fn front(&self) -> Option<&[u8]> {
        match &self.packets.get(self.flying)?.bytes {
            Bytes::Own(bytes) => Some(bytes),
            Bytes::Long(_) | Bytes::Held(_) => None,
        }
    }

    /// Whether it is a long message's turn.
    pub(crate) fn is_long_next(&self) -> bool {
        matches!(self.packets.get(self.flying), Some(Packet { bytes: Bytes::Held(_), .. }))
    }

    /// Whether there is room enough to wake those who wait for some.
    pub(crate) fn is_half_empty(&self) -> bool {
        self.waiting_bytes <= self.flow.queue / 2
    }

    /// The front is in flight.
    pub(crate) fn sent(&mut self) {
        let Some(packet) = self.packets.get_mut(self.flying) else { return };
        packet.sent = Some(Instant::now());
        self.waiting_bytes -= packet.weight;
        self.flying_cost += self.flow.cost(packet.bytes.len());
        self.flying += 1;
    }

    /// How many messages, and how many bytes, are in flight and wait, and when the oldest was sent.
    pub(crate) fn load(&self) -> ([(usize, usize); 2], Option<Instant>) {
        let load = |packets: vec_deque::Iter<'_, Packet>| {
            packets.fold((0, 0), |(messages, bytes), packet| {
                let more = packet.messages.end - packet.messages.start;
                (messages + usize::try_from(more).unwrap_or(0), bytes + packet.bytes.len())
            })
        };
        let parts = [self.packets.range(..self.flying), self.packets.range(self.flying..)];
        (parts.map(load), self.packets.front().and_then(|packet| packet.sent))
    }

    fn land(&mut self) -> Option<Packet> {
        self.flying = self.flying.checked_sub(1)?;
        let packet = self.packets.pop_front()?;
        self.flying_cost -= self.flow.cost(packet.bytes.len());
        Some(packet)
    }

    /// Takes back the long message in flight that was not sent after all; false if it is not in flight.
    pub(crate) fn recall(&mut self, number: u64) -> bool {
        let mut flying = self.packets.range(..self.flying);
        let Some(index) = flying.rposition(|packet| packet.messages.start == number) else { return false };
        if let Some(packet) = self.packets.remove(index) {
            self.flying -= 1;
            self.flying_cost -= self.flow.cost(packet.bytes.len());
        }
        true
    }

    /// Whatever is sent from now on is not heard of again.
    pub(crate) fn forget_flying(&mut self) {
        self.packets.drain(..self.flying);
        self.flying = 0;
        self.flying_cost = 0;
    }

    /// An own message has come back; gives the numbers of what is in it. None if this queue has not sent it.
    ///
    /// Those in flight before it are lost: the order is that of sending (facts, C), and the daemon can drop one (B17).
    #[inline]
    pub(crate) fn arrived(&mut self, bytes: &[u8]) -> Option<Range<u64>> {
        let index = (0..self.flying).find(|&index| *self.packets[index].bytes == *bytes)?;
        for _ in 0..index {
            let packet = self.land()?;
            self.lose(packet, true, &Error::DroppedByDaemon);
        }
        let packet = self.land()?;
        self.arrived = packet.messages.end;
        if let Bytes::Own(bytes) = packet.bytes {
            let capacity = bytes.capacity();
            if self.spare.len() < SPARE && self.spare_bytes + capacity <= SPARE_BYTES {
                self.spare_bytes += capacity;
                self.spare.push(bytes);
            }
        }
        Some(packet.messages)
    }

    /// Whether a message has come back.
    pub(crate) fn has_arrived(&self, number: u64) -> bool {
        number < self.arrived
    }

    /// Whether a message has come back and been handled.
    pub(crate) fn is_settled(&self, number: u64) -> bool {
        number < self.settled
    }

    /// All messages below `number` have been handled; false if that was known.
    #[inline]
    pub(crate) fn settle(&mut self, number: u64) -> bool {
        let is_new = number > self.settled;
        self.settled = self.settled.max(number);
        is_new
    }

    /// What has become of a message; None while that is open.
    pub(crate) fn outcome(&self, number: u64) -> Option<Result<(), Error>> {
        if let Some((_, error)) = self.lost.iter().find(|(range, _)| range.contains(&number)) {
            return Some(Err(error.clone()));
        }
        if number < self.settled {
            return Some(Ok(()));
        }
        self.ended.clone().filter(|_| number >= self.arrived).map(Err)
    }

    /// Ends the queue: nothing more is accepted, and what has not come back is to be handed back.
    pub(crate) fn end(&mut self, error: &Error) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(error.clone());
        self.flying_cost = 0;
        self.waiting_bytes = 0;
        let flying = std::mem::take(&mut self.flying);
        for (index, packet) in std::mem::take(&mut self.packets).into_iter().enumerate() {
            self.give_back(packet, index < flying, error);
        }
    }

    /// The membership has ended, and another one follows: what was in flight is lost, and what waits as well, unless it is
    /// kept.
    pub(crate) fn end_generation(&mut self, error: &Error, keep: bool) {
        let flying = std::mem::take(&mut self.flying);
        let mut kept = VecDeque::new();
        if keep {
            kept = self.packets.split_off(flying);
        } else {
            self.waiting_bytes = 0;
        }
        self.flying_cost = 0;
        for (index, packet) in std::mem::replace(&mut self.packets, kept).into_iter().enumerate() {
            self.lose(packet, index < flying, error);
        }
    }

    fn lose(&mut self, packet: Packet, sent: bool, error: &Error) {
        self.note_lost(packet.messages.clone(), error);
        self.give_back(packet, sent, error);
    }

    fn note_lost(&mut self, messages: Range<u64>, error: &Error) {
        match self.lost.last_mut() {
            // One entry for all that a membership loses.
            Some((last, same)) if last.end == messages.start && same == error => last.end = messages.end,
            _ => self.lost.push((messages, error.clone())),
        }
    }

    /// Nobody will handle what has come back and was not handled.
    pub(crate) fn abandon(&mut self) {
        self.arrived = self.settled;
    }

    fn give_back(&mut self, packet: Packet, sent: bool, error: &Error) {
        let number = packet.messages.start;
        let mut give = |number, payload| {
            self.returned.push_back((number, Undelivered::new(payload, sent, error.clone())));
        };
        match packet.bytes {
            // Its sender has it.
            Bytes::Held(_) => {}
            bytes if self.flow.coalesce => {
                let payloads = read::messages(&bytes).map_while(Result::ok);
                (number..).zip(payloads).for_each(|(number, payload)| give(number, payload.to_vec()));
            }
            Bytes::Own(bytes) => give(number, bytes),
            Bytes::Long(bytes) => give(number, bytes.to_vec()),
        }
    }

    /// Takes a message out of those that are to be handed back, if it is the last of them.
    pub(crate) fn keep(&mut self, number: u64) -> bool {
        let last = self.returned.back().is_some_and(|(last, _)| *last == number);
        last && self.returned.pop_back().is_some()
    }

    /// The next message that is to be handed back.
    pub(crate) fn take_returned(&mut self) -> Option<Undelivered> {
        self.returned.pop_front().map(|(_, message)| message)
    }

    pub(crate) fn has_returned(&self) -> bool {
        !self.returned.is_empty()
    }
}

#[cfg(test)]
mod tests;
