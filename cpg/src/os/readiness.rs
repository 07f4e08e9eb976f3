//! A descriptor for event loops that is readable also when libcpg's own is not.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::Result;
use crate::os::fd;

/// An epoll instance over the handle's descriptor and a timer, which says that a dispatch has something to do without an event
/// of libcpg's: the rest of a packet, messages to hand back, a send to try again.
///
/// It stays the same when a session comes back with another handle; then a bell is part of it, which says that there is one.
#[derive(Debug)]
pub(crate) struct Readiness {
    timer: OwnedFd,
    epoll: OwnedFd,
    set: AtomicBool,
}

impl Readiness {
    /// Makes one that looks at these.
    pub(crate) fn new(fds: &[BorrowedFd<'_>]) -> Result<Self> {
        let timer = fd::timerfd()?;
        let epoll = fd::epoll()?;
        for &fd in fds.iter().chain([&timer.as_fd()]) {
            fd::epoll_add(epoll.as_fd(), fd)?;
        }
        Ok(Self { timer, epoll, set: AtomicBool::new(false) })
    }

    /// Looks at the descriptor of a new handle.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>) -> Result<()> {
        fd::epoll_add(self.as_fd(), fd)
    }

    /// Looks no more at the descriptor of a handle that is about to be closed.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) {
        // It was added, and so can be removed.
        let _ = fd::epoll_remove(self.as_fd(), fd);
    }

    /// Makes it readable after this time, or not by itself.
    pub(crate) fn set(&self, after: Option<Duration>) {
        if self.set.swap(after.is_some(), Ordering::Relaxed) || after.is_some() {
            fd::set_timer(self.timer.as_fd(), after);
        }
    }

    /// Whether it is, or will be, readable by itself.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Relaxed)
    }

    /// What is readable when the time has passed.
    pub(crate) fn timer(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
