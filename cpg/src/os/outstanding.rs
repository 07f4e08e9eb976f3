//! Work on a separate thread, which the caller can leave behind.

#[cfg(cpg_model)]
use shuttle::sync::{Mutex, MutexGuard};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
#[cfg(not(cpg_model))]
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
#[cfg(cpg_model)]
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::os::fd;
#[cfg(cpg_model)]
use crate::os::model::Condvar;
use crate::os::patience::Patience;
use crate::os::worker::{Work, Worker};

/// The time between two looks whether the peer of a socket has closed its end.
///
/// No single call can wait for the socket and for the end of work: the end of work would need a descriptor for that, and there
/// may be none left.
const LOOK: Duration = Duration::from_millis(20);

/// The end of work, for which any number of threads can wait.
#[derive(Debug, Clone)]
pub(crate) struct End(Arc<(Mutex<bool>, Condvar)>);

/// The result of a wait for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The work has ended.
    Ended,
    /// The peer of the socket closed its end first.
    HungUp,
    /// The patience ended first.
    Over,
}

impl End {
    /// Makes the end of work that has not begun.
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Returns a value that reports the end of the work when it is dropped, also by a panic.
    pub(crate) fn at_drop(&self) -> Ends {
        Ends(self.clone())
    }

    /// Waits until the work has ended, or the peer of `socket` has closed its end, or the patience ends.
    pub(crate) fn wait(&self, socket: Option<BorrowedFd<'_>>, patience: &Patience<'_>) -> Waited {
        let (ended, told) = &*self.0;
        let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if *ended {
                return Waited::Ended;
            }
            if socket.is_some_and(|socket| fd::hung_up(socket.as_raw_fd())) {
                return Waited::HungUp;
            }
            if patience.is_over() {
                return Waited::Over;
            }
            let wait = patience.left().min(LOOK);
            ended = told.wait_timeout(ended, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A value whose drop reports the end of work.
#[derive(Debug)]
pub(crate) struct Ends(End);

impl Drop for Ends {
    fn drop(&mut self) {
        let (ended, told) = &*self.0.0;
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        told.notify_all();
    }
}

/// Work that a thread of this crate does. Dropping this value leaves the work behind, and then the thread drops the result.
#[derive(Debug)]
pub(crate) struct Outstanding<T> {
    fate: Arc<Mutex<Fate<T>>>,
    end: End,
}

/// The result of work, or the reason why there is none.
#[derive(Debug)]
enum Fate<T> {
    Awaited,
    Ended(T),
    LeftBehind,
}

fn lock<T>(fate: &Mutex<Fate<T>>) -> MutexGuard<'_, Fate<T>> {
    fate.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error of work that has panicked.
fn panicked() -> Error {
    Error::io("a thread that waited for the daemon")(io::Error::other("it panicked"))
}

impl<T: Send + 'static> Outstanding<T> {
    /// Returns a value that waits for work, and the work itself, which a thread must run: first `work`, and then `after`, which
    /// gets the result of `work`, or an error if `work` has panicked.
    ///
    /// A thread that finds that the work has ended also finds that `after` has run.
    pub(crate) fn prepare(
        end: End,
        work: impl FnOnce() -> T + Send + 'static,
        after: impl FnOnce(Result<&T>) + Send + 'static,
    ) -> (Self, Work) {
        let fate = Arc::new(Mutex::new(Fate::Awaited));
        let this = Self { fate: Arc::clone(&fate), end: end.clone() };
        let work = move || {
            // Dropped last, also by a panic.
            let _ends = end.at_drop();
            let result = match catch_unwind(AssertUnwindSafe(work)) {
                Ok(result) => result,
                Err(panic) => {
                    after(Err(panicked()));
                    resume_unwind(panic);
                }
            };
            after(Ok(&result));
            let mut fate = lock(&fate);
            let unwanted = match &*fate {
                Fate::LeftBehind => Some(result),
                Fate::Awaited | Fate::Ended(_) => {
                    *fate = Fate::Ended(result);
                    None
                }
            };
            drop(fate);
            drop(unwanted);
        };
        (this, Box::new(work))
    }

    /// Runs the work on a thread that ends with it.
    ///
    /// # Errors
    /// No thread can be started. The work is returned.
    pub(crate) fn begin<W: FnOnce() -> T + Send + 'static>(work: W) -> Result<Self, (Error, W)> {
        let worker = match Worker::start() {
            Ok(worker) => worker,
            Err(error) => return Err((error, work)),
        };
        let (this, work) = Self::prepare(End::new(), work, |_| ());
        // The thread has just been started, and ends after this work.
        let _ = worker.give(work);
        Ok(this)
    }

    /// Waits until the work has ended, and returns its result. If the peer of `socket` closes its end or the patience ends
    /// first, the work is left behind, and the error is the reason.
    pub(crate) fn wait(self, socket: Option<BorrowedFd<'_>>, patience: &Patience<'_>) -> Result<T, NotEnded> {
        let waited = self.end.wait(socket, patience);
        // The work may have ended since.
        match (std::mem::replace(&mut *lock(&self.fate), Fate::LeftBehind), waited) {
            (Fate::Ended(result), _) => Ok(result),
            (_, Waited::Ended) => Err(NotEnded::Failed(panicked())),
            (_, Waited::HungUp) => Err(NotEnded::HungUp),
            (_, Waited::Over) => Err(NotEnded::Over),
        }
    }
}

impl<T> Drop for Outstanding<T> {
    fn drop(&mut self) {
        let fate = std::mem::replace(&mut *lock(&self.fate), Fate::LeftBehind);
        drop(fate);
    }
}

/// The reason why work was left behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotEnded {
    /// The peer of the socket has closed its end.
    HungUp,
    /// The patience has ended.
    Over,
    /// The work has panicked.
    Failed(Error),
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Instant;

    use super::*;

    /// A value that reports its drop.
    struct Value(Sender<()>);

    impl Drop for Value {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    const FOREVER: &Patience<'static> = &Patience::FOREVER;

    fn begin<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Outstanding<T> {
        Outstanding::begin(work).map_err(|(error, _)| error).unwrap()
    }

    #[test]
    fn work_that_has_ended_returns_its_result() {
        let (here, _peer) = UnixStream::pair().unwrap();
        assert_eq!(begin(|| 7).wait(Some(here.as_fd()), FOREVER), Ok(7));
        assert_eq!(begin(|| 7).wait(None, FOREVER), Ok(7));
    }

    #[test]
    fn work_that_does_not_end_is_left_behind_when_the_peer_hangs_up_or_the_patience_ends() {
        for peer_goes in [true, false] {
            let (here, peer) = UnixStream::pair().unwrap();
            let (go, gone) = channel::<()>();
            let (say, dropped) = channel();
            let work = begin(move || {
                let _ = gone.recv();
                Value(say)
            });
            let peer = Some(peer).filter(|_| !peer_goes);
            let soon = Patience::lasting(Duration::from_millis(20));
            let (patience, why) =
                if peer_goes { (FOREVER, NotEnded::HungUp) } else { (&soon, NotEnded::Over) };
            assert_eq!(work.wait(Some(here.as_fd()), patience).map(drop), Err(why));
            // The thread drops a result that nobody takes.
            drop((go, peer));
            dropped.recv().unwrap();
        }
    }

    #[test]
    fn a_result_that_is_there_is_returned_even_after_the_deadline() {
        let end = End::new();
        let (work, give) = Outstanding::prepare(end.clone(), || 7, |_| ());
        give();
        assert_eq!(end.wait(None, FOREVER), Waited::Ended);
        assert_eq!(work.wait(None, &Patience::from(Instant::now())), Ok(7));
    }

    #[test]
    fn unread_bytes_in_the_socket_do_not_end_the_wait() {
        let (here, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"an event").unwrap();
        let (go, told) = channel::<()>();
        let work = begin(move || told.recv().is_ok());
        go.send(()).unwrap();
        assert_eq!(work.wait(Some(here.as_fd()), FOREVER), Ok(true));
    }

    #[test]
    fn work_that_panics_is_an_error() {
        let work = begin::<()>(|| resume_unwind(Box::new("as a bug would")));
        assert!(matches!(work.wait(None, FOREVER), Err(NotEnded::Failed(Error::Io { .. }))));
    }

    #[test]
    fn what_is_done_after_work_is_told_how_that_went() {
        let (say, said) = channel();
        for panics in [false, true] {
            let say = say.clone();
            let work = move || if panics { resume_unwind(Box::new("as a bug would")) } else { 7 };
            let after = move |result: Result<&i32>| say.send(result.copied()).unwrap();
            let (work, give) = Outstanding::prepare(End::new(), work, after);
            // Nobody waits for it.
            drop(work);
            assert_eq!(catch_unwind(AssertUnwindSafe(give)).is_err(), panics);
        }
        assert_eq!(said.try_recv(), Ok(Ok(7)));
        assert!(matches!(said.try_recv(), Ok(Err(Error::Io { .. }))));
    }
}
