//! The messages that are sent, and when.

use std::time::Duration;

use crate::clock::now;
use crate::task::Task;

/// Marks the number of the last message.
pub const LAST: u64 = 1 << 63;

/// Bytes of number and time that each message begins with.
pub const HEAD: usize = 16;

/// The clock is read once in so many small messages, as in C.
const CLOCK_EVERY: u64 = 64;

/// One message after the other, in the same memory.
pub struct Messages {
    buffer: Vec<u8>,
    number: u64,
}

impl Messages {
    pub fn new(task: &Task) -> Self {
        Self { buffer: vec![0; task.size.max(HEAD)], number: 0 }
    }

    /// The next message: due at `due`, and perhaps the last one.
    pub fn next(&mut self, due: u64, is_last: bool) -> &[u8] {
        let number = if is_last { self.number | LAST } else { self.number };
        self.number += 1;
        self.buffer[..8].copy_from_slice(&number.to_ne_bytes());
        self.buffer[8..HEAD].copy_from_slice(&due.to_ne_bytes());
        &self.buffer
    }
}

/// As many messages as there is time for.
pub struct Flood {
    end: u64,
    every: u64,
    sent: u64,
}

impl Flood {
    pub fn start(task: &Task) -> Self {
        let every = if task.size < 4096 { CLOCK_EVERY } else { 1 };
        Self { end: now() + task.duration.as_nanos() as u64, every, sent: 0 }
    }

    /// Counts one more message; true if it is to be the last one.
    pub fn is_last(&mut self) -> bool {
        self.sent += 1;
        self.sent % self.every == 0 && now() >= self.end
    }
}

/// So many messages a second, each with a time of its own.
pub struct Pace {
    begin: u64,
    period: f64,
    next: u64,
    count: u64,
}

/// A message of a [`Pace`].
pub struct Due {
    pub time: u64,
    pub is_last: bool,
}

impl Due {
    /// The time until then; `None` when it has come.
    pub fn wait(&self) -> Option<Duration> {
        let left = self.time.saturating_sub(now());
        (left > 0).then(|| Duration::from_nanos(left))
    }
}

impl Pace {
    /// Starts now. The waits of the calling thread end when they are over from now on, not up to 50 microseconds later.
    pub fn start(task: &Task) -> crate::Result<Self> {
        nix::sys::prctl::set_timerslack(1)?;
        let count = (task.duration.as_secs_f64() * task.rate) as u64;
        Ok(Self { begin: now(), period: 1e9 / task.rate, next: 0, count })
    }
}

impl Iterator for Pace {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        let number = self.next;
        self.next += 1;
        let time = self.begin + (number as f64 * self.period) as u64;
        (number <= self.count).then_some(Due { time, is_last: number == self.count })
    }
}
