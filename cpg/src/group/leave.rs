//! Waiting for this member's own leave.

use std::cell::Cell;

use crate::event::view::View;
use crate::member::{Member, Reason};

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

    /// True if the program leaves, so that libcpg would lose what is sent without a word (B1).
    #[inline]
    pub(crate) fn has_begun(&self) -> bool {
        self.0.get() != Stage::Member
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.get() == Stage::Over
    }

    /// Keeps up with a view of this member.
    ///
    /// An earlier membership of this process that was given up can end within this one (B5): only what comes after the daemon
    /// was told counts.
    pub(crate) fn note(&self, view: &View<'_>) {
        let own = |member: &Member| *member == view.me && member.reason() == Reason::Leave;
        if self.0.get() == Stage::Told && view.left().iter().any(own) {
            self.0.set(Stage::Over);
        }
    }
}
