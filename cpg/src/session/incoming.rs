//! A session from the side that dispatches: where it is, and what it has to hand over that is not libcpg's.

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

/// The state of a session, which its receiver alone writes.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) membership: Membership,
    pub(super) leave: OwnLeave,
    pub(super) stash: Stash,
    pub(super) early: EarlyRing,
    /// How the next membership is found when this one is lost; none if no other one follows.
    comeback: Option<Comeback>,
}

/// Where a session is.
#[derive(Debug)]
pub(super) enum Membership {
    Here {
        events: EventHalf,
        me: Member,
        /// The membership follows another one, and its first view has not come: the handler has heard nothing of it.
        back: bool,
    },
    /// On the way to the next membership.
    Away {
        rejoin: Rejoin,
        /// The event that the handler has not got. One that is lost before its first view has none.
        untold: Option<Lost>,
    },
    /// No other membership follows.
    Over {
        error: Error,
        /// A dispatch has returned the error, as each further one will.
        told: bool,
        /// The membership was lost before, and the search for the next one has ended: leaving finds nothing to end, which is no
        /// error.
        searched: bool,
    },
}

/// How a session comes back.
#[derive(Debug)]
pub(super) struct Comeback {
    pub(super) connect: ConnectOptions,
    pub(super) policy: Reconnect,
    /// Rung when a search has ended.
    pub(super) bell: Waker,
}

/// What there is to leave.
#[derive(Debug)]
pub(crate) enum Leaving {
    /// A membership.
    Here,
    /// Nothing but a search, if it has not ended. Dropping it ends it, and waits for the daemon for a moment if it has found
    /// something ([B16](crate::facts#b16)).
    Away(Option<Rejoin>),
    /// Nothing, for this reason.
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

    /// True if there is something to handle that libcpg's descriptor does not tell of.
    pub(super) fn has_more(&self) -> bool {
        let news = match &self.membership {
            Membership::Here { .. } => false,
            Membership::Away { untold, .. } => untold.is_some(),
            Membership::Over { told, .. } => !told,
        };
        news || !self.stash.is_empty() || self.early.is_due()
    }

    /// An error that a dispatch or a count has met: the membership is lost, over, or neither.
    #[cold]
    pub(super) fn failed(&mut self, shared: &Arc<Shared>, error: Error) -> Result<()> {
        if !error.is_final() {
            return Err(error);
        }
        if error.is_connection_lost() && self.comeback.is_some() {
            self.lose(shared, &error);
            return Ok(());
        }
        // It is returned after what it leaves undelivered.
        self.give_up(shared, error);
        Ok(())
    }

    /// The membership has ended, and the next one is sought.
    #[cold]
    pub(super) fn lose(&mut self, shared: &Arc<Shared>, error: &Error) {
        let (Membership::Here { events, back, .. }, Some(comeback)) = (&self.membership, &self.comeback)
        else {
            // A sender that meets an error where there is no membership must not be met again and again.
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

    /// The search has ended.
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

    /// The session is left: no other membership follows.
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

    /// Waits until there may be something to handle, or `waker` is readable; false when the deadline passed.
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
