//! One turn of dispatching in a session: events of libcpg, the rest of a packet, messages that are handed back, and the way to
//! the next membership.

use std::cell::Cell;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::dispatch::run::{Progress, Source};
use crate::error::Result;
use crate::event::event::Event;
use crate::event::malformed_packet::MalformedPacket;
use crate::event::message::Message;
use crate::event::rejoined::Rejoined;
use crate::ffi::events::Taken;
use crate::ffi::requests::Counted;
use crate::member::Member;
use crate::packet::format;
use crate::packet::read::is_packet;
use crate::session::end::Look;
use crate::session::incoming::{Incoming, Membership};
use crate::session::outbox::Outbox;
use crate::session::sender::Sender;
use crate::session::unpack::Stash;

/// The pause before a session that is coming back tries again to start a thread.
const NO_THREAD: Duration = Duration::from_millis(100);

/// The source of a session's events, each of which goes to `handler`.
///
/// It is generic over the handler, so that messages from a packet reach the handler without an indirect call.
pub(super) struct Turn<'t, H> {
    pub(super) sender: &'t Sender,
    pub(super) incoming: &'t mut Incoming,
    pub(super) dispatching: &'t Dispatching<'t>,
    /// The count that allows taking one more event of a full group ([A8](crate::facts#a8)).
    pub(super) counted: Option<Counted>,
    pub(super) handler: &'t mut H,
}

impl<H: FnMut(&Sender, Event<'_>)> Source for Turn<'_, H> {
    fn next(&mut self, progress: &Progress<'_>) -> Result<Taken> {
        let Self { sender, incoming, dispatching, counted, handler } = self;
        let shared = sender.shared();
        // Before each event, because a handler may have forked, and everything here belongs to the parent (A17).
        shared.check_owner()?;
        // The count is good only for the next event, because one of the events below can take long to handle.
        let counted = counted.take();
        if !incoming.stash.is_empty() {
            incoming.stash.rest(sender, &dispatching.settled, progress, handler);
            return Ok(Taken::Something);
        }
        if let Some(ring) = incoming.early.take() {
            progress.count();
            handler(sender, Event::TotemConfChg(ring.as_ring()));
            return Ok(Taken::Something);
        }
        let outbox = shared.outbox();
        match outbox.look(dispatching.settled.get(), &shared.wire()) {
            Look::Returned(message) => {
                progress.count();
                handler(sender, Event::Undelivered(message));
                return Ok(Taken::Something);
            }
            Look::Lost(error) => {
                incoming.lose(shared, &error);
                return self.go_on(progress);
            }
            Look::On => {}
        }
        match &mut incoming.membership {
            Membership::Here { .. } => self.take(progress, counted),
            Membership::Away { rejoin, untold } => {
                if let Some(lost) = untold.take() {
                    progress.count();
                    handler(sender, Event::Lost(lost));
                    return Ok(Taken::Something);
                }
                let found = rejoin.take();
                if rejoin.wants_thread() {
                    outbox.look_again(NO_THREAD);
                }
                let Some(found) = found else { return Ok(Taken::Nothing) };
                incoming.enter(shared, found);
                self.go_on(progress)
            }
            Membership::Over { error, told, .. } => {
                *told = true;
                Err(error.clone())
            }
        }
    }

    fn wait(&self, deadline: Option<Instant>, waker: Option<BorrowedFd<'_>>) -> Result<bool> {
        self.incoming.wait(self.sender.shared(), deadline, waker)
    }
}

impl<H: FnMut(&Sender, Event<'_>)> Turn<'_, H> {
    /// Goes on in the new state. A change of state is no event, so even after the deadline one more event may be taken.
    #[cold]
    fn go_on(&mut self, progress: &Progress<'_>) -> Result<Taken> {
        self.next(progress)
    }

    /// Takes the next event from libcpg.
    #[inline]
    fn take(&mut self, progress: &Progress<'_>, mut counted: Option<Counted>) -> Result<Taken> {
        let Self { sender, incoming, dispatching, handler, .. } = self;
        let Incoming { membership, leave, stash, early, .. } = &mut **incoming;
        let Membership::Here { events, me, back } = membership else { return Ok(Taken::Nothing) };
        let (me, shared) = (*me, sender.shared());
        let taken = events.dispatch_one(&me, &mut counted, &mut |event| match event {
            Event::Deliver(message) => {
                deliver(message, me, sender, &dispatching.settled, stash, progress, *handler);
            }
            Event::ConfChg(view) => {
                leave.note(&view);
                early.begin();
                let event = if std::mem::take(back) {
                    shared.outbox().reopen(&shared.wire());
                    Event::Rejoined(Rejoined { generation: shared.outbox().generation(), view })
                } else {
                    Event::ConfChg(view)
                };
                progress.count();
                handler(sender, event);
            }
            // A ring event must not come before the first view.
            Event::TotemConfChg(ring) if early.keep(ring) => {}
            event => {
                progress.count();
                handler(sender, event);
            }
        });
        match taken {
            Err(error) => {
                incoming.failed(shared, error)?;
                self.go_on(progress)
            }
            Ok(Taken::Nothing) => {
                shared.outbox().found_nothing(&shared.wire());
                Ok(Taken::Nothing)
            }
            taken => taken,
        }
    }
}

#[inline]
fn deliver<H: FnMut(&Sender, Event<'_>)>(
    message: Message<'_>,
    me: Member,
    sender: &Sender,
    settled: &Cell<u64>,
    stash: &mut Stash,
    progress: &Progress<'_>,
    handler: &mut H,
) {
    let shared = sender.shared();
    let numbers: Option<Range<u64>> =
        if message.sender == me { shared.outbox().arrived(message.payload, &shared.wire()) } else { None };
    let packet = is_packet(message.payload);
    if packet && shared.sizes().coalesce {
        return stash.packet(message, numbers, sender, settled, progress, handler);
    }
    if let Some(numbers) = numbers {
        settled.set(numbers.end);
    }
    progress.count();
    // Judged only by its bytes, even if this member sent it and knows better, because all members must see the same.
    let event = if packet { unexpected(message) } else { Event::Deliver(message) };
    handler(sender, event);
}

/// Makes the event of a packet in a session that does not coalesce.
#[cold]
fn unexpected(message: Message<'_>) -> Event<'_> {
    let Message { group, sender, payload, .. } = message;
    Event::Malformed(MalformedPacket { group, sender, bytes: payload, error: format::Error::Unexpected })
}

/// A guard for the time in which this thread dispatches. When it is dropped, the descriptor signals if work remains.
pub(super) struct Dispatching<'o> {
    outbox: &'o Outbox,
    /// Messages of this member below this number have been given to the handler. They count as handled when the handler has
    /// returned or panicked. The queue is told at the next look, or at the end.
    pub(super) settled: Cell<u64>,
    /// True if work remains that libcpg's descriptor does not signal. Starts as true, because a handler that panics may leave
    /// some.
    more: Cell<bool>,
}

impl<'o> Dispatching<'o> {
    pub(super) fn begin(outbox: &'o Outbox) -> Self {
        outbox.begin_dispatch();
        Self { outbox, settled: Cell::new(0), more: Cell::new(true) }
    }

    pub(super) fn end(self, more: bool) {
        self.more.set(more);
    }
}

impl Drop for Dispatching<'_> {
    fn drop(&mut self) {
        self.outbox.end_dispatch(self.settled.get(), self.more.get());
    }
}
