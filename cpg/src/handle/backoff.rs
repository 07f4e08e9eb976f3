//! Trying again what passes.

use std::time::{Duration, Instant};

use crate::error::Result;

/// How long joining and leaving wait where no deadline is given: longer than a ring takes to form with corosync's default
/// timeouts.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

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

    /// For sends that flow control refuses.
    pub(crate) const SEND: Self =
        Self { first: Duration::from_micros(100), longest: Duration::from_millis(10) };

    /// Returns the pause after `pause`.
    pub(crate) fn after(self, pause: Duration) -> Duration {
        pause.saturating_mul(2).min(self.longest)
    }
}

/// Retries `call` with pauses while its error is retryable, until the deadline.
pub(crate) fn retry<T>(deadline: Instant, pauses: Pauses, mut call: impl FnMut() -> Result<T>) -> Result<T> {
    let mut pause = pauses.first;
    loop {
        match call() {
            Err(error) if error.is_retryable() => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(error);
                }
                std::thread::sleep(pause.min(left));
                pause = pauses.after(pause);
            }
            result => return result,
        }
    }
}
