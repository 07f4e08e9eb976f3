//! A descriptor for event loops that is readable also when libcpg's own is not.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::dispatch::waker::Waker;
use crate::error::{Error, Result};
use crate::ffi::raw::{self, Events};

/// An epoll instance over the handle's descriptor and a timer, which says that a dispatch has something to do without an event
/// of libcpg's: the rest of a packet, messages to hand back, a send to try again.
///
/// It stays the same when a group comes back with another handle; then a bell is part of it, which says that there is one.
#[derive(Debug)]
pub(crate) struct Readiness {
    timer: OwnedFd,
    epoll: OwnedFd,
    set: AtomicBool,
}

impl Readiness {
    pub(crate) fn new(events: Option<&Events>, bell: Option<&Waker>) -> Result<Self> {
        let make = || -> io::Result<Self> {
            let timer = raw::timerfd()?;
            let epoll = raw::epoll()?;
            let fds = [events.map(Events::as_fd), Some(timer.as_fd()), bell.map(Waker::as_fd)];
            for fd in fds.into_iter().flatten() {
                raw::epoll_add(epoll.as_fd(), fd)?;
            }
            Ok(Self { timer, epoll, set: AtomicBool::new(false) })
        };
        make().map_err(Error::Poll)
    }

    /// Looks at a new handle.
    pub(crate) fn add(&self, events: &Events) -> Result<()> {
        raw::epoll_add(self.as_fd(), events.as_fd()).map_err(Error::Poll)
    }

    /// Looks at a handle no more, which is about to be closed.
    pub(crate) fn remove(&self, events: &Events) {
        // It was added, and so can be removed.
        let _ = raw::epoll_remove(self.as_fd(), events.as_fd());
    }

    /// Makes it readable after this time, or not by itself.
    pub(crate) fn set(&self, after: Option<Duration>) {
        if self.set.swap(after.is_some(), Ordering::Relaxed) || after.is_some() {
            raw::set_timer(self.timer.as_fd(), after);
        }
    }

    /// Whether it is, or will be, readable by itself.
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
