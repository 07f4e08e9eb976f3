//! Stand-ins for the locks and threads of the standard library in the model (`ci/model`). They are shuttle's, which chooses at
//! each step of a lock which thread goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LockResult, PoisonError};
use std::time::Duration;

use shuttle::sync::MutexGuard;
use shuttle::thread::{spawn, yield_now};

/// The limit between waits that time out in the model and waits that do not. Nothing in the model takes as long as a second, so
/// a longer wait whose thread is never woken is found.
const LONG: Duration = Duration::from_secs(1);

/// Lets other threads go on for a moment.
pub(crate) fn pass() {
    yield_now();
}

/// Lets other threads go on instead of waiting in the kernel, where all threads of the model would wait. Returns the time for
/// the kernel to wait: none.
pub(crate) fn instead_of(_timeout: libc::c_int) -> libc::c_int {
    pass();
    0
}

/// A condition variable with those methods of the standard library's that this crate uses.
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
