//! Where a group that reconnects is between two memberships.

use std::cell::Cell;
use std::os::fd::{AsFd as _, BorrowedFd};

use crate::cause::Cause;
use crate::dispatch::waker::Waker;
use crate::error::{Error, Result};
use crate::event::reconnect::Lost;
use crate::ffi::raw::Process;
use crate::group_name::GroupName;
use crate::handle::options::Connect;
use crate::session::reconnect::Reconnect;
use crate::session::rejoin::{Found, Search};

#[derive(Debug)]
pub(crate) struct Recovery {
    process: Process,
    how: Connect,
    policy: Reconnect,
    /// Rung when a search has ended.
    bell: Waker,
    state: State,
}

#[derive(Debug)]
enum State {
    /// In a membership.
    Here,
    /// On the way to the next one.
    Away {
        search: Search,
        /// What the handler has not been told.
        lost: Cell<Option<Lost>>,
    },
    /// No other membership follows.
    Over(Cause),
}

/// What there is to do for a group without a membership.
#[derive(Debug)]
pub(crate) enum Step {
    Tell(Lost),
    Take(Box<Result<Found>>),
    Fail(Error),
    Wait,
}

impl Recovery {
    pub(crate) fn new(process: Process, how: Connect, policy: Reconnect) -> Result<Self> {
        // Its contract is about the call of `open` that the program made.
        let how = Connect { more_handles: false, ..how };
        Ok(Self { process, how, policy, bell: Waker::new()?, state: State::Here })
    }

    pub(crate) fn bell(&self) -> &Waker {
        &self.bell
    }

    /// Whether another membership follows one that is lost, and if so, whether that gets what waits in a queue.
    pub(crate) fn follows(&self) -> Option<bool> {
        if matches!(self.state, State::Over(_)) { None } else { Some(self.policy.keep) }
    }

    /// Begins to look for the next membership; `close_old` closes what is left of the last one.
    pub(crate) fn start(
        &mut self,
        name: GroupName,
        lost: Lost,
        close_old: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let (bell, pauses) = (self.bell.clone(), self.policy.pauses);
        let search = Search::start(self.process, self.how, name, pauses, bell, close_old)?;
        self.state = State::Away { search, lost: Cell::new(Some(lost)) };
        Ok(())
    }

    /// What is to be done without a membership.
    pub(crate) fn step(&self) -> Step {
        match &self.state {
            State::Away { search, lost } => match lost.take() {
                Some(lost) => Step::Tell(lost),
                None => search.take().map_or(Step::Wait, |found| Step::Take(Box::new(found))),
            },
            State::Over(cause) => Step::Fail((*cause).into()),
            State::Here => Step::Wait,
        }
    }

    /// Whether the handler is to be told something.
    pub(crate) fn has_news(&self) -> bool {
        matches!(&self.state, State::Away { lost, .. } if { let news = lost.take(); lost.set(news); news.is_some() })
    }

    /// The next membership has begun.
    pub(crate) fn arrive(&mut self) {
        self.bell.take();
        self.state = State::Here;
    }

    /// No other membership follows.
    pub(crate) fn give_up(&mut self, cause: Cause) {
        self.bell.take();
        self.state = State::Over(cause);
    }

    /// What is readable when a search has ended.
    pub(crate) fn ready(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
