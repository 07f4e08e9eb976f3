//! Trying again what passes.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::os::patience::Patience;

/// Pauses between two tries, which grow from the first to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pauses {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Pauses {
    /// For requests while the daemon says that it is not yet time.
    pub(crate) const REQUEST: Self =
        Self { first: Duration::from_millis(1), longest: Duration::from_millis(50) };

    /// For a daemon that is not there: from the first of these to the second.
    pub(crate) const DAEMON: Self =
        Self { first: Duration::from_millis(20), longest: Duration::from_millis(500) };

    /// For sends that flow control refuses.
    pub(crate) const SEND: Self =
        Self { first: Duration::from_micros(100), longest: Duration::from_millis(10) };

    /// Returns the pause after `pause`.
    pub(crate) fn after(self, pause: Duration) -> Duration {
        pause.saturating_mul(2).min(self.longest)
    }
}

/// Retries `call` with pauses while its error is retryable, until the patience ends.
pub(crate) fn retry<T>(
    patience: &Patience<'_>,
    pauses: Pauses,
    call: impl FnMut() -> Result<T>,
) -> Result<T> {
    retry_if(patience, pauses, Error::is_retryable, call)
}

/// Retries `call` with pauses while its error passes, until the patience ends.
pub(crate) fn retry_if<T>(
    patience: &Patience<'_>,
    pauses: Pauses,
    may_pass: impl Fn(&Error) -> bool,
    mut call: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut pause = pauses.first;
    loop {
        match call() {
            Err(error) if may_pass(&error) && !patience.is_over() => {
                patience.pause(pause);
                pause = pauses.after(pause);
            }
            result => return result,
        }
    }
}
