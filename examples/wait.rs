//! The wait of the programs that bring no event loop of another crate: `poll`.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// Waits until a descriptor is ready for one of its flags, has reached its end or has failed, or until the time has
/// passed. Returns the flags for which each descriptor is ready. `None` stands for a descriptor that is not waited for.
pub fn wait<const N: usize>(
    wanted: [Option<(BorrowedFd<'_>, PollFlags)>; N],
    time: Option<Duration>,
) -> io::Result<[PollFlags; N]> {
    let mut polled: Vec<_> = wanted.iter().flatten().map(|&(fd, flags)| PollFd::new(fd, flags)).collect();
    match ppoll(&mut polled, time.map(TimeSpec::from_duration), None) {
        Ok(_) | Err(Errno::EINTR) => (),
        Err(error) => return Err(error.into()),
    }
    // The system returns only flags that were asked for, and those of an end and of an error. nix knows all of them.
    let mut polled = polled.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
    Ok(wanted.map(|fd| fd.and_then(|_| polled.next()).unwrap_or(PollFlags::empty())))
}
