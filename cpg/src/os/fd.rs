//! File descriptors: waiting for them, and making those that event loops wait for.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
#[cfg(miri)]
use crate::os::miri as libc;
#[cfg(cpg_model)]
use crate::os::model;

/// Returns the error of the system call that has just failed.
fn refused(call: &'static str) -> Error {
    Error::io(call)(io::Error::last_os_error())
}

/// Waits until one of the descriptors is readable or its peer hangs up. Returns false when the deadline passes first.
pub(crate) fn wait_readable(deadline: Option<Instant>, fds: [Option<BorrowedFd<'_>>; 3]) -> Result<bool> {
    // poll ignores negative descriptors.
    let mut fds = fds.map(|fd| {
        let fd = fd.map_or(-1, |fd| fd.as_raw_fd());
        libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
    });
    wait(deadline, &mut fds)
}

/// The name of the system call that waits.
pub(crate) const POLL: &str = "poll";

/// Returns the error of a poll of two descriptors, as many as libqb polls, if the system refuses that to a process with a lower
/// limit of open descriptors.
pub(crate) fn poll_refused() -> Option<io::Error> {
    let mut fds = [libc::pollfd { fd: -1, events: 0, revents: 0 }; 2];
    // SAFETY: the array has as many entries as the call is told.
    let code = unsafe { libc::poll(fds.as_mut_ptr(), 2, 0) };
    (code < 0).then(io::Error::last_os_error).filter(|error| error.kind() == io::ErrorKind::InvalidInput)
}

/// Waits until poll reports something about one of the descriptors. Returns false when the deadline passes first.
#[inline]
fn wait<const N: usize>(deadline: Option<Instant>, fds: &mut [libc::pollfd; N]) -> Result<bool> {
    loop {
        let timeout = deadline.map_or(-1, |deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = left.saturating_add(Duration::from_nanos(999_999)).as_millis();
            libc::c_int::try_from(left).unwrap_or(libc::c_int::MAX)
        });
        #[cfg(cpg_model)]
        let timeout = model::instead_of(timeout);
        // SAFETY: the array has as many entries as the call is told.
        let ready = unsafe { libc::poll(fds.as_mut_ptr(), N as libc::nfds_t, timeout) };
        match ready {
            0 if deadline.is_some_and(|deadline| Instant::now() >= deadline) => return Ok(false),
            0 => {}
            1.. => return Ok(true),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(Error::io(POLL)(error)),
            },
        }
    }
}

/// Waits until the peer has closed its end of a socket. Returns false when the deadline passes first.
pub(crate) fn wait_hung_up(fd: RawFd, deadline: Instant) -> Result<bool> {
    wait(Some(deadline), &mut [libc::pollfd { fd, events: 0, revents: 0 }])
}

/// True if the peer has closed its end of a socket. The kernel answers, so this works with a paused daemon too
/// ([B16](crate::facts#b16)).
pub(crate) fn hung_up(fd: RawFd) -> bool {
    let mut fd = libc::pollfd { fd, events: 0, revents: 0 };
    // SAFETY: there is one entry, and the call is told so.
    let ready = unsafe { libc::poll(&raw mut fd, 1, 0) };
    ready > 0 && fd.revents & (libc::POLLHUP | libc::POLLERR) != 0
}

/// Returns the number of bytes in a socket that its peer has not read. The kernel includes what it needs for its own
/// structures.
pub(crate) fn unread_by_peer(fd: RawFd) -> io::Result<libc::c_int> {
    let mut queued = 0;
    // SAFETY: TIOCOUTQ, which is SIOCOUTQ for a socket, writes one int.
    let code = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut queued) };
    if code == 0 { Ok(queued) } else { Err(io::Error::last_os_error()) }
}

/// Opens `count` descriptors and closes them. It opens no file, because a program in a `chroot` may have none.
pub(crate) fn check_free(count: usize) -> io::Result<()> {
    (0..count).map(|_| new_eventfd()).collect::<io::Result<Vec<_>>>().map(drop)
}

/// Opens those of the standard descriptors that the program has closed, so that nothing else gets their numbers while the
/// result lives.
///
/// Everything that is written to standard error goes to the file with that number, whatever that file is.
pub(crate) fn take_standard() -> io::Result<Vec<OwnedFd>> {
    let mut taken = Vec::new();
    loop {
        let lowest = new_eventfd()?;
        if lowest.as_raw_fd() > libc::STDERR_FILENO {
            return Ok(taken);
        }
        taken.push(lowest);
    }
}

/// Makes an eventfd, non-blocking and close-on-exec.
pub(crate) fn eventfd() -> Result<OwnedFd> {
    new_eventfd().map_err(Error::io("eventfd"))
}

fn new_eventfd() -> io::Result<OwnedFd> {
    // SAFETY: the call has no precondition.
    let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a timer that is not set, non-blocking and close-on-exec.
pub(crate) fn timerfd() -> Result<OwnedFd> {
    // SAFETY: the call has no precondition.
    let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
    if fd < 0 {
        return Err(refused("timerfd_create"));
    }
    // SAFETY: the descriptor is new, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a timer, which is readable after that time, or unsets it with `None`.
pub(crate) fn set_timer(timer: BorrowedFd<'_>, after: Option<Duration>) {
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // Zero would unset the timer. The type of seconds has no name that is right for musl too.
    let value = after.map_or(zero, |after| libc::timespec {
        tv_sec: after.as_secs().try_into().unwrap_or(i32::MAX.into()),
        tv_nsec: i32::try_from(after.subsec_nanos().max(1)).map_or(1, libc::c_long::from),
    });
    let spec = libc::itimerspec { it_interval: zero, it_value: value };
    // SAFETY: the descriptor is a timer, and the function reads one itimerspec. So the call cannot fail.
    let _ = unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut()) };
}

/// `EPOLLIN` with the type that it has in `epoll_event`.
const INPUT: u32 = libc::EPOLLIN as u32;

/// Makes an epoll instance, close-on-exec. It is readable while one of the descriptors that were [added](epoll_add) is
/// readable.
pub(crate) fn epoll() -> Result<OwnedFd> {
    // SAFETY: the call has no precondition.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 {
        return Err(refused("epoll_create1"));
    }
    // SAFETY: the descriptor is new, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Adds a descriptor to an epoll instance.
pub(crate) fn epoll_add(epoll: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<()> {
    epoll_control(epoll, libc::EPOLL_CTL_ADD, fd)
}

/// Removes a descriptor from an epoll instance.
pub(crate) fn epoll_remove(epoll: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<()> {
    epoll_control(epoll, libc::EPOLL_CTL_DEL, fd)
}

fn epoll_control(epoll: BorrowedFd<'_>, what: libc::c_int, fd: BorrowedFd<'_>) -> Result<()> {
    let mut event = libc::epoll_event { events: INPUT, u64: 0 };
    // SAFETY: both are descriptors, and the function reads one event, or none.
    let code = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), what, fd.as_raw_fd(), &raw mut event) };
    if code == 0 { Ok(()) } else { Err(refused("epoll_ctl")) }
}
