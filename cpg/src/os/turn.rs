//! A turn that the threads of a process take one after the other, each waiting for it until a deadline.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::os::fork::Owner;

/// What one thread of a process does at a time, in the order in which they ask for it.
///
/// The order is kept, since a thread that asks again at once would come before those that have to wake up first, again and again.
#[derive(Debug)]
pub(crate) struct Turn {
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Debug)]
struct Line {
    /// The process of the threads in it. A child that is forked meanwhile has none of them.
    owner: Option<Owner>,
    /// The number of the thread that has the turn, and then of those that wait for it.
    threads: VecDeque<u64>,
    /// The number of the next thread that asks.
    next: u64,
}

/// The time for which a thread has the turn, after that for which it waits: it leaves the line when this goes.
#[derive(Debug)]
pub(crate) struct InTurn<'t> {
    turn: &'t Turn,
    number: u64,
}

impl Turn {
    pub(crate) const fn new() -> Self {
        let line = Line { owner: None, threads: VecDeque::new(), next: 0 };
        Self { line: Mutex::new(line), moved: Condvar::new() }
    }

    /// Held for a moment only, so that waiting for it needs no deadline.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn; `None` if the deadline passed first.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> Option<InTurn<'_>> {
        let mut line = self.line();
        let number = line.enter();
        let in_line = InTurn { turn: self, number };
        while line.threads.front() != Some(&number) {
            line = match deadline {
                None => self.moved.wait(line).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        // Leaving the line takes the lock.
                        drop(line);
                        return None;
                    }
                    self.moved.wait_timeout(line, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        Some(in_line)
    }
}

impl Line {
    /// Puts a thread at the end, and returns its number.
    fn enter(&mut self) -> u64 {
        if self.owner.is_none_or(|owner| owner.check().is_err()) {
            self.owner = Some(Owner::this_process());
            self.threads.clear();
        }
        let number = self.next;
        self.next += 1;
        self.threads.push_back(number);
        number
    }
}

impl Drop for InTurn<'_> {
    fn drop(&mut self) {
        self.turn.line().threads.retain(|&number| number != self.number);
        self.turn.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_turn_is_waited_for_until_the_deadline_and_no_longer() {
        let turn = Turn::new();
        let first = turn.take(None).unwrap();
        assert!(turn.take(Some(Instant::now())).is_none());
        assert!(turn.take(Some(Instant::now() + Duration::from_millis(20))).is_none());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| turn.take(Some(Instant::now() + Duration::from_secs(60))).unwrap());
            }
            drop(first);
        });
        assert!(turn.take(Some(Instant::now())).is_some());
    }

    #[test]
    fn a_thread_that_asks_again_at_once_comes_after_those_that_wait() {
        let (turn, order) = (Turn::new(), Mutex::new(Vec::new()));
        let wait_for_line = |length| {
            while turn.line().threads.len() < length {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            let first = turn.take(None).unwrap();
            for number in 0..4 {
                let (turn, order) = (&turn, &order);
                scope.spawn(move || {
                    let _in_turn = turn.take(None).unwrap();
                    order.lock().unwrap().push(number);
                });
                wait_for_line(2 + number);
            }
            drop(first);
            let _again = turn.take(None).unwrap();
            assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
        });
    }
}
