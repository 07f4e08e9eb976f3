//! The time for which a call goes on.

use std::fmt;
use std::time::{Duration, Instant};

/// The time between two looks whether the result is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// The time for a single attempt whose deadline had passed when it began. A healthy daemon answers in less.
const ATTEMPT: Duration = Duration::from_millis(250);

/// The time for which a call goes on: until a deadline, and while its result is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'p> {
    deadline: Option<Instant>,
    wanted: Option<&'p (dyn Fn() -> bool + Sync)>,
}

impl fmt::Debug for Patience<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl From<Instant> for Patience<'_> {
    fn from(deadline: Instant) -> Self {
        Self { deadline: Some(deadline), wanted: None }
    }
}

impl<'p> Patience<'p> {
    /// Never ends.
    pub(crate) const FOREVER: Self = Self { deadline: None, wanted: None };

    /// Ends after this time. Never ends if the clock cannot represent that moment.
    pub(crate) fn lasting(time: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(time), wanted: None }
    }

    /// Also ends when the result is no longer wanted.
    pub(crate) fn while_wanted(self, wanted: &'p (dyn Fn() -> bool + Sync)) -> Self {
        Self { wanted: Some(wanted), ..self }
    }

    /// Also ends after this time from now.
    pub(crate) fn at_most(self, time: Duration) -> Self {
        let other = Instant::now().checked_add(time);
        let deadline = match (self.deadline, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self { deadline, ..self }
    }

    /// Returns the patience of one attempt that begins now. If the deadline has passed, the attempt still has a moment.
    pub(crate) fn attempt(&self) -> Self {
        let now = Instant::now();
        let passed = self.deadline.is_some_and(|deadline| deadline <= now);
        if passed { Self { deadline: Some(now + ATTEMPT), ..*self } } else { *self }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// True if the patience has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Returns the time that is left. It is zero if the result is no longer wanted.
    pub(crate) fn left(&self) -> Duration {
        if self.wanted.is_some_and(|wanted| !wanted()) {
            return Duration::ZERO;
        }
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Returns the time at which a wait must ask [`is_over`](Self::is_over) again. `None` if there is no need to ask.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        match self.wanted {
            None => self.deadline,
            Some(_) => self.at_most(LOOK).deadline,
        }
    }

    /// Waits for this time, but not beyond the end.
    pub(crate) fn pause(&self, pause: Duration) {
        std::thread::sleep(pause.min(self.left()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn patience_ends_at_the_deadline_and_when_the_result_is_not_wanted() {
        assert!(!Patience::FOREVER.is_over());
        let passed = Patience::from(Instant::now());
        assert!(passed.is_over() && !passed.attempt().is_over());
        assert!(!Patience::lasting(Duration::MAX).is_over());
        let wanted = AtomicBool::new(true);
        let wants = || wanted.load(Ordering::Relaxed);
        let patience = Patience::lasting(Duration::from_secs(60)).while_wanted(&wants);
        assert!(!patience.is_over() && patience.at_most(Duration::ZERO).is_over());
        assert!(patience.next_look() < patience.deadline());
        wanted.store(false, Ordering::Relaxed);
        assert!(patience.is_over());
    }
}
