//! The lock on libcpg's tables of handles, and the count of what they hold.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The entries of libcpg's tables that this process has in use, and the one lock of the process on these tables.
///
/// libqb's tables are not thread-safe: `cpg_initialize`, `cpg_model_initialize`, `cpg_finalize`,
/// `cpg_iteration_initialize` and `cpg_iteration_finalize` of *different* handles must not run at once in one process.
/// Two threads that connect can otherwise get the same entry, or each other's context (`hdb.c`). Each table has room for
/// 48 entries and moves as the 48th is taken, while other threads read it without a lock (`array.c`).
///
/// The lock is here, and not in a crate above, because everything in a program that makes handles must share it, and
/// [`links`](https://doc.rust-lang.org/cargo/reference/build-scripts.html#the-links-manifest-key) lets a program have
/// this crate once. Hold it for the length of one such call, and count what the call has made or ended:
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
/// A child that is forked while another thread holds the lock has a copy that nobody gives back.
#[derive(Debug)]
pub struct Tables {
    handles: usize,
    iterations: usize,
}

/// The [`Tables`], which nobody else has until this is dropped.
#[derive(Debug)]
pub struct TablesGuard(Tables);

struct State {
    held: bool,
    tables: Tables,
}

static STATE: Mutex<State> = Mutex::new(State { held: false, tables: Tables { handles: 0, iterations: 0 } });
static RELEASED: Condvar = Condvar::new();

/// The inner lock is held for a moment only, so that waiting for it needs no deadline.
fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tables {
    /// The entries that each table can hold without moving: it moves as the 48th is taken.
    pub const CAPACITY: usize = 47;

    /// Waits for the lock, and takes it; `None` if the deadline passed first.
    ///
    /// Whoever has it can be waiting for the daemon: a connect to a paused one does.
    pub fn lock(deadline: Option<Instant>) -> Option<TablesGuard> {
        let mut state = state();
        while state.held {
            state = match deadline {
                None => RELEASED.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left =
                        deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
                    RELEASED.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        state.held = true;
        let Tables { handles, iterations } = state.tables;
        Some(TablesGuard(Self { handles, iterations }))
    }
}

impl TablesGuard {
    /// Returns the number of open handles.
    pub fn handles(&self) -> usize {
        self.0.handles
    }

    /// Returns the number of open iterations, and of those that the daemon has refused and libcpg keeps all the same.
    pub fn iterations(&self) -> usize {
        self.0.iterations
    }

    /// Counts the handles and iterations that were made, or with a number below zero ended, under this lock.
    ///
    /// # Safety
    /// Others rely on the counts to keep the tables from moving: they must be those of the calls that were made.
    pub unsafe fn count(&mut self, handles: isize, iterations: isize) {
        let Tables { handles: open, iterations: running } = &mut self.0;
        *open = open.saturating_add_signed(handles);
        *running = running.saturating_add_signed(iterations);
    }
}

impl Drop for TablesGuard {
    fn drop(&mut self) {
        let mut state = state();
        let Tables { handles, iterations } = self.0;
        state.tables = Tables { handles, iterations };
        state.held = false;
        drop(state);
        RELEASED.notify_one();
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
                assert!(Tables::lock(Some(Instant::now())).is_none());
                assert!(Tables::lock(Some(Instant::now() + Duration::from_millis(20))).is_none());
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
}
