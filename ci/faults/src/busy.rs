//! How busy the machine is, which tells a cluster that has no time from one that does not work.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// How much a thread computes, and how often.
const WORK: Duration = Duration::from_millis(2);
const PAUSE: Duration = Duration::from_millis(100);

/// Work that takes so many times as long as it should leaves no daemon the time that it needs: the token comes round in half a
/// second, or a node is taken for dead.
const TOO_BUSY: f64 = 10.0;

/// A thread that computes a little again and again, and knows how long that takes.
#[derive(Debug)]
pub struct Meter {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    ends: AtomicBool,
    /// Nanoseconds that it has computed, and those that passed meanwhile.
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

    /// What is asked from now on is of the time from now on.
    pub fn mark(&self) {
        *self.shared.mark.lock().unwrap_or_else(PoisonError::into_inner) = self.now();
    }

    /// How many times as long work has taken since the mark as on an idle machine.
    #[expect(clippy::cast_precision_loss, reason = "it is said roughly")]
    pub fn slowness(&self) -> f64 {
        let (computed, passed) = self.now();
        let mark = *self.shared.mark.lock().unwrap_or_else(PoisonError::into_inner);
        (passed - mark.1) as f64 / (computed - mark.0).max(1) as f64
    }

    /// Why nothing can be said of a cluster since the mark, if that is so.
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

/// Computes for a while, and returns for how long, and how long that took.
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

/// A deadline in time that this thread has had: on a busy machine it comes later.
#[derive(Debug)]
pub struct Patience {
    left: Duration,
    pause: Duration,
}

impl Patience {
    /// So long, in looks with such pauses between them.
    pub fn new(length: Duration, pause: Duration) -> Self {
        Self { left: length, pause }
    }

    /// Waits for the next look; false when there is to be none.
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
