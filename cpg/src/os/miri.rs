//! Stand-ins for the functions of Linux that Miri lacks, under the names that they have in `libc`.
//!
//! Under Miri the files of this folder take everything of `libc` from here. Then there is one process, which never forks and
//! gets no signals. Its stack has no end, and its descriptors are those that Miri supports.
//!
//! The model (`ci/model`) runs threads with their own stacks, and takes the functions about stacks from here.
#![cfg_attr(cpg_model, allow(dead_code, reason = "the model uses only the functions about stacks"))]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "flags, and numbers below three")]

use std::ptr;

pub(super) use ::libc::*;

/// `poll(2)` for at most three descriptors, all of them different.
pub(super) unsafe fn poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    // SAFETY: the call has no precondition.
    let epoll = unsafe { epoll_create1(EPOLL_CLOEXEC) };
    for index in 0..count {
        // SAFETY: the caller has `count` entries.
        let entry = unsafe { fds.wrapping_add(index as usize).read() };
        let mut event = epoll_event { events: entry.events as u32, u64: index };
        if entry.fd >= 0 {
            // SAFETY: the function reads one event.
            assert_eq!(unsafe { epoll_ctl(epoll, EPOLL_CTL_ADD, entry.fd, &raw mut event) }, 0);
        }
    }
    let mut ready = [epoll_event { events: 0, u64: 0 }; 3];
    // SAFETY: the array has as many entries as the call is told.
    let found = unsafe { epoll_wait(epoll, ready.as_mut_ptr(), 3, timeout) };
    for event in ready.iter().take(found.try_into().unwrap_or(0)) {
        // SAFETY: the caller has `count` entries, and this is one of them.
        let entry = unsafe { &mut *fds.wrapping_add(event.u64 as usize) };
        // The flags have the same numbers.
        entry.revents = event.events as c_short;
    }
    // SAFETY: the descriptor was made above, and nothing else owns it.
    unsafe { close(epoll) };
    found
}

/// `epoll_ctl(2)`, edge-triggered, because Miri has nothing else. So each wait makes an epoll instance for that wait alone.
pub(super) unsafe fn epoll_ctl(epoll: c_int, what: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
    // SAFETY: the caller passes one event.
    let mut event = unsafe { event.read() };
    event.events |= EPOLLET as u32;
    // SAFETY: the function reads one event.
    unsafe { ::libc::epoll_ctl(epoll, what, fd, &raw mut event) }
}

/// Makes an eventfd instead of a timer.
pub(super) unsafe fn timerfd_create(_clock: clockid_t, flags: c_int) -> c_int {
    // SAFETY: the call has no precondition. The flags have the same numbers.
    unsafe { eventfd(0, flags) }
}

/// `timerfd_settime(2)`, where each timer fires at once.
pub(super) unsafe fn timerfd_settime(
    timer: c_int,
    _flags: c_int,
    new: *const itimerspec,
    _old: *mut itimerspec,
) -> c_int {
    // SAFETY: the caller passes one specification.
    let itimerspec { it_value, .. } = unsafe { new.read() };
    let mut count = 1_u64.to_ne_bytes();
    if it_value.tv_sec == 0 && it_value.tv_nsec == 0 {
        // SAFETY: there is room for eight bytes.
        unsafe { read(timer, count.as_mut_ptr().cast(), count.len()) };
    } else {
        // SAFETY: these are eight bytes.
        unsafe { write(timer, count.as_ptr().cast(), count.len()) };
    }
    0
}

/// Reports that every descriptor is a stream with a buffer of the usual size whose peer is root.
pub(super) unsafe fn getsockopt(
    _fd: c_int,
    _level: c_int,
    option: c_int,
    value: *mut c_void,
    _len: *mut socklen_t,
) -> c_int {
    if option == SO_PEERCRED {
        // SAFETY: the caller has room for one structure.
        unsafe { value.cast::<ucred>().write(ucred { pid: 1, uid: 0, gid: 0 }) };
        return 0;
    }
    // SAFETY: the caller has room for an int.
    unsafe { value.cast::<c_int>().write(if option == SO_TYPE { SOCK_STREAM } else { 212_992 }) };
    0
}

/// Fails: no daemon listens.
pub(super) unsafe fn socket(_domain: c_int, _kind: c_int, _protocol: c_int) -> c_int {
    -1
}

pub(super) unsafe fn shutdown(_socket: c_int, _how: c_int) -> c_int {
    0
}

pub(super) unsafe fn geteuid() -> uid_t {
    0
}

/// Reports that the kernel has passed no such value.
pub(super) unsafe fn getauxval(_kind: c_ulong) -> c_ulong {
    0
}

/// Reports that nothing is unread in any socket.
pub(super) unsafe fn ioctl(_fd: c_int, _request: Ioctl, value: *mut c_int) -> c_int {
    // SAFETY: the caller has room for an int.
    unsafe { value.write(0) };
    0
}

/// Accepts that the page will be wiped in a child. There is no child.
pub(super) unsafe fn madvise(_start: *mut c_void, _len: size_t, _advice: c_int) -> c_int {
    0
}

pub(super) unsafe fn pthread_getattr_np(_thread: pthread_t, _attributes: *mut pthread_attr_t) -> c_int {
    0
}

/// Reports that the stack of each thread is all of the memory.
pub(super) unsafe fn pthread_attr_getstack(
    _attributes: *const pthread_attr_t,
    low: *mut *mut c_void,
    size: *mut size_t,
) -> c_int {
    // SAFETY: the caller has room for a pointer.
    unsafe { low.write(ptr::null_mut()) };
    // SAFETY: the caller has room for a size.
    unsafe { size.write(usize::MAX) };
    0
}

pub(super) unsafe fn pthread_attr_destroy(_attributes: *mut pthread_attr_t) -> c_int {
    0
}

pub(super) unsafe fn sigfillset(_set: *mut sigset_t) -> c_int {
    0
}

/// Blocks no signals, because there are none.
pub(super) unsafe fn pthread_sigmask(_how: c_int, _new: *const sigset_t, _old: *mut sigset_t) -> c_int {
    ENOSYS
}

/// Fails: no thread can have its own table of descriptors.
pub(super) unsafe fn unshare(_flags: c_int) -> c_int {
    -1
}

/// `syscall(2)` for `close_range(2)`, the only call that is made this way. It fails.
pub(super) unsafe fn syscall(_close_range: c_long, _first: c_uint, _last: c_uint, _flags: c_uint) -> c_long {
    -1
}
