//! Retries of errors that are temporary.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::os::patience::Patience;

/// The pauses between attempts: the first pause, and the longest one. Each pause is twice as long as the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pauses {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Pauses {
    /// Pauses for requests that the daemon cannot answer yet.
    pub(crate) const REQUEST: Self =
        Self { first: Duration::from_millis(1), longest: Duration::from_millis(50) };

    /// Pauses for connecting to a daemon that is not running.
    pub(crate) const DAEMON: Self =
        Self { first: Duration::from_millis(20), longest: Duration::from_millis(500) };

    /// Pauses for sends that flow control refuses.
    pub(crate) const SEND: Self =
        Self { first: Duration::from_micros(100), longest: Duration::from_millis(10) };

    /// Returns the pause that follows `pause`.
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

/// Retries `call` with pauses while `may_pass` is true for its error, until the patience ends.
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
