//! The ring event that comes before a session's membership has begun.

use crate::event::ring::{OwnedRing, Ring};

/// The ring event that comes after a connect and before the first view of the membership. It waits for that view, because the
/// view is the first event of a membership, and is handed over right after it.
///
/// The daemon tells every connection about a new ring, even one that has not joined (`exec/cpg.c`,
/// `notify_lib_totem_membership`). If several rings come, the last one is the ring of the view. The others ended before the
/// membership began.
#[derive(Debug, Default)]
pub(super) struct EarlyRing {
    begun: bool,
    ring: Option<OwnedRing>,
}

impl EarlyRing {
    /// Begins anew for the next connection that has joined. The ring event of the previous connection is dropped.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Records that a view has come.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    /// True if the ring event came too early, and has been kept.
    #[inline]
    pub(super) fn keep(&mut self, ring: Ring<'_>) -> bool {
        if !self.begun {
            self.ring = Some(ring.into_owned());
        }
        !self.begun
    }

    /// Returns the ring event that has waited, once the first view has come.
    #[inline]
    pub(super) fn take(&mut self) -> Option<OwnedRing> {
        if self.begun { self.ring.take() } else { None }
    }

    /// True if [`take`](Self::take) will return a ring event.
    pub(super) fn is_due(&self) -> bool {
        self.begun && self.ring.is_some()
    }
}
