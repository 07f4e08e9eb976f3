//! The messages that are sent, and their times.

use std::time::Duration;

use crate::clock::now;
use crate::task::Task;

/// The bit that marks the number of the last message.
pub const LAST: u64 = 1 << 63;

/// The length of number and time, with which each message begins.
pub const HEAD: usize = 16;

/// The number of small messages for which the clock is read once, as in C.
const CLOCK_EVERY: u64 = 64;

/// The messages, one after the other, in the same memory.
pub struct Messages {
    buffer: Vec<u8>,
    number: u64,
}

impl Messages {
    pub fn new(task: &Task) -> Self {
        Self { buffer: vec![0; task.size.max(HEAD)], number: 0 }
    }

    /// Returns the next message, with the time at which it is due and the mark of the last one.
    pub fn next(&mut self, due: u64, is_last: bool) -> &[u8] {
        let number = if is_last { self.number | LAST } else { self.number };
        self.number += 1;
        self.buffer[..8].copy_from_slice(&number.to_ne_bytes());
        self.buffer[8..HEAD].copy_from_slice(&due.to_ne_bytes());
        &self.buffer
    }
}

/// A flood: as many messages as there is time for.
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

    /// Counts one more message. Returns true if it is to be the last.
    pub fn is_last(&mut self) -> bool {
        self.sent += 1;
        self.sent % self.every == 0 && now() >= self.end
    }
}

/// A pace: so many messages per second, each at a separate time.
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
    /// Returns the time until the message is due, and `None` if it is due now.
    pub fn wait(&self) -> Option<Duration> {
        let left = self.time.saturating_sub(now());
        (left > 0).then(|| Duration::from_nanos(left))
    }
}

impl Pace {
    /// Starts now. From now on, waits of the calling thread end on time, and not up to 50 microseconds later.
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
