//! Leaving, and waiting until this member's leave has been delivered.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::event::view::View;
use crate::member::{Member, Reason};

/// The longest wait for events before a leave is tried again that flow control refused.
pub(crate) const RETRY: Duration = Duration::from_millis(10);

/// Tells the daemon of the leave with `tell`. Then takes events with `dispatch`, one at a time and until a deadline, until this
/// member's leave has been handled. `own` returns the progress of the leave.
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
        // Other members may send without end, and their messages come before the leave.
        if count == 0 || (Instant::now() >= deadline && !own(membership).is_over()) {
            return Err(Error::TimedOut { waiting_for: "this member's leave to be delivered" });
        }
    }
    Ok(())
}

/// The progress of this member's leave. The group or session reports each view to it.
#[derive(Debug, Default)]
pub(crate) struct OwnLeave(Cell<Stage>);

/// The stages of a leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Member,
    /// The program has asked to leave: this member sends nothing any more.
    Begun,
    /// The daemon has been told.
    Told,
    /// The view without this member has been dispatched.
    Over,
}

impl OwnLeave {
    /// Notes that the program wants to leave.
    pub(crate) fn begin(&self) {
        self.0.set(Stage::Begun);
    }

    /// Notes that the daemon has accepted the leave.
    pub(crate) fn told(&self) {
        self.0.set(Stage::Told);
    }

    /// True once the program wants to leave: from then on libcpg loses messages without an error ([B1](crate::facts#b1)).
    #[inline]
    pub(crate) fn has_begun(&self) -> bool {
        self.0.get() != Stage::Member
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.get() == Stage::Over
    }

    /// Notes a view, which may show this member's leave.
    ///
    /// An earlier membership of this process that was given up can end during this one ([B5](crate::facts#b5)). So only leaves
    /// after the daemon was told of this one count.
    pub(crate) fn note(&self, view: &View<'_>) {
        let own = |member: &Member| *member == view.me && member.reason() == Reason::Leave;
        if self.0.get() == Stage::Told && view.left().iter().any(own) {
            self.0.set(Stage::Over);
        }
    }
}
