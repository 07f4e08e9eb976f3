//! A descriptor for event loops that is also readable when libcpg's descriptor is not.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::Result;
use crate::os::fd;

/// An epoll instance over the handle's descriptor and a timer. The timer reports work for a dispatch that is no event of
/// libcpg: the rest of a packet, messages to hand back, a send to try again.
///
/// The descriptor stays the same when a session comes back with another handle. While the session is away, a bell belongs to it
/// too, which rings when there is a new handle.
#[derive(Debug)]
pub(crate) struct Readiness {
    timer: OwnedFd,
    epoll: OwnedFd,
    set: AtomicBool,
}

impl Readiness {
    /// Makes a descriptor over these descriptors and a timer.
    pub(crate) fn new(fds: &[BorrowedFd<'_>]) -> Result<Self> {
        let timer = fd::timerfd()?;
        let epoll = fd::epoll()?;
        for &fd in fds.iter().chain([&timer.as_fd()]) {
            fd::epoll_add(epoll.as_fd(), fd)?;
        }
        Ok(Self { timer, epoll, set: AtomicBool::new(false) })
    }

    /// Adds the descriptor of a new handle.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>) -> Result<()> {
        fd::epoll_add(self.as_fd(), fd)
    }

    /// Removes the descriptor of a handle that is about to be closed.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) {
        // The descriptor was added, so removing it cannot fail.
        let _ = fd::epoll_remove(self.as_fd(), fd);
    }

    /// Makes the descriptor readable after this time. With `None` only other descriptors make it readable.
    pub(crate) fn set(&self, after: Option<Duration>) {
        if self.set.swap(after.is_some(), Ordering::Relaxed) || after.is_some() {
            fd::set_timer(self.timer.as_fd(), after);
        }
    }

    /// True if the timer has made the descriptor readable, or will.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Relaxed)
    }

    /// Returns the timer, which is readable when the time has passed.
    pub(crate) fn timer(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
