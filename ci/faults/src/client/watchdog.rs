//! The watchdog of a client. It detects a hang: a thread that should make progress, and does not while the process
//! runs.
//!
//! Time is counted in looks of a thread that only looks. A busy machine, or a stop of the process, delays this thread
//! as much as the others. The time during which the daemon is paused counts: each call has a time limit (B16).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The time between two looks.
pub const TICK: Duration = Duration::from_millis(100);

/// The longest time limit of a call: that of a request to which the clients give no deadline
/// ([`request_timeout`](cpg::ConnectOptions::request_timeout)), and that of a leave and of a wait for a ticket.
pub const LIMIT: Duration = Duration::from_secs(10);

/// The silence that counts as a hang. A send without a deadline waits for the next ring, which a busy machine can delay: with
/// a load of 55 on two processors, the daemons could not agree on one for 26 seconds.
pub const HANG: Duration = LIMIT.saturating_add(Duration::from_secs(50));

/// A silence. Each look adds no more than one [`TICK`] to it.
#[derive(Debug, Default)]
pub struct Silence {
    length: Duration,
    last: Option<Instant>,
}

impl Silence {
    /// Notes a further look, and returns the length of the silence.
    pub fn grows(&mut self) -> Duration {
        let now = Instant::now();
        let since = self.last.replace(now).map_or(Duration::ZERO, |last| now - last);
        self.length += since.min(TICK);
        self.length
    }
}

/// A thread or a task that reports its progress.
#[derive(Debug)]
pub struct Watch(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    name: &'static str,
    beats: AtomicU64,
    doing: Mutex<&'static str>,
    /// True if the thread waits for another one, which is watched.
    rests: AtomicBool,
}

impl Watch {
    /// Reports that the thread goes on, with this work.
    pub fn beat(&self, doing: &'static str) {
        *self.0.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing;
        self.0.rests.store(false, Ordering::Relaxed);
        self.0.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Reports that the thread waits for another one that is watched.
    pub fn rest(&self) {
        self.0.rests.store(true, Ordering::Relaxed);
    }
}

/// All watched threads and tasks of this process.
#[derive(Debug, Default)]
pub struct Watchdog {
    slots: Mutex<Vec<Weak<Slot>>>,
}

impl Watchdog {
    /// Adds a thread or a task.
    pub fn watch(&self, name: &'static str) -> Watch {
        let slot = Arc::new(Slot {
            name,
            beats: AtomicU64::new(0),
            doing: Mutex::new("begins"),
            rests: AtomicBool::new(false),
        });
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&slot));
        Watch(slot)
    }

    /// Looks until a thread has been silent for too long, and returns its name and its last work.
    pub fn run(&self, hang: Duration) -> String {
        let mut seen: Vec<(Weak<Slot>, u64, Silence)> = Vec::new();
        loop {
            std::thread::sleep(TICK);
            let news = std::mem::take(&mut *self.slots.lock().unwrap_or_else(PoisonError::into_inner));
            seen.extend(news.into_iter().map(|slot| (slot, 0, Silence::default())));
            seen.retain(|(slot, ..)| slot.strong_count() > 0);
            for (slot, beats, silence) in &mut seen {
                let Some(slot) = slot.upgrade() else { continue };
                let now = slot.beats.load(Ordering::Relaxed);
                if now != *beats || slot.rests.load(Ordering::Relaxed) {
                    (*beats, *silence) = (now, Silence::default());
                } else if silence.grows() >= hang {
                    let doing = *slot.doing.lock().unwrap_or_else(PoisonError::into_inner);
                    return format!("{} {doing}", slot.name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_counts_only_the_time_of_looks() {
        let mut silence = Silence::default();
        assert_eq!(silence.grows(), Duration::ZERO);
        silence.last = Instant::now().checked_sub(TICK * 20);
        assert_eq!(silence.grows(), TICK, "the looker was stopped for a while");
    }

    #[test]
    fn a_thread_without_progress_hangs_and_others_do_not() {
        let watchdog = Arc::new(Watchdog::default());
        let (goes_on, rests, hangs) =
            (watchdog.watch("one"), watchdog.watch("another"), watchdog.watch("this"));
        hangs.beat("waits");
        rests.rest();
        drop(watchdog.watch("who has ended"));
        let for_thread = Arc::clone(&watchdog);
        let looking = std::thread::spawn(move || for_thread.run(TICK * 3));
        while !looking.is_finished() {
            goes_on.beat("works");
            std::thread::sleep(TICK / 4);
        }
        assert_eq!(looking.join().unwrap(), "this waits");
    }
}
