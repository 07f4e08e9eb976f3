//! The event loop of the programs that have no other: `poll`.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// Waits until one of the descriptors that are given is ready for what is asked of it, is at its end or has failed, and
/// tells what each is ready for; or until the time has passed.
pub fn wait<const N: usize>(
    wanted: [Option<(BorrowedFd<'_>, PollFlags)>; N],
    time: Option<Duration>,
) -> io::Result<[PollFlags; N]> {
    let mut polled: Vec<_> = wanted.iter().flatten().map(|&(fd, flags)| PollFd::new(fd, flags)).collect();
    match ppoll(&mut polled, time.map(TimeSpec::from_duration), None) {
        Ok(_) | Err(Errno::EINTR) => (),
        Err(error) => return Err(error.into()),
    }
    // The system answers with flags that were asked for and with those of an end or an error: nix knows all of them.
    let mut polled = polled.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
    Ok(wanted.map(|fd| fd.and_then(|_| polled.next()).unwrap_or(PollFlags::empty())))
}
