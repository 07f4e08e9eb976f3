//! One dispatch of a group: libcpg's events, the rest of a packet, and what a queue hands back.

use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::cause::Cause;
use crate::delivery::{Delivery, Stash};
use crate::dispatch::Source;
use crate::error::Result;
use crate::event::Event;
use crate::link::Link;
use crate::raw::Events;
use crate::readiness::Readiness;
use crate::requests::Shared;
use crate::trampoline::{self, Pump};

/// What a group, or a receiving half, is made of.
pub(crate) struct Parts<'p> {
    pub(crate) link: &'p Link,
    pub(crate) events: &'p Events,
    pub(crate) stash: &'p mut Stash,
    /// Where there is no queue, which has its own.
    pub(crate) readiness: Option<&'p Readiness>,
}

/// Lets `work` take events and hand them to `handler`, while `more` says so of those handled. `check` runs before each event
/// of a full group (A8).
pub(crate) fn with<R>(
    Parts { link, events, stash, readiness }: Parts<'_>,
    handler: impl FnMut(&Link, Event<'_>),
    more: impl Fn(usize) -> bool,
    check: &dyn Fn() -> Result<()>,
    work: impl FnOnce(&dyn Source) -> Result<R>,
) -> Result<R> {
    events.own_process()?;
    let shared = link.requests().shared();
    let _scope = Scope::enter(shared);
    let delivery = RefCell::new(Delivery::new(link, handler, more, stash));
    let mut take = |event: Event<'_>| delivery.borrow_mut().event(event);
    let inbox = |pump: &Pump<'_>| {
        let result = work(&Inbox { pump, shared, readiness, delivery: &delivery });
        let rest = delivery.borrow().has_rest();
        match (shared, readiness) {
            (Some(shared), _) => shared.outbox().set_timer(rest),
            (None, Some(readiness)) => readiness.set(rest.then_some(Duration::ZERO)),
            (None, None) => {}
        }
        result
    };
    trampoline::with(events, link.me(), &mut take, check, inbox)
}

/// While it lasts, this thread is the one that dispatches.
struct Scope<'s>(Option<&'s Shared>);

impl<'s> Scope<'s> {
    fn enter(shared: Option<&'s Shared>) -> Self {
        if let Some(shared) = shared {
            shared.outbox().dispatching(true);
        }
        Self(shared)
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            shared.outbox().dispatching(false);
        }
    }
}

struct Inbox<'i, 'p, 'd, H, M> {
    pump: &'i Pump<'p>,
    shared: Option<&'i Shared>,
    readiness: Option<&'i Readiness>,
    delivery: &'i RefCell<Delivery<'d, H, M>>,
}

impl<H, M> Source for Inbox<'_, '_, '_, H, M>
where
    H: FnMut(&Link, Event<'_>),
    M: Fn(usize) -> bool,
{
    fn one(&self) -> Result<bool> {
        let mut delivery = self.delivery.borrow_mut();
        if delivery.has_rest() {
            delivery.rest();
            return Ok(true);
        }
        let Some(shared) = self.shared else {
            drop(delivery);
            // It was set for a rest that has been handled.
            if let Some(readiness) = self.readiness {
                readiness.set(None);
            }
            return self.pump.one();
        };
        let outbox = shared.outbox();
        outbox.retry(&|bytes| shared.send_now(bytes));
        if let Some(returned) = outbox.take_returned() {
            delivery.returned(returned);
            return Ok(true);
        }
        drop(delivery);
        let result = self.pump.one();
        if let Err(Some(cause)) = result.as_ref().map_err(Cause::of) {
            outbox.end(cause);
            if outbox.has_returned() {
                // The error comes again, after what it leaves undelivered.
                return Ok(true);
            }
        }
        result
    }

    fn events(&self) -> usize {
        self.delivery.borrow().handled()
    }

    fn wait(&self, deadline: Option<Instant>, waker: Option<BorrowedFd<'_>>) -> Result<bool> {
        let timer = match self.shared {
            Some(shared) => Some(shared.outbox().readiness()),
            None => self.readiness,
        };
        self.pump.from().wait_readable(deadline, [waker, timer.map(Readiness::timer)])
    }
}
