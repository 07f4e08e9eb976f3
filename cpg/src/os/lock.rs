//! A lock that a child of the process cannot take.

#[cfg(cpg_model)]
use shuttle::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;
#[cfg(not(cpg_model))]
use std::sync::{Mutex, MutexGuard};

use crate::error::Result;
use crate::os::fork::Owner;

/// A mutex for the process that made it. A child is refused, because its copy may be one that nobody unlocks
/// ([A7](crate::facts#a7)).
///
/// A panic of the thread that holds the mutex does not poison it: a panic in a handler ends one dispatch, and nothing else.
#[derive(Debug)]
pub(crate) struct Lock<T> {
    owner: Owner,
    mutex: Mutex<T>,
}

impl<T> Lock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { owner: Owner::this_process(), mutex: Mutex::new(value) }
    }

    /// Waits for the lock. Refuses a child of the process.
    #[inline]
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, T>> {
        self.owner.check()?;
        Ok(self.mutex.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
