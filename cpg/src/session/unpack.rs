//! The messages in a packet, and the rest of a packet that is kept.

use std::cell::Cell;
use std::ops::Range;

use crate::dispatch::run::Progress;
use crate::event::event::Event;
use crate::event::malformed_packet::MalformedPacket;
use crate::event::message::Message;
use crate::group_name::GroupName;
use crate::member::Member;
use crate::packet::read::{self, Frames};
use crate::session::sender::Sender;

/// The rest of a packet, kept until the handler takes more messages.
#[derive(Debug, Default)]
pub(super) struct Stash {
    bytes: Vec<u8>,
    /// The index at which the rest begins.
    at: usize,
    from: Option<Origin>,
}

/// The message of libcpg that a kept packet came in.
#[derive(Debug, Clone)]
struct Origin {
    group: GroupName,
    sender: Member,
    /// The numbers of the remaining messages, if this member's queue sent the packet.
    numbers: Option<Range<u64>>,
}

impl Stash {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn keep(&mut self, rest: &[u8], from: Origin) {
        self.bytes.clear();
        self.bytes.extend_from_slice(rest);
        self.at = 0;
        self.from = Some(from);
    }

    /// Hands the messages in a packet to `handler`, without copying them. If `progress` stops before the last message, keeps the
    /// rest. `numbers` are those of the messages, if this member's queue sent the packet.
    #[inline(never)]
    pub(super) fn packet(
        &mut self,
        message: Message<'_>,
        numbers: Option<Range<u64>>,
        sender: &Sender,
        settled: &Cell<u64>,
        progress: &Progress<'_>,
        handler: &mut impl FnMut(&Sender, Event<'_>),
    ) {
        let Message { group, sender: from, payload, .. } = message;
        let origin = &mut Origin { group: group.clone(), sender: from, numbers };
        let frames = match read::frames(payload) {
            Ok(frames) => Frames::resume(&mut payload[frames]),
            Err(error) => {
                progress.count();
                return handler(
                    sender,
                    Event::Malformed(MalformedPacket { group, sender: from, bytes: payload, error }),
                );
            }
        };
        unpack(
            &mut Unread { frames, origin, failed: false, sender, settled, keep: Keep::In(self) },
            progress,
            handler,
        );
    }

    /// Hands out the rest.
    pub(super) fn rest(
        &mut self,
        sender: &Sender,
        settled: &Cell<u64>,
        progress: &Progress<'_>,
        handler: &mut impl FnMut(&Sender, Event<'_>),
    ) {
        let Self { bytes, at, from: Some(origin) } = self else { return };
        let len = bytes.len();
        let frames = Frames::resume(&mut bytes[*at..]);
        let keep = Keep::From { at, len };
        unpack(&mut Unread { frames, origin, failed: false, sender, settled, keep }, progress, handler);
    }
}

fn unpack(
    unread: &mut Unread<'_, '_>,
    progress: &Progress<'_>,
    handler: &mut impl FnMut(&Sender, Event<'_>),
) {
    while let Some(frame) = unread.frames.next() {
        progress.count();
        if let Some(numbers) = &mut unread.origin.numbers {
            numbers.start += 1;
        }
        let (group, sender) = (&unread.origin.group, unread.origin.sender);
        match frame {
            Ok(payload) => {
                let message = Message { group, sender, payload, packed: true };
                handler(unread.sender, Event::Deliver(message));
            }
            Err(error) => {
                unread.failed = true;
                let packet = MalformedPacket { group, sender, bytes: unread.frames.rest(), error };
                handler(unread.sender, Event::Malformed(packet));
            }
        }
        // The handler may have forked, and the rest belongs to the parent (A17).
        if progress.stopped().is_some() || unread.sender.shared().check_owner().is_err() {
            break;
        }
    }
}

/// The rest of a packet. It is kept when this value is dropped, also if the handler panics.
struct Unread<'p, 's> {
    frames: Frames<'p>,
    origin: &'s mut Origin,
    failed: bool,
    sender: &'s Sender,
    /// The same as in [`Dispatching`](super::turn::Dispatching).
    settled: &'s Cell<u64>,
    keep: Keep<'s>,
}

/// The place in which the rest of a packet is kept.
enum Keep<'s> {
    /// In a stash, by a copy.
    In(&'s mut Stash),
    /// In the stash already: `len` bytes, of which the rest begins at `at`.
    From { at: &'s mut usize, len: usize },
}

impl Drop for Unread<'_, '_> {
    fn drop(&mut self) {
        if let Some(numbers) = &self.origin.numbers {
            self.settled.set(numbers.start);
        }
        // Bytes that cannot be read have been handed over as a whole.
        let rest = if self.failed { &[] } else { self.frames.rest() };
        match &mut self.keep {
            Keep::In(stash) if !rest.is_empty() => stash.keep(rest, self.origin.clone()),
            Keep::In(_) => {}
            Keep::From { at, len } => **at = *len - rest.len(),
        }
    }
}
