//! A turn that the threads of a process take one after the other, each waiting for it until a deadline.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::os::fork::Owner;

/// What one thread of a process does at a time.
///
/// A child that is forked meanwhile is another process, and need not wait for a thread that it does not have.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The process of the thread that has it.
    holder: Mutex<Option<Owner>>,
    given_back: Condvar,
}

/// The time for which a thread has the turn.
#[derive(Debug)]
pub(crate) struct InTurn<'t>(&'t Turn);

impl Turn {
    pub(crate) const fn new() -> Self {
        Self { holder: Mutex::new(None), given_back: Condvar::new() }
    }

    /// Held for a moment only, so that waiting for it needs no deadline.
    fn holder(&self) -> MutexGuard<'_, Option<Owner>> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn; `None` if the deadline passed first.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> Option<InTurn<'_>> {
        let mut holder = self.holder();
        while holder.is_some_and(|holder| holder.check().is_ok()) {
            holder = match deadline {
                None => self.given_back.wait(holder).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left =
                        deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
                    self.given_back.wait_timeout(holder, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        *holder = Some(Owner::this_process());
        Some(InTurn(self))
    }
}

impl Drop for InTurn<'_> {
    fn drop(&mut self) {
        *self.0.holder() = None;
        self.0.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_turn_is_waited_for_until_the_deadline_and_no_longer() {
        let turn = Turn::new();
        let first = turn.take(None).unwrap();
        assert!(turn.take(Some(Instant::now())).is_none());
        assert!(turn.take(Some(Instant::now() + Duration::from_millis(20))).is_none());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| turn.take(Some(Instant::now() + Duration::from_secs(60))).unwrap());
            }
            drop(first);
        });
        assert!(turn.take(Some(Instant::now())).is_some());
    }
}
