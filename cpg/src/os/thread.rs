//! Threads of this crate.

use std::fs::OpenOptions;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::error::{Error, Result};

/// The stack of a thread of this crate: they make requests and never dispatch. Not left to `RUST_MIN_STACK`.
const STACK: usize = 512 << 10;

/// Starts a thread that blocks all signals, so that a program's signal handlers run on the program's own threads.
pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    without_signals(|| builder().spawn(work)).map_err(Error::io("starting a thread to wait for the daemon"))
}

fn builder() -> Builder {
    Builder::new().name("cpg".to_owned()).stack_size(STACK)
}

/// Runs `start` with all signals blocked on this thread: what it starts inherits that.
fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: it fills in the set, and cannot fail.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the first set is filled in, and the second one is written.
    let blocked = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) } == 0;
    let started = start();
    if blocked {
        // SAFETY: the set was written by the call above, which succeeded.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    started
}

/// Runs `call` where what libcpg writes to standard error under flow control (B8) goes nowhere.
///
/// That is a thread with a table of descriptors of its own: the rest of the process keeps its standard error.
pub(crate) fn quietly<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    let call = Mutex::new(Some(call));
    let take = || call.lock().unwrap_or_else(PoisonError::into_inner).take();
    let quiet = std::thread::scope(|scope| {
        let work = || {
            // Where the system does not allow it, a noisy call is better than none.
            let _ = silence_stderr();
            take().map(|call| call())
        };
        let thread = without_signals(|| builder().spawn_scoped(scope, work));
        thread.ok().and_then(|thread| thread.join().ok().flatten())
    });
    quiet.or_else(|| take().map(|call| call())).expect("one of the two has taken it")
}

/// Gives the calling thread its own table of descriptors, in which standard error is `/dev/null`.
fn silence_stderr() -> io::Result<()> {
    // SAFETY: it has no precondition: no other thread sees a change of this one's table from here on.
    let code = unsafe { libc::unshare(libc::CLONE_FILES) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    // Not before: the other threads would keep it.
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    // SAFETY: both are numbers, and the table is this thread's own.
    let code = unsafe { libc::dup2(null.as_raw_fd(), libc::STDERR_FILENO) };
    if code >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
