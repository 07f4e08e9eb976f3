//! Leaving, and waiting for this member's own leave.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::event::view::View;
use crate::member::{Member, Reason};

/// The longest wait for events before a leave that flow control refused is tried again.
pub(crate) const RETRY: Duration = Duration::from_millis(10);

/// Tells the daemon of the leave by `tell`, and takes events by `dispatch`, one at a time and until a time, until that of the own
/// leave has been handled. `own` is how far it has come.
pub(crate) fn leave<M>(
    membership: &mut M,
    deadline: Instant,
    own: impl Fn(&M) -> &OwnLeave,
    tell: impl Fn(&M) -> Result<()>,
    mut dispatch: impl FnMut(&mut M, Instant) -> Result<usize>,
) -> Result<()> {
    while let Err(error) = tell(membership) {
        let now = Instant::now();
        if !error.is_retryable() || now >= deadline {
            return Err(error);
        }
        dispatch(membership, deadline.min(now + RETRY))?;
    }
    own(membership).told();
    while !own(membership).is_over() {
        let count = dispatch(membership, deadline)?;
        // Others may send without end, and what they send comes first.
        if count == 0 || (Instant::now() >= deadline && !own(membership).is_over()) {
            return Err(Error::TimedOut { waiting_for: "the own leave to be delivered" });
        }
    }
    Ok(())
}

/// How far the leave of a membership has come. Views are fed to it, by a group and by a session.
#[derive(Debug, Default)]
pub(crate) struct OwnLeave(Cell<Stage>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Member,
    /// The program has asked for it: nothing is sent any more.
    Begun,
    /// The daemon has been told.
    Told,
    /// The view without this member has been dispatched.
    Over,
}

impl OwnLeave {
    /// The program leaves.
    pub(crate) fn begin(&self) {
        self.0.set(Stage::Begun);
    }

    /// The daemon has taken the leave.
    pub(crate) fn told(&self) {
        self.0.set(Stage::Told);
    }

    /// True if the program leaves, so that libcpg would lose what is sent without a word ([B1](crate::facts#b1)).
    #[inline]
    pub(crate) fn has_begun(&self) -> bool {
        self.0.get() != Stage::Member
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.get() == Stage::Over
    }

    /// Keeps up with a view of this member.
    ///
    /// An earlier membership of this process that was given up can end within this one ([B5](crate::facts#b5)): only what comes
    /// after the daemon was told counts.
    pub(crate) fn note(&self, view: &View<'_>) {
        let own = |member: &Member| *member == view.me && member.reason() == Reason::Leave;
        if self.0.get() == Stage::Told && view.left().iter().any(own) {
            self.0.set(Stage::Over);
        }
    }
}
