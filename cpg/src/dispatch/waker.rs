//! The waker, which ends a wait from another thread or from a signal handler.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Result;
use crate::os::fd;
use crate::os::fork::Owner;

/// A waker, which ends a [`run`](crate::Group::run) from any thread or from a signal handler.
///
/// ```no_run
/// use cpg::{Ended, Group, Limits, Waker};
///
/// let mut group = Group::join("ledger")?;
/// let waker = Waker::new()?;
/// std::thread::spawn({
///     let waker = waker.clone();
///     move || {
///         // Some work, and then:
///         waker.wake();
///     }
/// });
/// let ended: Ended<()> = group.run(Limits::forever().woken_by(&waker), |_, event| {
///     println!("{event:?}");
///     std::ops::ControlFlow::Continue(())
/// })?;
/// assert_eq!(ended, Ended::Woken);
/// group.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// It ends the run whose [limits](crate::Limits::woken_by) name it. A wake stays until a run has seen it: a wake before the run
/// begins ends that run at once, and many wakes count as one. Clones wake the same run. A waker belongs to the process that
/// made it: after a fork its wakes are those of the parent, and a child has to make a waker for itself.
#[derive(Debug, Clone)]
pub struct Waker(Arc<Inner>);

/// The state that all clones of a waker share.
#[derive(Debug)]
struct Inner {
    /// The wake itself: readable from a wake until a run sees it.
    eventfd: File,
    /// A hint that saves a system call between two events: true from a wake, after its write, until the next look at the eventfd.
    hint: AtomicBool,
    /// The process that made the waker.
    owner: Owner,
}

impl Waker {
    /// Makes a waker. A waker and all its clones take one descriptor, an `eventfd`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if no descriptor is left.
    pub fn new() -> Result<Self> {
        let eventfd = fd::eventfd()?.into();
        Ok(Self(Arc::new(Inner { eventfd, hint: AtomicBool::new(false), owner: Owner::this_process() })))
    }

    /// Ends the current run, or the next one.
    ///
    /// This call is async-signal-safe: one `write(2)` of eight bytes and one atomic store, without a lock or an allocation. In a
    /// signal handler restore `errno` as usual.
    pub fn wake(&self) {
        // The write fails only when the counter is full, and then the wake is there already.
        let _ = (&self.0.eventfd).write(&1_u64.to_ne_bytes());
        // Not before the write: the thread that takes the hint looks only once, and must find the wake.
        self.0.hint.store(true, Ordering::SeqCst);
    }

    /// Takes the wake, and returns true if there was one. Cheap if there was none.
    ///
    /// A handler may have forked. A wake from before the fork belongs to the parent, since both share the eventfd
    /// ([A17](crate::facts#a17)).
    pub(crate) fn take_hinted(&self) -> bool {
        self.0.hint.load(Ordering::SeqCst)
            && self.0.owner.check().is_ok()
            && self.0.hint.swap(false, Ordering::SeqCst)
            && self.take()
    }

    /// Takes the wake, and returns true if there was one.
    ///
    /// For loops that wait on the [descriptor](#impl-AsFd-for-Waker) themselves. A run takes the wake by itself.
    ///
    /// ```
    /// let waker = cpg::Waker::new()?;
    /// assert!(!waker.take());
    /// waker.wake();
    /// waker.wake();
    /// assert!(waker.take() && !waker.take());
    /// # Ok::<(), cpg::Error>(())
    /// ```
    pub fn take(&self) -> bool {
        (&self.0.eventfd).read(&mut [0; 8]).is_ok()
    }
}

/// The descriptor is readable while there is a wake that no run has seen.
impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.eventfd.as_fd()
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// Two wakers are equal if they are clones of one waker, and so wake the same run.
impl PartialEq for Waker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Waker {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_wake_in_the_middle_of_a_look_is_seen_by_the_next_one() {
        const ROUNDS: usize = if cfg!(miri) { 20 } else { 20_000 };
        // A busy machine makes fewer rounds, and it interrupts wakes more often.
        const TIME: Duration = Duration::from_secs(3);
        const END: usize = usize::MAX;
        let (waker, woken, looked) = (Waker::new().unwrap(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1.. {
                    waker.wake();
                    waker.wake();
                    woken.store(round, Ordering::SeqCst);
                    while looked.load(Ordering::SeqCst) < round {
                        std::thread::yield_now();
                    }
                    if looked.load(Ordering::SeqCst) == END {
                        break;
                    }
                }
            });
            let (mut round, mut seen, mut hidden, begun) = (0, 0, 0, Instant::now());
            while round < ROUNDS && (cfg!(miri) || begun.elapsed() < TIME) {
                round += 1;
                loop {
                    let last = woken.load(Ordering::SeqCst) == round;
                    let look = waker.take_hinted();
                    seen += usize::from(look);
                    if last && !look {
                        break;
                    }
                }
                hidden += usize::from(waker.take());
                looked.store(round, Ordering::SeqCst);
            }
            looked.store(END, Ordering::SeqCst);
            assert_eq!(hidden, 0, "wakes that no look of {round} rounds has seen");
            assert!(seen >= round);
        });
    }
}
