//! Work on a thread of its own, which can be left behind.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::os::{fd, thread};

/// Work that a thread of this crate does. Dropping this leaves the thread behind: what the work gives is then dropped by it.
#[derive(Debug)]
pub(crate) struct Outstanding<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    result: Mutex<Option<T>>,
    /// An eventfd, readable once the work has ended.
    ended: File,
}

/// Says that the work has ended when it goes, also by a panic.
struct Ends<T>(Arc<Inner<T>>);

impl<T> Drop for Ends<T> {
    fn drop(&mut self) {
        // The counter is not full: this is the one write.
        let _ = (&self.0.ended).write(&1_u64.to_ne_bytes());
    }
}

impl<T: Send + 'static> Outstanding<T> {
    /// Starts the work.
    pub(crate) fn begin(work: impl FnOnce() -> T + Send + 'static) -> Result<Self> {
        let ended = fd::eventfd()?.into();
        let inner = Arc::new(Inner { result: Mutex::new(None), ended });
        let ends = Ends(Arc::clone(&inner));
        let work = move || {
            // Moved in whole: it is dropped when the result is there.
            let ends = ends;
            let result = work();
            *ends.0.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        };
        thread::spawn(work)?;
        Ok(Self(inner))
    }

    /// Waits until the work has ended or the peer of a socket has closed its end, and returns what the work gave; `None` if
    /// it had not ended by then, and the thread is left behind.
    pub(crate) fn wait(self, socket: BorrowedFd<'_>) -> Result<Option<T>> {
        let ended = fd::wait_readable_or_hung_up(self.0.ended.as_fd(), socket)?;
        let result = self.0.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        if ended && result.is_none() {
            return Err(Error::io("a thread that waited for the daemon")(io::Error::other("it panicked")));
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Says when it is dropped.
    struct Value(Sender<()>);

    impl Drop for Value {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    #[test]
    fn work_that_ends_gives_its_result_back() {
        let (here, _peer) = UnixStream::pair().unwrap();
        assert_eq!(Outstanding::begin(|| 7).unwrap().wait(here.as_fd()), Ok(Some(7)));
    }

    #[test]
    fn work_that_does_not_end_is_left_behind_when_the_peer_has_gone() {
        let (here, peer) = UnixStream::pair().unwrap();
        let (go, gone) = channel::<()>();
        let (say, dropped) = channel();
        let work = Outstanding::begin(move || {
            let _ = gone.recv();
            Value(say)
        });
        drop(peer);
        assert!(work.unwrap().wait(here.as_fd()).unwrap().is_none());
        // The thread drops what nobody takes.
        drop(go);
        dropped.recv().unwrap();
    }

    #[test]
    fn what_waits_in_the_socket_ends_no_wait() {
        let (here, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"an event").unwrap();
        let (go, told) = channel::<()>();
        let work = Outstanding::begin(move || told.recv().is_ok()).unwrap();
        go.send(()).unwrap();
        assert_eq!(work.wait(here.as_fd()), Ok(Some(true)));
    }

    #[test]
    fn work_that_panics_is_an_error() {
        let (here, _peer) = UnixStream::pair().unwrap();
        let work =
            Outstanding::<()>::begin(|| std::panic::resume_unwind(Box::new("as a bug would"))).unwrap();
        assert!(matches!(work.wait(here.as_fd()), Err(Error::Io { .. })));
    }
}
