//! The ring that a session is told of before its membership has begun.

use crate::event::ring::{OwnedRing, Ring};

/// The ring that comes between a connect and the first view of the membership. It waits for that view, which is the first event
/// of a membership, and is handed over right after it.
///
/// The daemon tells every connection of a new ring, whether it has joined or not (`exec/cpg.c`, `notify_lib_totem_membership`). Of
/// several, the last one is the ring of the view; the others were over before the membership began.
#[derive(Debug, Default)]
pub(super) struct EarlyRing {
    begun: bool,
    ring: Option<OwnedRing>,
}

impl EarlyRing {
    /// A connection that has joined takes the place of the last one: nothing of that is told any more.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The first view has come, or a later one.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    /// True if a ring that comes now is to wait, and has been kept.
    #[inline]
    pub(super) fn keep(&mut self, ring: Ring<'_>) -> bool {
        if !self.begun {
            self.ring = Some(ring.into_owned());
        }
        !self.begun
    }

    /// The one that has waited for the first view, when that has come.
    #[inline]
    pub(super) fn take(&mut self) -> Option<OwnedRing> {
        if self.begun { self.ring.take() } else { None }
    }

    /// True if [`take`](Self::take) has one.
    pub(super) fn is_due(&self) -> bool {
        self.begun && self.ring.is_some()
    }
}
