//! Descriptors that are made on a thread [apart](crate::os::thread::apart), and are then given to the process.
//!
//! While libqb connects, it opens files and a socket that children would inherit. When something fails, it closes descriptors
//! that belong to others ([A14](crate::facts#a14), [A20](crate::facts#a20), [A23](crate::facts#a23)). In a separate table of
//! descriptors this does no harm to other threads.

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
    /// The process has the descriptor, under the number with which it was made.
    Over(RawFd, T),
    /// The system allows no thread apart, or `make` did not put the descriptor at the right number. Nothing is left of the
    /// attempt.
    Not,
    /// The patience ended first. Nothing is left of the attempt.
    Interrupted,
}

/// Calls `make` on a thread apart, and gives the descriptor that it makes to the process.
///
/// On that thread the first descriptor that is opened gets a number that is free in the process too, so the descriptor keeps
/// its number. `make` returns the descriptor, and a value that depends on it. `undo` ends a value whose descriptor the process
/// does not get.
///
/// When the patience ends first, the socket with that number is shut down, so that a call that waits for the socket's peer
/// returns.
///
/// # Errors
/// [`Error::NoDescriptors`], [`Error::Io`], and those of `make`.
pub(crate) fn hand_over<const BYTES: usize, T: Send>(
    make: impl FnOnce(StackLeft<BYTES>) -> Result<(RawFd, T)> + Send,
    undo: impl FnOnce(T) + Send,
    patience: &Patience<'_>,
) -> Result<Handed<T>> {
    // Miri supports neither datagrams nor a thread apart.
    if cfg!(miri) {
        return Ok(Handed::Not);
    }
    let refused = |error: io::Error| Error::NoDescriptors(error.into());
    // This socket keeps the number until the descriptor comes. It is the lowest free number, so that as many numbers as
    // possible are free above it.
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
        // They are dropped with this closure, whatever its result.
        let (tell_sent, taken) = (tell_sent, taken);
        let make = || interruptibly(number, patience, || make(left));
        make_apart(number, link, make, undo, &tell_sent, &taken)
    };
    let meanwhile = || {
        // If no descriptor comes, the sending end is dropped, and this wait ends.
        if sent.recv().is_ok() {
            // The other thread waits for this.
            let _ = tell_taken.send(take(&ours, number));
        }
    };
    let handed = thread::apart_while(link.as_raw_fd(), apart, meanwhile);
    let handed = handed??;
    if matches!(handed, Handed::Over(..)) {
        // The number now belongs to the descriptor that was handed over.
        let _ = place.into_raw_fd();
    }
    Ok(handed)
}

/// Does the work of the thread apart.
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
        // The socket was shut down, so it is useless even if the call had just succeeded.
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

/// Makes a call. If the patience ends first, shuts down the socket with that number, and returns true with the result.
///
/// A second thread watches the time. It shares the table of descriptors of the thread that starts it.
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
                // The number may be no socket yet, or libqb may open another socket with the same number later. So this is
                // repeated.
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

/// Makes `number` the lowest free number of a table that belongs to this thread, for as long as the result lives.
fn leave_free(number: RawFd, link: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    // SAFETY: the table belongs to this thread. If the number is open in it, then as a copy that nothing on this thread owns.
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
    // SAFETY: the descriptor is new, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// The control message with one descriptor, in the layout of `CMSG_DATA`: the size of the header is a multiple of its
/// alignment.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    fd: libc::c_int,
}

/// The length for the header of a [`Control`], without the padding at the end.
const CONTROL: usize = size_of::<libc::cmsghdr>() + size_of::<libc::c_int>();

/// Calls `call` with a message of one byte and the control message for one descriptor.
fn with_message(
    control: &mut Control,
    call: impl FnOnce(*mut libc::msghdr) -> libc::ssize_t,
) -> io::Result<libc::msghdr> {
    let mut byte = 0_u8;
    let mut slice = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: every field is a number or a pointer, so zero is valid; some C libraries add padding.
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
    // SAFETY: every field is a number, so zero is valid; some C libraries add padding.
    let mut control: Control = unsafe { MaybeUninit::zeroed().assume_init() };
    control.header.cmsg_level = libc::SOL_SOCKET;
    control.header.cmsg_type = libc::SCM_RIGHTS;
    control.header.cmsg_len = CONTROL as _;
    control.fd = fd;
    with_message(&mut control, |message| {
        // SAFETY: the message and what it points at live until the call returns.
        unsafe { libc::sendmsg(over.as_raw_fd(), message, libc::MSG_NOSIGNAL) }
    })
    .map(drop)
}

/// Receives the descriptor, and moves it to `number`, which was kept free for it.
fn take(ours: &UnixDatagram, number: RawFd) -> io::Result<()> {
    // SAFETY: every field is a number, so zero is valid; some C libraries add padding.
    let mut control: Control = unsafe { MaybeUninit::zeroed().assume_init() };
    let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
    with_message(&mut control, |message| {
        // SAFETY: the message and what it points at live until the call returns.
        unsafe { libc::recvmsg(ours.as_raw_fd(), message, flags) }
    })?;
    // If no number is free, the message comes without the descriptor.
    if control.header.cmsg_type != libc::SCM_RIGHTS || control.header.cmsg_len != CONTROL as _ {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    // SAFETY: the kernel has put a descriptor there, and nothing else owns it.
    let came = unsafe { OwnedFd::from_raw_fd(control.fd) };
    // SAFETY: both are open. The second one keeps the number, and this call closes it.
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
        // SAFETY: the descriptor was handed over to this test.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }

    #[test]
    fn a_descriptor_that_was_made_on_another_thread_belongs_to_the_process_under_its_number() {
        // The process has lower free numbers, and the descriptor must not get one of those.
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
            // SAFETY: the call only reads the flags of a descriptor.
            assert_eq!(unsafe { libc::fcntl(fd, libc::F_GETFD) }, libc::FD_CLOEXEC);
        }
        drop(last);
    }

    #[test]
    fn a_socket_that_was_made_on_another_thread_works_in_the_process() {
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
    fn a_call_that_waits_for_a_peer_is_interrupted() {
        // As libqb does, which ignores the result of poll.
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
    fn a_descriptor_with_another_number_is_undone_and_an_error_is_passed_on() {
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
