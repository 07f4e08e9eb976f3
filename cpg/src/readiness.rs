//! A descriptor for event loops that is readable also when libcpg's own is not.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::raw::{self, Events};

/// An epoll instance over the handle's descriptor and a timer, which says that a dispatch has something to do without an event
/// of libcpg's: the rest of a packet, messages to hand back, a send to try again.
#[derive(Debug)]
pub(crate) struct Readiness {
    timer: OwnedFd,
    epoll: OwnedFd,
    set: AtomicBool,
}

impl Readiness {
    pub(crate) fn new(events: &Events) -> Result<Self> {
        let make = || -> io::Result<Self> {
            let timer = raw::timerfd()?;
            let epoll = raw::epoll(&[events.as_fd(), timer.as_fd()])?;
            Ok(Self { timer, epoll, set: AtomicBool::new(false) })
        };
        make().map_err(Error::Poll)
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
