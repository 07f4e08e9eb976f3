//! Descriptors that are made on a thread [apart](crate::os::thread::apart) and then are the process's.
//!
//! What libqb does to a table of descriptors while it connects is not for other threads to see: it opens files and a socket that
//! children would inherit, and closes descriptors that are not its own when something fails ([A14](crate::facts#a14),
//! [A20](crate::facts#a20), [A23](crate::facts#a23)).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::os::patience::Patience;
use crate::os::socket;
use crate::os::stack::StackLeft;
use crate::os::thread::{self, Tables};

/// The pause before a socket is shut down again.
const AGAIN: Duration = Duration::from_millis(1);

/// The outcome of [`hand_over`].
#[derive(Debug)]
pub(crate) enum Handed<T> {
    /// The descriptor is the process's, under the number that it was made with.
    Over(RawFd, T),
    /// A thread cannot be apart here, or `make` opened another descriptor first. Nothing is left of what it made.
    Not,
    /// The patience has come to its end. Nothing is left of what was made by then.
    Interrupted,
}

/// Has `make` done on a thread apart, where the first descriptor that it opens gets a number that is free in the process too,
/// and gives that descriptor to the process.
///
/// `make` returns the descriptor, which the value depends on. `undo` ends a value whose descriptor the process does not get.
///
/// When the patience ends first, the socket with that number is shut down, so that whoever waits for its peer goes on.
///
/// # Errors
/// [`Error::NoDescriptors`], [`Error::Io`], and those of `make`.
pub(crate) fn hand_over<const BYTES: usize, T: Send>(
    make: impl FnOnce(StackLeft<BYTES>) -> Result<(RawFd, T)> + Send,
    undo: impl FnOnce(T) + Send,
    patience: &Patience<'_>,
) -> Result<Handed<T>> {
    // Miri has neither datagrams nor a thread apart.
    if cfg!(miri) {
        return Ok(Handed::Not);
    }
    let refused = |error: io::Error| Error::NoDescriptors(error.into());
    // It keeps the number until the descriptor comes; the lowest, so that as many as can be are free above it.
    let place = UnixDatagram::unbound().map_err(refused)?;
    let (ours, theirs) = UnixDatagram::pair().map_err(refused)?;
    let number = place.as_raw_fd();
    let (tell_sent, sent) = channel::<()>();
    let (tell_taken, taken) = channel::<io::Result<()>>();
    let link = theirs.as_fd();
    let apart = |tables, left| {
        if tables == Tables::Shared {
            return Ok(Handed::Not);
        }
        // They go with this closure, whatever comes of it.
        let (tell_sent, taken) = (tell_sent, taken);
        let make = || interruptibly(number, patience, || make(left));
        make_apart(number, link, make, undo, &tell_sent, &taken)
    };
    let meanwhile = || {
        // Without a descriptor on its way the other side goes, and the wait ends.
        if sent.recv().is_ok() {
            // The other side waits for this.
            let _ = tell_taken.send(take(&ours, number));
        }
    };
    let handed = thread::apart_while(link.as_raw_fd(), apart, meanwhile);
    let handed = handed??;
    if matches!(handed, Handed::Over(..)) {
        // The number is of the descriptor that was handed over.
        let _ = place.into_raw_fd();
    }
    Ok(handed)
}

/// The work of the thread that is apart.
fn make_apart<T>(
    number: RawFd,
    link: BorrowedFd<'_>,
    make: impl FnOnce() -> Result<(Result<(RawFd, T)>, bool)>,
    undo: impl FnOnce(T),
    sent: &Sender<()>,
    taken: &Receiver<io::Result<()>>,
) -> Result<Handed<T>> {
    let refused = |error: io::Error| Error::NoDescriptors(error.into());
    let _below = leave_free(number, link).map_err(refused)?;
    let (outcome, interrupted) = make()?;
    if interrupted {
        // Its socket is of no use, also if it was there just before.
        if let Ok((_, value)) = outcome {
            undo(value);
        }
        return Ok(Handed::Interrupted);
    }
    let (fd, value) = outcome?;
    if fd != number {
        undo(value);
        return Ok(Handed::Not);
    }
    let handed = send(link, fd).and_then(|()| {
        let told = sent.send(()).ok().and_then(|()| taken.recv().ok());
        told.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
    });
    match handed {
        Ok(()) => Ok(Handed::Over(fd, value)),
        Err(error) => {
            undo(value);
            Err(refused(error))
        }
    }
}

/// Makes a call, and shuts the socket with that number down when the patience ends first; true if it did.
///
/// It takes a thread that has the same table of descriptors, which is that of the thread that starts it.
fn interruptibly<T>(number: RawFd, patience: &Patience<'_>, call: impl FnOnce() -> T) -> Result<(T, bool)> {
    let (ends, ended) = channel::<()>();
    let watch = move || {
        let mut interrupted = false;
        loop {
            let look = patience.next_look().map(|look| look.saturating_duration_since(Instant::now()));
            let wait = if interrupted { AGAIN } else { look.unwrap_or(Duration::MAX) };
            if let Err(RecvTimeoutError::Disconnected) = ended.recv_timeout(wait) {
                return interrupted;
            }
            if interrupted || patience.is_over() {
                // It may be no socket yet, or not the last one with that number.
                socket::shut_down(number);
                interrupted = true;
            }
        }
    };
    let mut result = None;
    let interrupted = thread::elsewhere_while(watch, || {
        let _ends = ends;
        result = Some(call());
    })?;
    Ok((result.expect("the call has been made"), interrupted))
}

/// Makes `number` the next one to be given, in a table that is this thread's own. It is, while what is returned lives.
fn leave_free(number: RawFd, link: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    // SAFETY: the table is this thread's own, and in it the number is open as a copy at most, which nobody on this thread has.
    unsafe { libc::close(number) };
    let mut below = Vec::new();
    loop {
        let lowest = lowest_copy(link)?;
        if lowest.as_raw_fd() >= number {
            return Ok(below);
        }
        below.push(lowest);
    }
}

/// Copies a descriptor to the lowest free number, close-on-exec.
fn lowest_copy(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// The control message with one descriptor, as `CMSG_DATA` lays it out: the header is as large as its alignment asks for.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    fd: libc::c_int,
}

/// The length in the header of a [`Control`]: without padding at its end.
const CONTROL: usize = size_of::<libc::cmsghdr>() + size_of::<libc::c_int>();

/// Calls `call` with a message of one byte and room for one descriptor.
fn with_message(
    control: &mut Control,
    call: impl FnOnce(*mut libc::msghdr) -> libc::ssize_t,
) -> io::Result<libc::msghdr> {
    let mut byte = 0_u8;
    let mut slice = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: all of it is numbers and pointers, and padding in some C libraries.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    message.msg_control = std::ptr::from_mut(control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    match call(&raw mut message) {
        1 => Ok(message),
        0.. => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn send(over: BorrowedFd<'_>, fd: RawFd) -> io::Result<()> {
    // SAFETY: all of it is numbers, and padding in some C libraries.
    let mut control: Control = unsafe { MaybeUninit::zeroed().assume_init() };
    control.header.cmsg_level = libc::SOL_SOCKET;
    control.header.cmsg_type = libc::SCM_RIGHTS;
    control.header.cmsg_len = CONTROL as _;
    control.fd = fd;
    with_message(&mut control, |message| {
        // SAFETY: the message and what it points at live for the length of the call.
        unsafe { libc::sendmsg(over.as_raw_fd(), message, libc::MSG_NOSIGNAL) }
    })
    .map(drop)
}

/// Takes the descriptor that has been sent, and gives it its number, which is kept for it.
fn take(ours: &UnixDatagram, number: RawFd) -> io::Result<()> {
    // SAFETY: all of it is numbers, and padding in some C libraries.
    let mut control: Control = unsafe { MaybeUninit::zeroed().assume_init() };
    let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
    with_message(&mut control, |message| {
        // SAFETY: the message and what it points at live for the length of the call.
        unsafe { libc::recvmsg(ours.as_raw_fd(), message, flags) }
    })?;
    // Without a free number the message comes, and the descriptor does not.
    if control.header.cmsg_type != libc::SCM_RIGHTS || control.header.cmsg_len != CONTROL as _ {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    // SAFETY: the kernel has put a descriptor there, and nobody else has it.
    let came = unsafe { OwnedFd::from_raw_fd(control.fd) };
    // SAFETY: both are open: the second is what keeps the number, and is closed by this.
    let code = unsafe { libc::dup3(came.as_raw_fd(), number, libc::O_CLOEXEC) };
    if code >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn open(path: &str) -> Result<(RawFd, RawFd)> {
        let fd = File::open(path).map_err(Error::io("open"))?.into_raw_fd();
        Ok((fd, fd))
    }

    const FOREVER: &Patience<'static> = &Patience::FOREVER;

    fn owned(fd: RawFd) -> OwnedFd {
        // SAFETY: it was handed over to this test.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }

    #[test]
    fn a_descriptor_made_apart_is_the_processs_under_its_number() {
        // Numbers below are free in the process, and are not what the descriptor gets.
        let many: Vec<_> = (0..20).map(|_| File::open("/dev/null").unwrap()).collect();
        let last = File::open("/dev/null").unwrap();
        drop(many);
        for _ in 0..3 {
            let handed = hand_over(|_: StackLeft<0>| open("/dev/zero"), |_| panic!("it is taken"), FOREVER);
            let Ok(Handed::Over(fd, _)) = handed else { panic!("{handed:?}") };
            let mut file = File::from(owned(fd));
            let mut byte = [1];
            file.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [0]);
            // SAFETY: it asks for the flags of a descriptor.
            assert_eq!(unsafe { libc::fcntl(fd, libc::F_GETFD) }, libc::FD_CLOEXEC);
        }
        drop(last);
    }

    #[test]
    fn what_was_made_goes_on_in_the_process() {
        let handed = hand_over(
            |_: StackLeft<0>| {
                let (one, other) = UnixStream::pair().map_err(Error::io("open"))?;
                (&other).write_all(b"sent apart").map_err(Error::io("open"))?;
                Ok((one.as_raw_fd(), one.into_raw_fd()))
            },
            |_| panic!("it is taken"),
            FOREVER,
        );
        let Ok(Handed::Over(fd, _)) = handed else { panic!("{handed:?}") };
        let mut text = String::new();
        UnixStream::from(owned(fd)).read_to_string(&mut text).unwrap();
        assert_eq!(text, "sent apart");
    }

    #[test]
    fn what_waits_for_a_peer_is_interrupted() {
        // As libqb does, which passes over what poll says.
        let waits = |_: StackLeft<0>| {
            let (mut one, other) = UnixStream::pair().map_err(Error::io("open"))?;
            let read = one.read(&mut [0]).map_err(Error::io("read"))?;
            drop(other);
            Ok((one.into_raw_fd(), read))
        };
        let undone = AtomicBool::new(false);
        let soon = Patience::lasting(Duration::from_millis(20));
        let handed = hand_over(waits, |read| undone.store(read == 0, Ordering::Relaxed), &soon);
        assert!(matches!(handed, Ok(Handed::Interrupted)), "{handed:?}");
        assert!(undone.into_inner());
    }

    #[test]
    fn another_number_is_undone_and_an_error_is_passed_on() {
        let (tell, told) = channel();
        let second = |_: StackLeft<0>| {
            let _first = open("/dev/null")?;
            open("/dev/null")
        };
        let handed = hand_over(second, |fd| tell.send(fd).unwrap(), FOREVER);
        assert!(matches!(handed, Ok(Handed::Not)), "{handed:?}");
        assert!(told.recv().is_ok());
        let failing = |_: StackLeft<0>| open("/there is no such file");
        let handed = hand_over(failing, |_| panic!("there is nothing"), FOREVER);
        assert!(matches!(handed, Err(Error::Io { .. })), "{handed:?}");
    }
}
