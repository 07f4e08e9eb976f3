//! The wish of the user that a program ends, for a program that waits for its group, too.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// SIGINT and SIGTERM as something to wait for, so that a member can leave its group. When this is dropped they end the
/// process again, and nobody has to wait for a daemon that does not answer.
#[derive(Debug)]
pub struct Signals {
    set: SigSet,
    fd: SignalFd,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        let set = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        set.thread_block()?;
        Ok(Self { set, fd })
    }

    /// Whether one has come since this was asked last.
    pub fn take(&self) -> io::Result<bool> {
        Ok(self.fd.read_signal()?.is_some())
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // It fails for a wrong argument only.
        let _: nix::Result<()> = self.set.thread_unblock();
    }
}
