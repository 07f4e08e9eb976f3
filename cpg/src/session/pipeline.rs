//! The packets of a queue in the order of sending, with their total size.

use std::collections::VecDeque;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Instant;

/// One message of libcpg, which contains one or more messages of the program.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) bytes: Bytes,
    /// The numbers of the messages in the packet.
    pub(super) messages: Range<u64>,
    /// The size for which the packet counts: in the queue while it waits, in the window while it is in flight.
    weight: usize,
    /// The time of sending.
    sent: Option<Instant>,
}

/// The bytes of a packet.
#[derive(Debug)]
pub(crate) enum Bytes {
    Own(Vec<u8>),
    /// Bytes shared with the thread that sends them in parts, or has sent them.
    Shared(Arc<Vec<u8>>),
}

impl Bytes {
    /// Returns the bytes for a thread that sends them in parts.
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

/// The total size of some packets.
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
    /// Returns the number of messages in the packet.
    #[inline]
    fn count(&self) -> usize {
        // Each message takes at least one byte of a packet, or a whole packet, so a usize can count them.
        usize::try_from(self.messages.end - self.messages.start).unwrap_or(usize::MAX)
    }

    /// Returns the number of the message, if the packet has only one.
    fn only(&self) -> Option<u64> {
        (self.count() == 1).then_some(self.messages.start)
    }
}

/// Packets in flight, followed by packets that wait. Every change of the packets updates both totals.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    packets: VecDeque<Packet>,
    /// The number of packets in flight.
    flying: usize,
    in_flight: Load,
    waiting: Load,
}

impl Pipeline {
    /// Returns the total of the packets in flight.
    #[inline]
    pub(super) fn in_flight(&self) -> Load {
        self.in_flight
    }

    /// Returns the total of the packets that wait.
    #[inline]
    pub(super) fn waiting(&self) -> Load {
        self.waiting
    }

    /// Returns the time at which the oldest packet in flight was sent.
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

    /// Appends a packet.
    #[inline]
    pub(super) fn push(&mut self, bytes: Bytes, messages: Range<u64>, weight: usize) {
        let packet = Packet { bytes, messages, weight, sent: None };
        self.waiting.add(&packet);
        self.packets.push_back(packet);
    }

    /// Adds a message to the last packet that waits, by calling `write`. False if no packet waits, or if the last one has no
    /// `room`.
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

    /// Removes the last message, which has this many `bytes`, from the last packet that waits. False if the packet has no other
    /// message.
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

    /// Returns the packet that is sent next.
    #[inline]
    pub(super) fn next(&mut self) -> Option<&mut Packet> {
        self.packets.get_mut(self.flying)
    }

    /// Puts the next packet in flight, with its weight in the window.
    #[inline]
    pub(super) fn launch(&mut self, weight: impl FnOnce(usize) -> usize) {
        let Some(packet) = self.packets.get_mut(self.flying) else { return };
        self.waiting.remove(packet);
        packet.weight = weight(packet.bytes.len());
        packet.sent = Some(Instant::now());
        self.in_flight.add(packet);
        self.flying += 1;
    }

    /// Puts the packet that was sent last back in front of those that wait, if this message is its first. `weight` gives its
    /// weight in the queue.
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

    /// Removes the oldest packet in flight.
    #[inline]
    pub(super) fn land(&mut self) -> Option<Packet> {
        self.flying = self.flying.checked_sub(1)?;
        let packet = self.packets.pop_front()?;
        self.in_flight.remove(&packet);
        Some(packet)
    }

    /// Returns the number of packets in flight that are older than the packet with these bytes. `None` if no packet has them.
    #[inline]
    pub(super) fn find_flying(&self, bytes: &[u8]) -> Option<usize> {
        (0..self.flying).find(|&index| *self.packets[index].bytes == *bytes)
    }

    /// Removes a packet that waits and contains only this message.
    pub(super) fn take_waiting(&mut self, number: u64) -> Option<Packet> {
        let own = |packet: &Packet| packet.only() == Some(number);
        let index = self.packets.range(self.flying..).rposition(own)?;
        let packet = self.packets.remove(self.flying + index)?;
        self.waiting.remove(&packet);
        Some(packet)
    }

    /// Drops all packets in flight.
    pub(super) fn forget_flying(&mut self) {
        self.packets.drain(..self.flying);
        self.flying = 0;
        self.in_flight = Load::default();
    }

    /// Removes all packets, or only those in flight. Each packet comes with true if it was in flight.
    pub(super) fn take_all(&mut self, keep_waiting: bool) -> impl Iterator<Item = (Packet, bool)> + use<> {
        let all = std::mem::take(self);
        let (mut packets, flying) = (all.packets, all.flying);
        if keep_waiting {
            self.packets = packets.split_off(flying);
            self.waiting = all.waiting;
        }
        packets.into_iter().enumerate().map(move |(index, packet)| (packet, index < flying))
    }

    /// Returns the number of the first message in the packet that was sent last.
    #[cfg(test)]
    pub(super) fn last_flying(&self) -> Option<u64> {
        Some(self.packets[self.flying.checked_sub(1)?].messages.start)
    }

    /// Adds up the packets in flight and those that wait, one by one.
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
