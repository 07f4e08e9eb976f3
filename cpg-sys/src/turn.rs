//! A turn that the threads of a process take one after the other, with a deadline for the wait.

use std::collections::VecDeque;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A turn, for work that only one thread of a process may do at a time.
///
/// ```
/// use std::time::Instant;
/// use cpg_sys::Turn;
///
/// static LISTING: Turn = Turn::new();
///
/// let in_turn = LISTING.take(None).expect("a wait without a deadline ends with the turn");
/// assert!(LISTING.take(Some(Instant::now())).is_none());
/// drop(in_turn);
/// ```
///
/// Threads get the turn in the order in which they ask. Without this order a thread that asks again at once would overtake the
/// waiting threads, which have to wake up first, again and again. In a forked child nobody has the turn or waits for it: the threads
/// of the parent are not in the child.
#[derive(Debug)]
pub struct Turn {
    /// The line of this process, or of the process that it was forked from; null before the first thread has asked.
    line: AtomicPtr<Line>,
}

/// The threads of one process, in line for the turn.
#[derive(Debug)]
struct Line {
    process: u32,
    threads: Mutex<Threads>,
    moved: Condvar,
}

#[derive(Debug)]
struct Threads {
    /// The number of the thread that has the turn, then the numbers of the threads that wait.
    numbers: VecDeque<u64>,
    /// The number of the next thread that asks.
    next: u64,
}

/// The turn of a thread, or its place in line while it waits. The thread leaves the line when this value is dropped.
#[derive(Debug)]
pub struct InTurn<'t> {
    line: &'t Line,
    number: u64,
}

impl Turn {
    /// Makes a turn that nobody has.
    pub const fn new() -> Self {
        Self { line: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Waits for the turn, and takes it. Returns `None` if the deadline passes first.
    pub fn take(&self, deadline: Option<Instant>) -> Option<InTurn<'_>> {
        let line = self.line();
        let mut threads = line.threads();
        let number = threads.next;
        threads.next += 1;
        threads.numbers.push_back(number);
        let in_line = InTurn { line, number };
        while threads.numbers.front() != Some(&number) {
            threads = match deadline {
                None => line.moved.wait(threads).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        // Leaving the line takes the lock.
                        drop(threads);
                        return None;
                    }
                    line.moved.wait_timeout(threads, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        Some(in_line)
    }

    /// Returns the line of this process. Never locks the line of a parent, whose lock a thread may have held at the fork.
    fn line(&self) -> &Line {
        let process = std::process::id();
        let mut line = self.line.load(Ordering::Acquire);
        loop {
            // SAFETY: null, or a line of the exchange below, which lives as long as this.
            if let Some(line) = unsafe { line.as_ref() }.filter(|line| line.process == process) {
                return line;
            }
            let new = Box::into_raw(Box::new(Line::of(process)));
            // If several threads come at the same time, the line of the first is used.
            line = match self.line.compare_exchange(line, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => new,
                Err(other) => {
                    // SAFETY: it was made above, and nobody has seen it.
                    drop(unsafe { Box::from_raw(new) });
                    other
                }
            };
        }
    }
}

impl Default for Turn {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let line = *self.line.get_mut();
        if !line.is_null() {
            // SAFETY: it was made by `line`, and what borrows it borrows this.
            drop(unsafe { Box::from_raw(line) });
        }
    }
}

impl Line {
    fn of(process: u32) -> Self {
        let threads = Threads { numbers: VecDeque::new(), next: 0 };
        Self { process, threads: Mutex::new(threads), moved: Condvar::new() }
    }

    /// Locks the threads. The lock is held only for a moment, so waiting for it needs no deadline.
    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InTurn<'_> {
    fn drop(&mut self) {
        // A child that had the turn when it was forked has left the line of its parent.
        if self.line.process == std::process::id() {
            self.line.threads().numbers.retain(|&number| number != self.number);
            self.line.moved.notify_all();
        }
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
            while turn.line().threads().numbers.len() < length {
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

    #[test]
    #[cfg_attr(miri, ignore = "it forks")]
    fn a_child_begins_anew_though_a_thread_of_its_parent_has_the_turn_and_the_lock() {
        let turn = Turn::new();
        let in_turn = turn.take(None).unwrap();
        let held = turn.line().threads();
        crate::fork::in_a_child(|| {
            let until = Some(Instant::now() + Duration::from_secs(10));
            let taken = turn.take(until).is_some_and(|_taken| turn.take(Some(Instant::now())).is_none());
            taken && turn.take(until).is_some()
        });
        drop(held);
        drop(in_turn);
    }
}
