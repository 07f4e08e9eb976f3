//! The packets of a queue in the order of sending, and what they add up to.

use std::collections::VecDeque;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Instant;

/// One message of libcpg's, with one or more of the program's in it.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) bytes: Bytes,
    /// The numbers of its messages.
    pub(super) messages: Range<u64>,
    /// What it counts for: in the queue while it waits, in the window while it is in flight.
    weight: usize,
    /// When it was sent.
    sent: Option<Instant>,
}

/// The bytes of a packet.
#[derive(Debug)]
pub(crate) enum Bytes {
    Own(Vec<u8>),
    /// Shared with the thread that sends them in parts, or has.
    Shared(Arc<Vec<u8>>),
}

impl Bytes {
    /// Returns them for a thread that sends them in parts.
    pub(super) fn share(&mut self) -> Arc<Vec<u8>> {
        let shared = match self {
            Self::Own(bytes) => Arc::new(std::mem::take(bytes)),
            Self::Shared(bytes) => return Arc::clone(bytes),
        };
        *self = Self::Shared(Arc::clone(&shared));
        shared
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// What some packets add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(super) weight: usize,
}

impl Load {
    #[inline]
    fn add(&mut self, packet: &Packet) {
        self.messages += packet.count();
        self.bytes += packet.bytes.len();
        self.weight += packet.weight;
    }

    #[inline]
    fn remove(&mut self, packet: &Packet) {
        self.messages -= packet.count();
        self.bytes -= packet.bytes.len();
        self.weight -= packet.weight;
    }
}

impl Packet {
    /// Returns how many messages are in it.
    #[inline]
    fn count(&self) -> usize {
        // A message is at least a byte of a packet, or a packet of its own: a usize counts them.
        usize::try_from(self.messages.end - self.messages.start).unwrap_or(usize::MAX)
    }

    /// Returns the number of the message that has the packet for itself.
    fn only(&self) -> Option<u64> {
        (self.count() == 1).then_some(self.messages.start)
    }
}

/// Packets in flight, then packets that wait. All that changes one keeps both sums.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    packets: VecDeque<Packet>,
    /// How many of them are in flight.
    flying: usize,
    in_flight: Load,
    waiting: Load,
}

impl Pipeline {
    /// Returns what is in flight.
    #[inline]
    pub(super) fn in_flight(&self) -> Load {
        self.in_flight
    }

    /// Returns what waits.
    #[inline]
    pub(super) fn waiting(&self) -> Load {
        self.waiting
    }

    /// Returns when the oldest packet in flight was sent.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.packets.front().and_then(|packet| packet.sent)
    }

    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.packets.len() > self.flying
    }

    #[inline]
    pub(super) fn is_flying(&self) -> bool {
        self.flying > 0
    }

    /// Puts a packet at the end.
    #[inline]
    pub(super) fn push(&mut self, bytes: Bytes, messages: Range<u64>, weight: usize) {
        let packet = Packet { bytes, messages, weight, sent: None };
        self.waiting.add(&packet);
        self.packets.push_back(packet);
    }

    /// Puts a message into the last packet that waits, by `write`; false if there is none, or it has no `room`.
    #[inline]
    pub(super) fn extend(
        &mut self,
        number: u64,
        weight: usize,
        room: impl FnOnce(&[u8]) -> bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        if !self.is_waiting() {
            return false;
        }
        let Some(last) = self.packets.back_mut() else { return false };
        let Bytes::Own(bytes) = &mut last.bytes else { return false };
        if !room(bytes) {
            return false;
        }
        let before = bytes.len();
        write(bytes);
        self.waiting.bytes += bytes.len() - before;
        self.waiting.messages += 1;
        self.waiting.weight += weight;
        last.weight += weight;
        last.messages.end = number + 1;
        true
    }

    /// Takes the last message, of so many `bytes`, out of the last packet that waits, which others are in too.
    pub(super) fn shorten(&mut self, number: u64, bytes: usize, weight: usize) -> bool {
        if !self.is_waiting() {
            return false;
        }
        let Some(last) = self.packets.back_mut() else { return false };
        if last.messages.end != number + 1 || last.messages.start == number {
            return false;
        }
        let Bytes::Own(own) = &mut last.bytes else { return false };
        own.truncate(own.len() - bytes);
        last.weight -= weight;
        last.messages.end = number;
        self.waiting.bytes -= bytes;
        self.waiting.messages -= 1;
        self.waiting.weight -= weight;
        true
    }

    /// Returns the packet that is to be sent next.
    #[inline]
    pub(super) fn next(&mut self) -> Option<&mut Packet> {
        self.packets.get_mut(self.flying)
    }

    /// The next packet is in flight, and weighs so much there.
    #[inline]
    pub(super) fn launch(&mut self, weight: impl FnOnce(usize) -> usize) {
        let Some(packet) = self.packets.get_mut(self.flying) else { return };
        self.waiting.remove(packet);
        packet.weight = weight(packet.bytes.len());
        packet.sent = Some(Instant::now());
        self.in_flight.add(packet);
        self.flying += 1;
    }

    /// The packet that was sent last, and begins with this message, waits again, in front; it weighs so much there.
    pub(super) fn recall(&mut self, number: u64, weight: impl FnOnce(usize) -> usize) {
        let Some(last) = self.flying.checked_sub(1) else { return };
        let Some(packet) = self.packets.get_mut(last).filter(|packet| packet.messages.start == number) else {
            return;
        };
        self.in_flight.remove(packet);
        packet.weight = weight(packet.bytes.len());
        packet.sent = None;
        self.waiting.add(packet);
        self.flying = last;
    }

    /// Takes the oldest packet in flight.
    #[inline]
    pub(super) fn land(&mut self) -> Option<Packet> {
        self.flying = self.flying.checked_sub(1)?;
        let packet = self.packets.pop_front()?;
        self.in_flight.remove(&packet);
        Some(packet)
    }

    /// Returns how many packets in flight are older than the one with these bytes; `None` if none has them.
    #[inline]
    pub(super) fn find_flying(&self, bytes: &[u8]) -> Option<usize> {
        (0..self.flying).find(|&index| *self.packets[index].bytes == *bytes)
    }

    /// Takes a packet out that waits, and has this message alone.
    pub(super) fn take_waiting(&mut self, number: u64) -> Option<Packet> {
        let own = |packet: &Packet| packet.only() == Some(number);
        let index = self.packets.range(self.flying..).rposition(own)?;
        let packet = self.packets.remove(self.flying + index)?;
        self.waiting.remove(&packet);
        Some(packet)
    }

    /// Forgets what is in flight.
    pub(super) fn forget_flying(&mut self) {
        self.packets.drain(..self.flying);
        self.flying = 0;
        self.in_flight = Load::default();
    }

    /// Takes all packets out, or those in flight alone; each with whether it was in flight.
    pub(super) fn take_all(&mut self, keep_waiting: bool) -> impl Iterator<Item = (Packet, bool)> + use<> {
        let all = std::mem::take(self);
        let (mut packets, flying) = (all.packets, all.flying);
        if keep_waiting {
            self.packets = packets.split_off(flying);
            self.waiting = all.waiting;
        }
        packets.into_iter().enumerate().map(move |(index, packet)| (packet, index < flying))
    }

    /// Returns the number that the packet sent last begins with.
    #[cfg(test)]
    pub(super) fn last_flying(&self) -> Option<u64> {
        Some(self.packets[self.flying.checked_sub(1)?].messages.start)
    }

    /// Counts what is in flight and what waits, packet by packet.
    #[cfg(test)]
    pub(super) fn count(&self) -> [Load; 2] {
        let (flying, waiting) = (self.packets.range(..self.flying), self.packets.range(self.flying..));
        [flying, waiting].map(|packets| {
            packets.fold(Load::default(), |mut load, packet| {
                load.add(packet);
                load
            })
        })
    }
}
