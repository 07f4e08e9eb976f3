//! From what libcpg delivers to what the handler gets: message by message, out of packets where they travel in some.

use std::cell::Cell;
use std::ops::Range;

use crate::dispatch::limits::Work;
use crate::event::event::Event;
use crate::event::malformed::Malformed;
use crate::event::message::Deliver;
use crate::event::reconnect::Lost;
use crate::group::link::Link;
use crate::group_name::GroupName;
use crate::member::Member;
use crate::packet::{self, Frames};
use crate::session::queue::Returned;

/// The rest of a packet, while the handler is to get no more.
#[derive(Debug, Default)]
pub(crate) struct Stash {
    bytes: Vec<u8>,
    /// Where the rest begins.
    at: usize,
    from: Option<Origin>,
}

#[derive(Debug, Clone)]
struct Origin {
    group: GroupName,
    sender: Member,
    /// The numbers of the messages that are left, if they are own ones that a queue has sent.
    numbers: Option<Range<u64>>,
}

impl Stash {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn keep(&mut self, rest: &[u8], from: Origin) {
        self.bytes.clear();
        self.bytes.extend_from_slice(rest);
        self.at = 0;
        self.from = Some(from);
    }
}

/// What events are handed to.
pub(crate) type Handler<'h> = dyn FnMut(&Link, Event<'_>) + 'h;

/// What a turn of dispatching hands its events to.
pub(crate) trait Sink {
    /// Handles an event of libcpg's; there is no rest.
    fn event(&mut self, event: Event<'_>);
    /// Whether there is something to handle that libcpg does not know of.
    fn has_rest(&self) -> bool;
    /// Handles what is left of the last packet.
    fn rest(&mut self);
    /// Hands back a message that was not delivered.
    fn returned(&mut self, message: Returned);
    /// Says that the membership has ended.
    fn lost(&mut self, lost: Lost);
}

/// A handler with what it needs, for the length of one dispatch. It is made for each handler, so that messages out of a packet
/// reach it without a call between.
pub(crate) struct Delivery<'d, H, W> {
    link: &'d Link,
    handler: &'d mut H,
    work: &'d W,
    stash: &'d mut Stash,
    /// How many events the handler has got.
    count: &'d Cell<usize>,
}

impl<H, W> Sink for Delivery<'_, H, W>
where
    H: FnMut(&Link, Event<'_>),
    W: Work,
{
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Deliver(message) => self.message(message),
            Event::ConfChg(view) => self.handle(self.link.note(view)),
            event => self.handle(event),
        }
    }

    fn has_rest(&self) -> bool {
        !self.stash.is_empty()
    }

    fn rest(&mut self) {
        let Stash { bytes, at, from: Some(from) } = &mut *self.stash else { return };
        let len = bytes.len();
        let frames = Frames::resume(&mut bytes[*at..]);
        let mut unread =
            Unread { frames, from, failed: false, link: self.link, keep: Keep::From { at, len } };
        Self::unpack(&mut unread, self.handler, self.work, self.count);
    }

    fn returned(&mut self, message: Returned) {
        self.handle(Event::Undelivered(message.into()));
    }

    fn lost(&mut self, lost: Lost) {
        self.handle(Event::Lost(lost));
    }
}

impl<'d, H, W> Delivery<'d, H, W>
where
    H: FnMut(&Link, Event<'_>),
    W: Work,
{
    pub(crate) fn new(
        link: &'d Link,
        handler: &'d mut H,
        work: &'d W,
        stash: &'d mut Stash,
        count: &'d Cell<usize>,
    ) -> Self {
        Self { link, handler, work, stash, count }
    }

    #[inline]
    fn handle(&mut self, event: Event<'_>) {
        self.count.set(self.count.get() + 1);
        (self.handler)(self.link, event);
    }

    #[inline]
    fn message(&mut self, message: Deliver<'_>) {
        let numbers = self.link.arrived(&message);
        if self.link.flow().coalesce && packet::is_packet(message.payload) {
            return self.packet(message, numbers);
        }
        // Handled also if the handler panics.
        let _settle = numbers.map(|numbers| Settle { link: self.link, number: numbers.end });
        self.handle(Event::Deliver(message));
    }

    #[inline(never)]
    fn packet(&mut self, message: Deliver<'_>, numbers: Option<Range<u64>>) {
        let Deliver { group, sender, payload, .. } = message;
        let from = &mut Origin { group: group.clone(), sender, numbers };
        if let Err(reason) = packet::check_header(payload) {
            return self.handle(Event::Malformed(Malformed { group, sender, bytes: payload, reason }));
        }
        let frames = Frames::resume(&mut payload[packet::HEADER_LEN..]);
        let mut unread = Unread { frames, from, failed: false, link: self.link, keep: Keep::In(self.stash) };
        Self::unpack(&mut unread, self.handler, self.work, self.count);
    }

    fn unpack(unread: &mut Unread<'_, '_>, handler: &mut H, work: &W, count: &Cell<usize>) {
        while let Some(frame) = unread.frames.next() {
            count.set(count.get() + 1);
            if let Some(numbers) = &mut unread.from.numbers {
                numbers.start += 1;
            }
            let (group, sender) = (&unread.from.group, unread.from.sender);
            match frame {
                Ok(payload) => {
                    let message = Deliver { group, sender, payload, packed: true };
                    handler(unread.link, Event::Deliver(message));
                }
                Err(reason) => {
                    unread.failed = true;
                    let malformed = Malformed { group, sender, bytes: unread.frames.rest(), reason };
                    handler(unread.link, Event::Malformed(malformed));
                }
            }
            if !work.more(count.get()) {
                break;
            }
        }
    }
}

/// Says that messages up to this one have been handled, when it goes.
struct Settle<'l> {
    link: &'l Link,
    number: u64,
}

impl Drop for Settle<'_> {
    fn drop(&mut self) {
        self.link.settle(self.number);
    }
}

/// The rest of a packet, which is kept when this goes, also in a panic of the handler.
struct Unread<'p, 's> {
    frames: Frames<'p>,
    from: &'s mut Origin,
    failed: bool,
    link: &'s Link,
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
        if let Some(numbers) = &self.from.numbers {
            self.link.settle(numbers.start);
        }
        // What cannot be read has been handed over whole.
        let rest = if self.failed { &[] } else { self.frames.rest() };
        match &mut self.keep {
            Keep::In(stash) if !rest.is_empty() => stash.keep(rest, self.from.clone()),
            Keep::In(_) => {}
            Keep::From { at, len } => **at = *len - rest.len(),
        }
    }
}
