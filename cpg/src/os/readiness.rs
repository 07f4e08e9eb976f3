//! A descriptor for event loops that is also readable when libcpg's descriptor is not.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

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
}

/// The time at which the timer makes the descriptor readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// Never. Only other descriptors make it readable.
    Off,
    Now,
    At(Instant),
}

impl Alarm {
    /// True if the timer has made the descriptor readable.
    #[inline]
    pub(crate) fn has_rung(self, now: Instant) -> bool {
        match self {
            Self::Off => false,
            Self::Now => true,
            Self::At(at) => now >= at,
        }
    }
}

impl Readiness {
    /// Makes a descriptor over these descriptors and a timer.
    pub(crate) fn new(fds: &[BorrowedFd<'_>]) -> Result<Self> {
        let timer = fd::timerfd()?;
        let epoll = fd::epoll()?;
        for &fd in fds.iter().chain([&timer.as_fd()]) {
            fd::epoll_add(epoll.as_fd(), fd)?;
        }
        Ok(Self { timer, epoll })
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

    /// Sets the timer. This is a system call; who sets the timer remembers how it is set.
    pub(crate) fn set(&self, alarm: Alarm) {
        let after = match alarm {
            Alarm::Off => None,
            Alarm::Now => Some(Duration::ZERO),
            Alarm::At(at) => Some(at.saturating_duration_since(Instant::now())),
        };
        fd::set_timer(self.timer.as_fd(), after);
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
