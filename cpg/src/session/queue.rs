//! A sending queue: the messages that wait and those in flight. It calls no other code.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::error::Error;
use crate::event::undelivered::Undelivered;
use crate::packet::{read, write};
use crate::session::flow::{Sizes, Wrap};
use crate::session::losses::Losses;
use crate::session::pipeline::{Bytes, Load, Packet, Pipeline};
use crate::session::sent::{QueueId, Sent};

/// The most buffers that are kept for later packets, and the most bytes in them.
const SPARE: usize = 512;
const SPARE_BYTES: usize = 4 << 20;

/// The messages of a session, with numbers that count up. They are accepted, then come back, then are settled.
#[derive(Debug)]
pub(crate) struct Queue {
    id: QueueId,
    sizes: Sizes,
    pipeline: Pipeline,
    /// The number of the next message.
    next: u64,
    /// Messages below this number have come back, or are in `lost`.
    arrived: u64,
    /// Messages below this number have been handled, or are in `lost`.
    settled: u64,
    lost: Losses,
    returned: VecDeque<(u64, Undelivered)>,
    ended: Option<Error>,
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
}

/// The refusal of a message for which there is no room now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Queue {
    pub(crate) fn new(sizes: Sizes) -> Self {
        Self {
            id: QueueId::next(),
            sizes,
            pipeline: Pipeline::default(),
            next: 0,
            arrived: 0,
            settled: 0,
            lost: Losses::default(),
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
        self.pipeline.is_waiting()
    }

    #[inline]
    pub(crate) fn is_flying(&self) -> bool {
        self.pipeline.is_flying()
    }

    /// Appends a message of `len` bytes, and gives it a number.
    #[inline]
    pub(crate) fn push(&mut self, slices: &[IoSlice<'_>], len: usize) -> Result<u64, Full> {
        let weight = self.weight(len);
        if self.pipeline.waiting().weight >= self.sizes.queue && self.is_waiting() {
            return Err(Full);
        }
        let (number, packet_size) = (self.next, self.sizes.packet);
        self.next += 1;
        if self.sizes.coalesce {
            let room = |bytes: &[u8]| bytes.len() + write::frame_len(len) <= packet_size;
            let write = |bytes: &mut Vec<u8>| write::push_slices(bytes, slices, len);
            if self.pipeline.extend(number, weight, room, write) {
                return Ok(number);
            }
        }
        // The buffer that was used last is still in the cache.
        let mut bytes = self.spare.pop().unwrap_or_default();
        self.spare_bytes -= bytes.capacity();
        match self.sizes.wrap(len) {
            Wrap::Sealed => write::seal_slices(&mut bytes, slices, len),
            Wrap::Packet => {
                write::begin(&mut bytes);
                write::push_slices(&mut bytes, slices, len);
            }
            Wrap::Plain => {
                bytes.clear();
                bytes.reserve(len);
                for slice in slices {
                    bytes.extend_from_slice(slice);
                }
            }
        }
        self.pipeline.push(Bytes::Own(bytes), number..number + 1, weight);
        Ok(number)
    }

    /// Returns the size for which a message of `len` bytes counts while it waits. The messages in a packet share the packet's
    /// memory.
    #[inline]
    fn weight(&self, len: usize) -> usize {
        if self.sizes.coalesce { len + 1 } else { len + size_of::<Packet>() }
    }

    /// Takes back the last message, which has `len` bytes, if it has this number and still waits.
    pub(crate) fn retract(&mut self, number: u64, len: usize) -> bool {
        // The message shares a packet with others, or has one for itself.
        let in_a_packet =
            self.sizes.coalesce && self.pipeline.shorten(number, write::frame_len(len), self.weight(len));
        if in_a_packet {
            self.unnumber(number..number + 1);
        }
        in_a_packet || self.withdraw(number)
    }

    /// Takes back a message that waits in a packet of its own. False if it does not wait.
    pub(crate) fn withdraw(&mut self, number: u64) -> bool {
        let Some(packet) = self.pipeline.take_waiting(number) else { return false };
        self.unnumber(packet.messages);
        true
    }

    /// Gives back the number of a message that is not sent. Its sender knows, and nobody has a ticket for it.
    fn unnumber(&mut self, messages: Range<u64>) {
        if messages.end == self.next {
            self.next = messages.start;
        }
    }

    /// True if the window is open.
    pub(crate) fn is_open(&self) -> bool {
        self.pipeline.in_flight().weight < self.sizes.window || !self.is_flying()
    }

    /// True if the window should be filled again after a message has come back. With packets this is when half of the window is
    /// free. If packets were sent one at a time, they would be small, and the daemon would wake up for each.
    pub(crate) fn is_wide_open(&self) -> bool {
        if self.sizes.coalesce {
            self.pipeline.in_flight().weight <= self.sizes.window / 2
        } else {
            self.is_open()
        }
    }

    /// Returns the packet that is sent next, if one waits, and the number of its first message.
    pub(crate) fn front(&mut self) -> Option<(u64, &mut Bytes)> {
        self.pipeline.next().map(|packet| (packet.messages.start, &mut packet.bytes))
    }

    /// True if there is enough room to wake threads and tasks that wait for room.
    pub(crate) fn is_half_empty(&self) -> bool {
        self.pipeline.waiting().weight <= self.sizes.queue / 2
    }

    /// Records that the packet at the front was sent.
    pub(crate) fn sent(&mut self) {
        let sizes = self.sizes;
        self.pipeline.launch(|len| sizes.cost(len));
    }

    /// Returns the total of the messages in flight.
    pub(crate) fn in_flight(&self) -> Load {
        self.pipeline.in_flight()
    }

    /// Returns the total of the messages that wait.
    pub(crate) fn waiting(&self) -> Load {
        self.pipeline.waiting()
    }

    /// Returns the time at which the oldest message in flight was sent.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.pipeline.oldest()
    }

    /// Records that the packet that was sent last, and begins with this message, was not sent after all. It waits again, in
    /// front.
    pub(crate) fn recall(&mut self, number: u64) {
        let per_packet = self.weight(0);
        self.pipeline.recall(number, |len| len + per_packet);
    }

    /// Drops the messages in flight, because their self-delivery will not be seen.
    pub(crate) fn forget_flying(&mut self) {
        self.pipeline.forget_flying();
    }

    /// Records a self-delivery, and returns the numbers of its messages. `None` if this queue has not sent it.
    ///
    /// Packets that are in flight before it are lost: messages are delivered in the order of sending (facts, C), and the daemon
    /// can drop one ([B17](crate::facts#b17)).
    #[inline]
    pub(crate) fn arrived(&mut self, bytes: &[u8]) -> Option<Range<u64>> {
        for _ in 0..self.pipeline.find_flying(bytes)? {
            let packet = self.pipeline.land()?;
            self.lose(packet, true, &Error::DroppedByDaemon);
        }
        let packet = self.pipeline.land()?;
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

    /// True if a message has come back.
    pub(crate) fn has_arrived(&self, number: u64) -> bool {
        number < self.arrived
    }

    /// True if a message has come back and been handled.
    pub(crate) fn is_settled(&self, number: u64) -> bool {
        number < self.settled
    }

    /// Records that all messages below `number` have been handled. False if this was known.
    #[inline]
    pub(crate) fn settle(&mut self, number: u64) -> bool {
        let is_new = number > self.settled;
        self.settled = self.settled.max(number);
        is_new
    }

    /// Returns the token of a message.
    #[inline]
    pub(crate) fn token(&self, number: u64) -> Sent {
        Sent::new(self.id, number)
    }

    /// Returns the number of the message with this token. An error if another queue accepted the message.
    pub(crate) fn number(&self, sent: Sent) -> Result<u64, Error> {
        sent.number_in(self.id).ok_or(Error::ForeignToken)
    }

    /// Returns the fate of a message. `None` while the fate is open.
    pub(crate) fn outcome(&self, number: u64) -> Option<Result<(), Error>> {
        if let Some(error) = self.lost.reason(number) {
            return Some(Err(error.clone()));
        }
        if number < self.settled {
            return Some(Ok(()));
        }
        self.ended.clone().filter(|_| number >= self.arrived).map(Err)
    }

    /// Ends the queue: it accepts no more messages, and hands back those that have not come back.
    pub(crate) fn end(&mut self, error: &Error) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(error.clone());
        for (packet, sent) in self.pipeline.take_all(false) {
            self.give_back(packet, sent, error);
        }
    }

    /// Ends a membership that another one follows. Messages in flight are lost. Messages that wait are lost too, unless they are
    /// kept.
    pub(crate) fn end_generation(&mut self, error: &Error, keep: bool) {
        for (packet, sent) in self.pipeline.take_all(keep) {
            self.lose(packet, sent, error);
        }
    }

    fn lose(&mut self, packet: Packet, sent: bool, error: &Error) {
        self.lost.note(packet.messages.clone(), error, self.arrived);
        self.give_back(packet, sent, error);
    }

    /// Gives up all messages that have come back and have not been handled, because nobody will handle them.
    pub(crate) fn abandon(&mut self) {
        self.arrived = self.settled;
    }

    fn give_back(&mut self, packet: Packet, sent: bool, error: &Error) {
        let number = packet.messages.start;
        let mut give = |number, payload| {
            self.returned.push_back((number, Undelivered::new(payload, sent, error.clone())));
        };
        match packet.bytes {
            bytes if self.sizes.coalesce => {
                let payloads = read::messages(&bytes).map_while(Result::ok);
                (number..).zip(payloads).for_each(|(number, payload)| give(number, payload.to_vec()));
            }
            Bytes::Own(bytes) => give(number, bytes),
            Bytes::Shared(bytes) => give(number, Arc::unwrap_or_clone(bytes)),
        }
    }

    /// Removes a message from those that are handed back, if it is the last of them.
    pub(crate) fn keep(&mut self, number: u64) -> bool {
        let last = self.returned.back().is_some_and(|(last, _)| *last == number);
        last && self.returned.pop_back().is_some()
    }

    /// Returns the next message to be handed back.
    pub(crate) fn take_returned(&mut self) -> Option<Undelivered> {
        self.returned.pop_front().map(|(_, message)| message)
    }

    pub(crate) fn has_returned(&self) -> bool {
        !self.returned.is_empty()
    }
}

#[cfg(test)]
mod tests;
