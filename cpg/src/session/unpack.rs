//! Messages out of a packet, and the rest of one that is kept.

use std::cell::Cell;
use std::ops::Range;

use crate::dispatch::run::Progress;
use crate::event::event::Event;
use crate::event::malformed_packet::MalformedPacket;
use crate::event::message::Message;
use crate::group_name::GroupName;
use crate::member::Member;
use crate::packet::format::HEADER_LEN;
use crate::packet::read::{Frames, check_header};
use crate::session::sender::Sender;

/// The rest of a packet, while the handler is to get no more.
#[derive(Debug, Default)]
pub(super) struct Stash {
    bytes: Vec<u8>,
    /// Where the rest begins.
    at: usize,
    from: Option<Origin>,
}

#[derive(Debug, Clone)]
struct Origin {
    group: GroupName,
    sender: Member,
    /// The numbers of the messages that are left, if this member's queue has sent them.
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

    /// Hands a packet to `handler`, message by message, where libcpg has it; keeps the rest when `progress` ends it before the
    /// last one. `numbers` are those of its messages, if this member's queue has sent it.
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
        if let Err(error) = check_header(payload) {
            progress.count();
            return handler(
                sender,
                Event::Malformed(MalformedPacket { group, sender: from, bytes: payload, error }),
            );
        }
        let frames = Frames::resume(&mut payload[HEADER_LEN..]);
        unpack(
            &mut Unread { frames, origin, failed: false, sender, settled, keep: Keep::In(self) },
            progress,
            handler,
        );
    }

    /// Goes on with the rest.
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
        // The handler may have forked: the rest is the parent's (A17).
        if progress.stopped().is_some() || unread.sender.shared().check_owner().is_err() {
            break;
        }
    }
}

/// The rest of a packet, which is kept when this goes, also in a panic of the handler.
struct Unread<'p, 's> {
    frames: Frames<'p>,
    origin: &'s mut Origin,
    failed: bool,
    sender: &'s Sender,
    /// As that of [`Dispatching`](super::turn::Dispatching).
    settled: &'s Cell<u64>,
    keep: Keep<'s>,
}

enum Keep<'s> {
    /// By a copy.
    In(&'s mut Stash),
    /// Where it is already: in so many bytes, from there on.
    From { at: &'s mut usize, len: usize },
}

impl Drop for Unread<'_, '_> {
    fn drop(&mut self) {
        if let Some(numbers) = &self.origin.numbers {
            self.settled.set(numbers.start);
        }
        // What cannot be read has been handed over whole.
        let rest = if self.failed { &[] } else { self.frames.rest() };
        match &mut self.keep {
            Keep::In(stash) if !rest.is_empty() => stash.keep(rest, self.origin.clone()),
            Keep::In(_) => {}
            Keep::From { at, len } => **at = *len - rest.len(),
        }
    }
}
