//! Stand-ins for the locks and threads of the standard library in the model (`ci/model`): those of shuttle, which chooses at each
//! of their steps who goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LockResult, PoisonError};
use std::time::Duration;

use shuttle::sync::MutexGuard;
use shuttle::thread::{spawn, yield_now};

/// Waits of less than this pass. Longer ones do not: nothing in the model takes so long, and who is not woken then is found.
const LONG: Duration = Duration::from_secs(1);

/// Lets others go on for a moment.
pub(crate) fn pass() {
    yield_now();
}

/// Lets others go on instead of a wait in the kernel, which would be that of all; returns the time for the kernel: none.
pub(crate) fn instead_of(_timeout: libc::c_int) -> libc::c_int {
    pass();
    0
}

/// As that of the standard library, as far as it is used.
#[derive(Debug, Default)]
pub(crate) struct Condvar(Arc<shuttle::sync::Condvar>);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait<'s, T>(&self, guard: MutexGuard<'s, T>) -> LockResult<MutexGuard<'s, T>> {
        self.0.wait(guard)
    }

    pub(crate) fn wait_timeout<'s, T>(
        &self,
        guard: MutexGuard<'s, T>,
        time: Duration,
    ) -> LockResult<(MutexGuard<'s, T>, bool)> {
        let clock = (time < LONG).then(|| {
            let (condvar, over) = (Arc::clone(&self.0), Arc::new(AtomicBool::new(false)));
            let is_over = Arc::clone(&over);
            spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    condvar.notify_all();
                    pass();
                }
            });
            over
        });
        let guard = self.0.wait(guard).unwrap_or_else(PoisonError::into_inner);
        if let Some(over) = clock {
            over.store(true, Ordering::SeqCst);
        }
        Ok((guard, time < LONG))
    }

    pub(crate) fn wait_timeout_while<'s, T>(
        &self,
        mut guard: MutexGuard<'s, T>,
        time: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'s, T>, bool)> {
        while condition(&mut guard) {
            let passed;
            (guard, passed) = self.wait_timeout(guard, time)?;
            if passed {
                return Ok((guard, true));
            }
        }
        Ok((guard, false))
    }
}
