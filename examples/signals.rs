//! Signals that end a program, for a program that waits for signals and for its group at the same time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// SIGINT and SIGTERM as a descriptor to wait for, so that the program can leave its group first. After this value is
/// dropped, the signals end the process again, also while it waits for a daemon that does not answer.
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

    /// Returns true if a signal has come since the last call.
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
        // The call fails only for a wrong argument.
        let _: nix::Result<()> = self.set.thread_unblock();
    }
}
