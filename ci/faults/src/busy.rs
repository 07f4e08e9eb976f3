//! A measure of how busy the machine is. It distinguishes a cluster that gets no processor time from one that does not
//! work.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// The work of a thread, and the time between two pieces of work.
const WORK: Duration = Duration::from_millis(2);
const PAUSE: Duration = Duration::from_millis(100);

/// The factor from which on the machine is too busy. If work takes so many times as long as on an idle machine, a
/// daemon does not get the time that it needs: the token must come round in half a second, or a node is declared dead.
const TOO_BUSY: f64 = 10.0;

/// A thread that computes a little again and again, and measures the time that this takes.
#[derive(Debug)]
pub struct Meter {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    ends: AtomicBool,
    /// The nanoseconds that the thread has computed, and those that passed meanwhile.
    computed: AtomicU64,
    passed: AtomicU64,
    mark: Mutex<(u64, u64)>,
}

impl Meter {
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            while !for_thread.ends.load(Ordering::Relaxed) {
                let (computed, passed) = compute();
                for_thread.computed.fetch_add(nanos(computed), Ordering::Relaxed);
                for_thread.passed.fetch_add(nanos(passed), Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
        });
        Self { shared }
    }

    /// Sets the mark: later questions are about the time from now on.
    pub fn mark(&self) {
        *self.shared.mark.lock().unwrap_or_else(PoisonError::into_inner) = self.now();
    }

    /// Returns the factor by which work has taken longer since the mark than on an idle machine.
    #[expect(clippy::cast_precision_loss, reason = "it is said roughly")]
    pub fn slowness(&self) -> f64 {
        let (computed, passed) = self.now();
        let mark = *self.shared.mark.lock().unwrap_or_else(PoisonError::into_inner);
        (passed - mark.1) as f64 / (computed - mark.0).max(1) as f64
    }

    /// Returns an excuse if the machine has been so busy since the mark that a failure of the cluster means nothing.
    pub fn excuse(&self) -> Option<String> {
        let slowness = self.slowness();
        (slowness > TOO_BUSY)
            .then(|| format!("the machine is too busy: work takes {slowness:.0} times as long as it should"))
    }

    fn now(&self) -> (u64, u64) {
        (self.shared.computed.load(Ordering::Relaxed), self.shared.passed.load(Ordering::Relaxed))
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
    }
}

/// Computes for a while. Returns the processor time and the elapsed time.
fn compute() -> (Duration, Duration) {
    let used = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(WORK, Duration::from);
    let (began, before) = (Instant::now(), used());
    let mut sum = 0_u64;
    while used().saturating_sub(before) < WORK && began.elapsed() < Duration::from_secs(5) {
        for number in 0..1000 {
            sum = black_box(sum.wrapping_mul(31).wrapping_add(number));
        }
    }
    (used().saturating_sub(before), began.elapsed())
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A deadline that counts looks of this thread instead of time, so that it comes later on a busy machine.
#[derive(Debug)]
pub struct Patience {
    left: Duration,
    pause: Duration,
}

impl Patience {
    /// Makes a deadline after this time, counted in looks with these pauses between them.
    pub fn new(length: Duration, pause: Duration) -> Self {
        Self { left: length, pause }
    }

    /// Waits for the next look. Returns false if the deadline has passed.
    pub fn wait(&mut self) -> bool {
        thread::sleep(self.pause);
        self.left = self.left.saturating_sub(self.pause);
        !self.left.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_has_a_processor_is_not_slow() {
        let (computed, passed) = compute();
        assert!(computed >= WORK && passed + Duration::from_millis(1) >= computed, "{computed:?} {passed:?}");
    }
}
