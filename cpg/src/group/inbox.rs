//! A membership from the side that dispatches: libcpg's events, the rest of a packet, what a queue hands back, and the way to
//! the next membership.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd};

use crate::cause::Cause;
use crate::dispatch::limits::Work;
use crate::dispatch::source::{Change, Source, Turn};
#[cfg(feature = "tokio")]
use crate::error::Error;
use crate::error::Result;
use crate::event::event::Event;
use crate::event::reconnect::Lost;
use crate::ffi::raw::{Events, Process};
use crate::ffi::trampoline;
use crate::group::link::Link;
use crate::group_name::GroupName;
use crate::handle::handle::Handle;
use crate::member::Member;
use crate::os::readiness::Readiness;
use crate::session::delivery::{Delivery, Handler, Stash};
use crate::session::recovery::Recovery;
use crate::session::rejoin::Found;
use crate::session::requests::Shared;

#[derive(Debug)]
pub(crate) struct Inbox {
    process: Process,
    link: Link,
    /// None while there is no membership.
    events: Option<Events>,
    stash: Stash,
    /// Where something can be left to handle that the handle's descriptor does not tell of; a queue has its own.
    readiness: Option<Readiness>,
    recovery: Option<Recovery>,
    /// An error that comes after the messages that it has handed back.
    put_off: Cell<Option<Cause>>,
}

impl Inbox {
    /// `handle` has joined, and is the member `me`.
    pub(crate) fn new(handle: Handle, name: GroupName, me: Member) -> Result<Self> {
        let (process, how, events) =
            (handle.connection().process(), handle.how(), handle.connection().events());
        let recovery = how.reconnect.map(|policy| Recovery::new(process, how, policy)).transpose()?;
        let bell = recovery.as_ref().map(Recovery::bell);
        let needed = how.flow.coalesce || recovery.is_some();
        let readiness = needed.then(|| Readiness::new(Some(&events), bell)).transpose()?;
        let (link, events) = (Link::new(handle, name, me), Some(events));
        let (stash, put_off) = (Stash::default(), Cell::new(None));
        Ok(Self { process, link, events, stash, readiness, recovery, put_off })
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// The same membership, with a queue and requests that several threads can make.
    pub(crate) fn share(self) -> Result<(Self, Shared)> {
        let readiness = self.readiness.map_or_else(|| Readiness::new(self.events.as_ref(), None), Ok)?;
        let comeback = self.recovery.as_ref().and_then(Recovery::follows);
        let (link, shared) = self.link.share(self.process, comeback, readiness);
        Ok((Self { link, readiness: None, ..self }, shared))
    }

    /// The same where nothing may wait for the daemon, if it is shared.
    #[cfg(feature = "tokio")]
    pub(crate) fn soon(self) -> Self {
        Self { link: self.link.soon(), ..self }
    }

    /// Refuses what belongs to the parent of this process.
    pub(crate) fn own_process(&self) -> Result<()> {
        self.process.check()
    }

    /// What takes events now, if there is a membership.
    #[cfg(feature = "tokio")]
    pub(crate) fn events(&self) -> Option<&Events> {
        self.events.as_ref()
    }

    /// Whether the error of a request says that the membership has ended, and another one follows: the next dispatch begins
    /// with that, and takes nothing more of libcpg's.
    #[cfg(feature = "tokio")]
    pub(crate) fn loses_by(&self, error: &Error) -> bool {
        let follows = self.recovery.as_ref().and_then(Recovery::follows).is_some();
        match (Cause::of(error), self.link.requests().shared()) {
            (Some(cause), Some(shared)) if follows && cause.is_connection_lost() => {
                shared.outbox().meet(cause);
                true
            }
            _ => false,
        }
    }

    fn readiness(&self) -> Option<&Readiness> {
        self.link.requests().shared().map(|shared| shared.outbox().readiness()).or(self.readiness.as_ref())
    }

    /// Does `work`, which takes events, and hands those to `handler`. With `counting`, members are counted before each event of a
    /// full group (A8).
    #[inline]
    pub(crate) fn pump<W: Work>(
        &mut self,
        counting: bool,
        handler: &mut impl FnMut(&Link, Event<'_>),
        work: &W,
    ) -> Result<W::Output> {
        match &self.events {
            Some(events) if self.link.requests().shared().is_none() && self.readiness.is_none() => {
                Self::pump_plain(&self.link, events, counting, handler, work)
            }
            _ => self.pump_all(counting, handler, work),
        }
    }

    /// The same where nothing but libcpg's events can come, and none in packets: without what only other groups need, and
    /// compiled once for all handlers.
    fn pump_plain<W: Work>(
        link: &Link,
        events: &Events,
        counting: bool,
        handler: &mut Handler<'_>,
        work: &W,
    ) -> Result<W::Output> {
        let (count, handler) = (Cell::new(0), RefCell::new(handler));
        let take = |event: Event<'_>| {
            let mut handler = handler.borrow_mut();
            count.set(count.get() + 1);
            link.notice(&event);
            handler(link, event);
        };
        let check = || if counting { link.check_size(events) } else { Ok(()) };
        trampoline::with(events, link.me(), &take, &check, |pump| work.run(&Source::plain(pump, &count)))
    }

    /// The same in any group. It begins anew, with what was handled kept in mind, when one membership follows another.
    fn pump_all<W: Work>(
        &mut self,
        counting: bool,
        handler: &mut impl FnMut(&Link, Event<'_>),
        work: &W,
    ) -> Result<W::Output> {
        self.process.check()?;
        let (count, change) = (Cell::new(0), Cell::new(None));
        loop {
            let Self { link, events, stash, readiness, recovery, put_off, .. } = &mut *self;
            let sink = &RefCell::new(Delivery::new(link, handler, work, stash, &count));
            let (readiness, recovery) = (readiness.as_ref(), recovery.as_ref());
            let turn = Turn { link, readiness, recovery, sink, change: &change, put_off };
            let result = turn.run(events.as_ref(), counting, &count, work);
            match change.take() {
                None => return result,
                Some(Change::Lost(cause)) => self.lose(cause)?,
                Some(Change::Found(found)) => self.find(*found)?,
            }
        }
    }

    /// The membership has ended, and the next one is sought.
    fn lose(&mut self, cause: Cause) -> Result<()> {
        if let (Some(readiness), Some(events)) = (self.readiness(), &self.events) {
            readiness.remove(events);
        }
        if let Some(shared) = self.link.requests().shared() {
            shared.outbox().lose(cause);
        }
        let (name, lost) = (self.link.name().clone(), Lost { generation: self.link.generation(), cause });
        let (events, close) = (self.events.take(), self.link.lose());
        let close_old = move || {
            drop(events);
            close();
        };
        let started = self.recovery.as_mut().map_or(Ok(()), |recovery| recovery.start(name, lost, close_old));
        if started.is_err() {
            self.give_up(cause);
        }
        started
    }

    /// The search has ended.
    fn find(&mut self, found: Result<Found>) -> Result<()> {
        let error = match found.and_then(|(handle, me)| self.enter(handle, me)) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let cause = Cause::of(&error);
        self.give_up(cause.unwrap_or(Cause::Left));
        // It comes again, after what it leaves undelivered.
        if cause.is_some() { Ok(()) } else { Err(error) }
    }

    fn enter(&mut self, handle: Handle, me: Member) -> Result<()> {
        let events = handle.connection().events();
        if let Some(readiness) = self.readiness() {
            readiness.add(&events)?;
        }
        self.link.come_back(handle, me)?;
        self.events = Some(events);
        if let Some(recovery) = &mut self.recovery {
            recovery.arrive();
        }
        Ok(())
    }

    fn give_up(&mut self, cause: Cause) {
        if let Some(recovery) = &mut self.recovery {
            recovery.give_up(cause);
        }
        if let Some(shared) = self.link.requests().shared() {
            shared.outbox().end(cause);
        }
    }

    /// The group is left: no other membership follows. Says whether there is one now, and gives the search for the next one, if
    /// there is one: dropping it ends it, and waits for the daemon if it has found something (B16).
    pub(crate) fn leaving(&mut self) -> (bool, Option<Recovery>) {
        self.link.leaving();
        (self.events.is_some(), self.recovery.take())
    }

    /// Closes the handle, if there is one.
    pub(crate) fn close(self) -> Result<()> {
        drop(self.events);
        self.link.into_requests().into_handle().map_or(Ok(()), Handle::close)
    }
}

/// What an event loop waits for.
impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let readiness = self.readiness().map(Readiness::as_fd);
        readiness
            .or(self.events.as_ref().map(Events::as_fd))
            .expect("a group that loses its handle has another one")
    }
}
