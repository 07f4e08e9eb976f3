//! Threads of this crate, and what is done by one because it needs a stack or tables that the caller's thread has not.

#[cfg(miri)]
use crate::os::miri as libc;
#[cfg(cpg_model)]
use shuttle::thread::JoinHandle;
use std::fs::OpenOptions;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, RawFd};
use std::panic::resume_unwind;
#[cfg(not(cpg_model))]
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
#[cfg(not(cpg_model))]
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};
#[cfg(cpg_model)]
use crate::os::model;
use crate::os::stack::StackLeft;

/// The stack of a thread of this crate: they make requests and never dispatch. Not left to `RUST_MIN_STACK`.
const STACK: usize = 512 << 10;

/// The attempt of which an error is told.
const STARTING: &str = "starting a thread to wait for the daemon";

/// Starts a thread that blocks all signals, so that a program's signal handlers run on the program's own threads.
#[cfg(not(cpg_model))]
pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    without_signals(|| builder().spawn(work)).map_err(Error::io(STARTING))
}

/// Starts a thread of the model.
#[cfg(cpg_model)]
#[expect(clippy::unnecessary_wraps, reason = "as the other one")]
pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    Ok(shuttle::thread::spawn(work))
}

/// Sleeps, on a thread of this crate.
#[cfg(not(cpg_model))]
pub(crate) fn sleep(pause: Duration) {
    std::thread::sleep(pause);
}

/// In the model others go on meanwhile.
#[cfg(cpg_model)]
pub(crate) fn sleep(_pause: Duration) {
    model::pass();
}

/// Has `call` done by such a thread, and waits for it. A panic in it goes on here.
fn elsewhere<T: Send>(call: impl FnOnce() -> T + Send) -> Result<T> {
    elsewhere_while(call, || {})
}

/// As [`elsewhere`], while this thread does `meanwhile`. Neither is done without a thread.
pub(super) fn elsewhere_while<T: Send>(
    call: impl FnOnce() -> T + Send,
    meanwhile: impl FnOnce(),
) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = without_signals(|| builder().spawn_scoped(scope, call)).map_err(Error::io(STARTING))?;
        meanwhile();
        thread.join().or_else(|panic| resume_unwind(panic))
    })
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

/// Makes a call that takes `BYTES` of stack: here if there is as much, else on a thread of this crate
/// ([A16](crate::facts#a16)).
///
/// # Errors
/// A thread is needed, and there is none to be had.
pub(crate) fn with_stack<const BYTES: usize, T: Send>(
    call: impl FnOnce(StackLeft<BYTES>) -> T + Send,
) -> Result<T> {
    match StackLeft::ask() {
        Ok(left) => Ok(call(left)),
        Err(_) => elsewhere(|| call(StackLeft::at_the_beginning::<STACK>())),
    }
}

/// What a call [apart] finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    /// The thread's own: nobody else opens or closes a descriptor in them. The umask and the working directory are its own too,
    /// but in a container that filters `unshare`.
    Own,
    /// The process's: the system did not let the thread have its own.
    Shared,
}

/// Makes a call on a thread that has a table of descriptors, a umask and a working directory of its own.
///
/// Of the process's descriptors the table holds the standard ones and `keep`: of others it would keep files open that the
/// process closes meanwhile.
///
/// # Errors
/// There is no thread to be had.
pub(crate) fn apart<const BYTES: usize, T: Send>(
    keep: RawFd,
    call: impl FnOnce(Tables, StackLeft<BYTES>) -> T + Send,
) -> Result<T> {
    apart_while(keep, call, || {})
}

/// As [`apart`], while this thread does `meanwhile`.
pub(super) fn apart_while<const BYTES: usize, T: Send>(
    keep: RawFd,
    call: impl FnOnce(Tables, StackLeft<BYTES>) -> T + Send,
    meanwhile: impl FnOnce(),
) -> Result<T> {
    let work = || {
        let tables = if own_tables(keep).is_ok() { Tables::Own } else { Tables::Shared };
        call(tables, StackLeft::at_the_beginning::<STACK>())
    };
    elsewhere_while(work, meanwhile)
}

/// Gives the calling thread its own table of descriptors, with the standard ones and one other, and its own umask and directories
/// where that can be.
///
/// To close a copy of a descriptor takes up to 2.4 microseconds, and flushes files on FUSE and NFS, so what comes after the one that is kept is not even copied.
fn own_tables(keep: RawFd) -> io::Result<()> {
    // SAFETY: it has no precondition: no other thread sees a change of this one's umask from here on. Containers filter it.
    let _ = unsafe { libc::unshare(libc::CLONE_FS) };
    let keep = u32::try_from(keep).unwrap_or(0);
    // Containers do not filter that, which Linux has from 5.9 on.
    if close_range(keep.max(2) + 1, u32::MAX, libc::CLOSE_RANGE_UNSHARE).is_err() {
        // SAFETY: as above, of its descriptors.
        if unsafe { libc::unshare(libc::CLONE_FILES) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // Without such a call the descriptors stay until the thread ends.
        let _ = close_range(keep.max(2) + 1, u32::MAX, 0);
    }
    if keep > 3 {
        let _ = close_range(3, keep - 1, 0);
    }
    Ok(())
}

/// Closes a range of descriptors, on a thread that has a table of its own or gets it by this.
fn close_range(first: u32, last: u32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the table is this thread's own, and nothing on this thread has a descriptor yet.
    let code = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs `call` where what libcpg writes to standard error under flow control ([B8](crate::facts#b8)) goes nowhere; `keep` is
/// the descriptor that the call needs.
///
/// The rest of the process keeps its standard error.
#[cfg(not(cpg_model))]
pub(crate) fn quietly<T: Send>(keep: RawFd, call: impl FnOnce() -> T + Send) -> T {
    let call = Mutex::new(Some(call));
    let take = || call.lock().unwrap_or_else(PoisonError::into_inner).take();
    let quiet = apart(keep, |tables, _: StackLeft<0>| {
        // Where the system does not allow it, a noisy call is better than none.
        if tables == Tables::Own {
            let _ = silence_stderr();
        }
        take().map(|call| call())
    });
    quiet.ok().flatten().or_else(|| take().map(|call| call())).expect("one of the two has taken it")
}

/// In the model all threads are one, which lets others go on in the call.
#[cfg(cpg_model)]
pub(crate) fn quietly<T: Send>(_keep: RawFd, call: impl FnOnce() -> T + Send) -> T {
    call()
}

/// Makes `/dev/null` of standard error, on a thread that has a table of its own.
fn silence_stderr() -> io::Result<()> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    // SAFETY: both are numbers, and the table is this thread's own.
    let code = unsafe { libc::dup2(null.as_raw_fd(), libc::STDERR_FILENO) };
    if code >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::thread::ThreadId;

    use super::*;

    /// What `/proc` says of the calling thread.
    fn status(key: &str) -> String {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_start_matches(':').trim().to_owned()
    }

    fn blocked() -> u64 {
        u64::from_str_radix(&status("SigBlk"), 16).unwrap()
    }

    #[test]
    fn threads_of_the_crate_block_all_signals_and_their_callers_do_not() {
        let before = blocked();
        // All but KILL, STOP, and two of the C library's own.
        let all = !0_u64 ^ 1 << (libc::SIGKILL - 1) ^ 1 << (libc::SIGSTOP - 1) ^ 0b11 << 31;
        for blocked in [
            spawn(blocked).unwrap().join().unwrap(),
            elsewhere(blocked).unwrap(),
            apart(-1, |_, _: StackLeft<0>| blocked()).unwrap(),
            quietly(-1, blocked),
        ] {
            assert_eq!(blocked & all, all, "{blocked:x}");
        }
        assert_eq!(blocked(), before);
    }

    #[test]
    fn threads_of_the_crate_have_a_stack_for_each_call_whatever_the_programs_default_is() {
        // std reads RUST_MIN_STACK once, and uses it where no size is given.
        const NEEDED: usize = 384 << 10;
        assert!(spawn(|| StackLeft::<NEEDED>::ask().is_ok()).unwrap().join().unwrap());
        assert!(elsewhere(|| StackLeft::<NEEDED>::ask().is_ok()).unwrap());
        assert!(spawn(|| StackLeft::<STACK>::ask().is_err()).unwrap().join().unwrap());
    }

    #[test]
    fn a_call_that_has_no_stack_here_is_made_elsewhere() {
        const NEEDED: usize = 300 << 10;
        fn at(_: StackLeft<NEEDED>) -> ThreadId {
            std::thread::current().id()
        }
        /// Where it is made at the end of the stack.
        fn deep() -> ThreadId {
            let page = std::hint::black_box([0_u8; 4096]);
            let made = if StackLeft::<NEEDED>::ask().is_ok() { deep() } else { with_stack(at).unwrap() };
            std::hint::black_box(page);
            made
        }
        let here = std::thread::current().id();
        assert_eq!(with_stack(at).unwrap(), here);
        assert_ne!(deep(), here);
    }

    #[test]
    fn a_thread_apart_has_its_own_umask_and_descriptors_and_only_those_it_needs() {
        let (kept, other) = (File::open("/dev/null").unwrap(), File::open("/dev/zero").unwrap());
        let umask = status("Umask");
        let listed = || -> Vec<String> {
            let entries = std::fs::read_dir("/proc/thread-self/fd").unwrap();
            let links = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
            links.map(|link| link.display().to_string()).collect()
        };
        let (inside, opened) = apart(kept.as_raw_fd(), |tables, _: StackLeft<0>| {
            assert_eq!(tables, Tables::Own);
            // SAFETY: it cannot fail.
            unsafe { libc::umask(0o70) };
            (listed(), File::open("/dev/full").unwrap().as_raw_fd())
        })
        .unwrap();
        assert!(inside.iter().any(|link| link == "/dev/null"), "{inside:?}");
        assert!(!inside.iter().any(|link| link == "/dev/zero"), "{inside:?}");
        assert!(!listed().iter().any(|link| link == "/dev/full"), "{opened}");
        assert_eq!(status("Umask"), umask);
        drop(other);
    }

    #[test]
    fn a_panic_elsewhere_goes_on_here() {
        let caught = std::panic::catch_unwind(|| elsewhere(|| panic!("there")));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"there"));
    }
}
