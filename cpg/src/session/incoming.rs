//! The receiver's side of a session: the state of its membership, and events that do not come from libcpg.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use crate::dispatch::waker::Waker;
use crate::error::{Error, Result};
use crate::event::lost::Lost;
use crate::ffi::events::EventHalf;
use crate::ffi::options::ConnectOptions;
use crate::group::leave::OwnLeave;
use crate::member::Member;
use crate::os::fd;
use crate::session::early::EarlyRing;
use crate::session::reconnect::Reconnect;
use crate::session::rejoin::{Found, Rejoin};
use crate::session::shared::Shared;
use crate::session::unpack::Stash;

/// The state of a session. Only its receiver writes it.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) membership: Membership,
    pub(super) leave: OwnLeave,
    pub(super) stash: Stash,
    pub(super) early: EarlyRing,
    /// The means to find the next membership when this one is lost. `None` if no other membership follows.
    comeback: Option<Comeback>,
}

/// The membership of a session, or the state without one.
#[derive(Debug)]
pub(super) enum Membership {
    Here {
        events: EventHalf,
        me: Member,
        /// True if the membership follows another one and its first view has not come, so the handler does not know of it yet.
        back: bool,
    },
    /// Searching for the next membership.
    Away {
        rejoin: Rejoin,
        /// The event that the handler has not got yet. `None` if the membership was lost before its first view.
        untold: Option<Lost>,
    },
    /// No other membership follows.
    Over {
        error: Error,
        /// True if a dispatch has returned the error. Each later dispatch returns it again.
        told: bool,
        /// True if the search for the next membership has ended. Leaving then finds nothing to leave, which is no error.
        searched: bool,
    },
}

/// The means to find the next membership.
#[derive(Debug)]
pub(super) struct Comeback {
    pub(super) connect: ConnectOptions,
    pub(super) policy: Reconnect,
    /// A waker that is rung when a search has ended.
    pub(super) bell: Waker,
}

/// The thing that a leave ends.
#[derive(Debug)]
pub(crate) enum Leaving {
    /// A membership.
    Here,
    /// Only a search, or `None` if the search has ended. Dropping the search ends it. If the search has just joined, dropping it
    /// waits for the daemon for a moment ([B16](crate::facts#b16)).
    Away(Option<Rejoin>),
    /// Nothing, because of this error.
    Over(Error),
}

impl Incoming {
    pub(super) fn new(events: EventHalf, me: Member, comeback: Option<Comeback>) -> Self {
        Self {
            membership: Membership::Here { events, me, back: false },
            leave: OwnLeave::default(),
            stash: Stash::default(),
            early: EarlyRing::default(),
            comeback,
        }
    }

    /// True if something waits to be handled that libcpg's descriptor does not signal.
    pub(super) fn has_more(&self) -> bool {
        let news = match &self.membership {
            Membership::Here { .. } => false,
            Membership::Away { untold, .. } => untold.is_some(),
            Membership::Over { told, .. } => !told,
        };
        news || !self.stash.is_empty() || self.early.is_due()
    }

    /// Handles an error of a dispatch or a count. The membership may be lost, or over, or unchanged.
    #[cold]
    pub(super) fn failed(&mut self, shared: &Arc<Shared>, error: Error) -> Result<()> {
        if !error.is_final() {
            return Err(error);
        }
        if error.is_connection_lost() && self.comeback.is_some() {
            self.lose(shared, &error);
            return Ok(());
        }
        // The error is returned after the undelivered messages.
        self.give_up(shared, error);
        Ok(())
    }

    /// Ends the membership, and starts the search for the next one.
    #[cold]
    pub(super) fn lose(&mut self, shared: &Arc<Shared>, error: &Error) {
        let (Membership::Here { events, back, .. }, Some(comeback)) = (&self.membership, &self.comeback)
        else {
            // Without a membership to lose, the receiver would find this error of a sender again and again.
            return self.give_up(shared, error.clone());
        };
        shared.outbox().readiness().remove(events.as_fd());
        shared.outbox().lose(error);
        let untold = (!back).then(|| Lost { generation: shared.outbox().generation(), error: error.clone() });
        let seen = events.small();
        let (connect, pauses, bell) = (comeback.connect, comeback.policy.pauses, comeback.bell.clone());
        let none = Membership::Over { error: error.clone(), told: false, searched: true };
        let before = (std::mem::replace(&mut self.membership, none), shared.take());
        let close_old = move || drop(before);
        let rejoin = Rejoin::start(connect, shared.name().clone(), seen, pauses, bell, close_old);
        self.membership = Membership::Away { rejoin, untold };
    }

    /// Goes on with the result of the search.
    pub(super) fn enter(&mut self, shared: &Shared, found: Result<Found>) {
        let entered = found.and_then(|(daemon, events, me)| {
            shared.outbox().readiness().add(events.as_fd())?;
            shared.replace(daemon, me)?;
            Ok((events, me))
        });
        match entered {
            Ok((events, me)) => {
                self.membership = Membership::Here { events, me, back: true };
                self.early.reset();
                if let Some(comeback) = &self.comeback {
                    comeback.bell.take();
                }
            }
            Err(error) => self.give_up(shared, error),
        }
    }

    fn give_up(&mut self, shared: &Shared, error: Error) {
        self.comeback = None;
        shared.outbox().end(&error);
        let searched = !matches!(self.membership, Membership::Here { .. });
        self.membership = Membership::Over { error, told: false, searched };
    }

    /// Begins a leave. No other membership follows.
    pub(super) fn begin_leave(&mut self) -> Leaving {
        self.comeback = None;
        self.leave.begin();
        if let Membership::Here { .. } = self.membership {
            return Leaving::Here;
        }
        let over = Membership::Over { error: Error::Left, told: true, searched: true };
        match std::mem::replace(&mut self.membership, over) {
            Membership::Here { .. } => Leaving::Here,
            Membership::Away { rejoin, .. } => Leaving::Away(Some(rejoin)),
            Membership::Over { searched: true, .. } => Leaving::Away(None),
            Membership::Over { error, .. } => Leaving::Over(error),
        }
    }

    /// Waits until there may be something to handle, or until `waker` is readable. False if the deadline has passed.
    pub(super) fn wait(
        &self,
        shared: &Shared,
        deadline: Option<Instant>,
        waker: Option<BorrowedFd<'_>>,
    ) -> Result<bool> {
        let timer = shared.outbox().readiness().timer();
        let other = match &self.membership {
            Membership::Here { events, .. } => Some(events.as_fd()),
            Membership::Away { .. } | Membership::Over { .. } => {
                self.comeback.as_ref().map(|comeback| comeback.bell.as_fd())
            }
        };
        fd::wait_readable(deadline, [other, Some(timer), waker])
    }
}
