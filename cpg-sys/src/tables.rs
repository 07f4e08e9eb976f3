//! The lock on libcpg's tables of handles and iterations, and the number of entries in them.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Instant;

use crate::turn::{InTurn, Turn};

/// The lock of this process on libcpg's tables, with the number of entries that the process has in use.
///
/// libqb's tables are not thread-safe: `cpg_initialize`, `cpg_model_initialize`, `cpg_finalize`,
/// `cpg_iteration_initialize` and `cpg_iteration_finalize` of *different* handles must not run at once in one process.
/// Two threads that connect can otherwise get the same entry, or each other's context (`hdb.c`). Each table has room for
/// 48 entries and moves as the 48th is taken, while other threads read it without a lock (`array.c`).
///
/// All code in a program that makes handles must share this lock. So it is in this crate, which a program can have only once
/// (because of [`links`](https://doc.rust-lang.org/cargo/reference/build-scripts.html#the-links-manifest-key)). Hold the lock for
/// one such call, and count the entries that the call has made or ended:
///
/// ```no_run
/// use cpg_sys::{CS_OK, Tables};
///
/// let mut handle = 0;
/// let mut tables = Tables::lock(None).expect("a wait without a deadline ends with the lock");
/// assert!(tables.handles() < Tables::CAPACITY);
/// // SAFETY: libcpg copies the callbacks, and the lock is held.
/// let error = unsafe {
///     let mut callbacks = cpg_sys::cpg_callbacks_t { cpg_deliver_fn: None, cpg_confchg_fn: None };
///     cpg_sys::cpg_initialize(&raw mut handle, &raw mut callbacks)
/// };
/// if error == CS_OK {
///     // SAFETY: one handle was made.
///     unsafe { tables.count(1, 0) };
/// }
/// ```
///
/// Threads get the lock in the order in which they ask. A child that is forked while another thread holds the lock gets
/// [`LockError::Forked`]: that thread may have been in the middle of a change of the tables, and the child has a copy of them.
#[derive(Debug)]
pub struct Tables(());

/// The lock on the [`Tables`], which no other thread has until this value is dropped.
#[derive(Debug)]
pub struct TablesGuard {
    _in_turn: InTurn<'static>,
}

/// The reason why the [lock](Tables::lock) was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockError {
    /// The deadline passed before the lock was free.
    TimedOut,
    /// This process was forked while a thread of its parent held the lock. That thread does not exist in this process, so the lock
    /// is never given back. The tables may be half-changed: libcpg cannot be used before the process has called `exec`.
    Forked {
        /// The parent, to which that thread belongs.
        parent: u32,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => {
                f.write_str("the deadline passed while waiting for the lock on libcpg's tables")
            }
            Self::Forked { parent } => write!(
                f,
                "a thread of process {parent} held the lock on libcpg's tables when this process was forked from it"
            ),
        }
    }
}

impl std::error::Error for LockError {}

static TURN: Turn = Turn::new();
static HANDLES: AtomicUsize = AtomicUsize::new(0);
static ITERATIONS: AtomicUsize = AtomicUsize::new(0);

/// The process of the thread that has the lock; 0 if no thread has it.
static HOLDER: AtomicU32 = AtomicU32::new(0);

impl Tables {
    /// The number of entries that each table can hold without moving. It moves when the 48th entry is taken.
    pub const CAPACITY: usize = 47;

    /// Waits for the lock, and takes it.
    ///
    /// The wait can be long: the thread that has the lock may be waiting for the daemon, for example in a connect to a paused daemon.
    ///
    /// # Errors
    /// [`LockError`] if the deadline passes first, or if another thread held the lock when this process was forked.
    pub fn lock(deadline: Option<Instant>) -> Result<TablesGuard, LockError> {
        let in_turn = TURN.take(deadline).ok_or(LockError::TimedOut)?;
        let process = std::process::id();
        // The last holder of this process has set it to 0.
        match HOLDER.compare_exchange(0, process, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Ok(TablesGuard { _in_turn: in_turn }),
            Err(parent) => Err(LockError::Forked { parent }),
        }
    }
}

impl TablesGuard {
    /// Returns the number of open handles.
    pub fn handles(&self) -> usize {
        HANDLES.load(Ordering::Relaxed)
    }

    /// Returns the number of open iterations. It includes those that the daemon has refused, because libcpg keeps their entries.
    pub fn iterations(&self) -> usize {
        ITERATIONS.load(Ordering::Relaxed)
    }

    /// Counts the handles and iterations that were made under this lock. Negative numbers count those that were ended.
    ///
    /// # Safety
    /// The numbers must be those of the calls that were made: other code relies on them to keep the tables from moving.
    pub unsafe fn count(&mut self, handles: isize, iterations: isize) {
        HANDLES.store(self.handles().saturating_add_signed(handles), Ordering::Relaxed);
        ITERATIONS.store(self.iterations().saturating_add_signed(iterations), Ordering::Relaxed);
    }
}

impl Drop for TablesGuard {
    fn drop(&mut self) {
        // The turn is given back after this.
        HOLDER.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_lock_is_waited_for_until_the_deadline_and_no_longer() {
        let mut tables = Tables::lock(None).unwrap();
        // SAFETY: nothing here uses libcpg.
        unsafe { tables.count(0, 1) };
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(Tables::lock(Some(Instant::now())).unwrap_err(), LockError::TimedOut);
                assert!(Tables::lock(Some(Instant::now() + Duration::from_millis(20))).is_err());
            });
        });
        let others: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(|| {
                    let mut tables = Tables::lock(Some(Instant::now() + Duration::from_secs(60))).unwrap();
                    // SAFETY: nothing here uses libcpg.
                    unsafe { tables.count(0, 1) };
                })
            })
            .collect();
        drop(tables);
        for other in others {
            other.join().unwrap();
        }
        let mut tables = Tables::lock(None).unwrap();
        assert_eq!((tables.handles(), tables.iterations()), (0, 5), "what each holder has counted");
        // SAFETY: nothing here uses libcpg.
        unsafe { tables.count(0, -5) };
    }

    #[test]
    #[cfg_attr(miri, ignore = "it forks")]
    fn a_child_is_told_that_another_thread_held_the_lock_and_may_take_one_that_it_held_itself() {
        let (parent, tables) = (std::process::id(), Tables::lock(None).unwrap());
        thread::scope(|scope| {
            scope.spawn(|| {
                crate::fork::in_a_child(|| {
                    let refused =
                        |deadline| Tables::lock(deadline).err() == Some(LockError::Forked { parent });
                    refused(None) && refused(Some(Instant::now()))
                });
            });
        });
        let mut tables = Some(tables);
        crate::fork::in_a_child(|| {
            tables = None;
            Tables::lock(None).is_ok()
        });
    }
}
