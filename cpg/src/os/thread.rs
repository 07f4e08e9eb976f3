//! Threads of this crate, and calls that are made on such a thread because they need more stack or separate tables.

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

/// The stack of a thread of this crate, whatever `RUST_MIN_STACK` says. These threads make requests and never dispatch.
const STACK: usize = 512 << 10;

/// The action that the text of an error names.
const STARTING: &str = "starting a thread to wait for the daemon";

/// Starts a thread that blocks all signals, so that the program's signal handlers run on the program's own threads.
#[cfg(not(cpg_model))]
pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    without_signals(|| builder().spawn(work)).map_err(Error::io(STARTING))
}

/// Starts a thread of the model.
#[cfg(cpg_model)]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as the other one")]
pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    Ok(shuttle::thread::spawn(work))
}

/// Sleeps, on a thread of this crate.
#[cfg(not(cpg_model))]
pub(crate) fn sleep(pause: Duration) {
    std::thread::sleep(pause);
}

/// Lets other threads of the model go on.
#[cfg(cpg_model)]
pub(crate) fn sleep(_pause: Duration) {
    model::pass();
}

/// Makes a call on a thread of this crate, and waits for it. A panic of the call continues here.
fn elsewhere<T: Send>(call: impl FnOnce() -> T + Send) -> Result<T> {
    elsewhere_while(call, || {})
}

/// Makes a call on a thread of this crate, as [`elsewhere`] does, while this thread runs `meanwhile`. If no thread can be
/// started, neither runs.
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

/// Runs `start` with all signals blocked on this thread. A thread that it starts inherits that.
fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the call fills in the set, and cannot fail.
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

/// Makes a call that needs `BYTES` of stack. It runs here if there is enough stack, and otherwise on a thread of this crate
/// ([A16](crate::facts#a16)).
///
/// # Errors
/// A thread is needed, and none can be started.
pub(crate) fn with_stack<const BYTES: usize, T: Send>(
    call: impl FnOnce(StackLeft<BYTES>) -> T + Send,
) -> Result<T> {
    match StackLeft::ask() {
        Ok(left) => Ok(call(left)),
        Err(_) => elsewhere(|| call(StackLeft::at_the_beginning::<STACK>())),
    }
}

/// The tables of descriptors that a call [apart] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    /// Separate tables: no other thread opens or closes a descriptor in them. The umask and the working directory are separate
    /// too, except in a container that filters `unshare`.
    Own,
    /// The tables of the process, because the system did not allow separate ones.
    Shared,
}

/// Makes a call on a thread with a separate table of descriptors, and its own umask and working directory.
///
/// The table holds only the standard descriptors and `keep`. Copies of other descriptors would keep files open that the process
/// closes meanwhile.
///
/// # Errors
/// No thread can be started.
pub(crate) fn apart<const BYTES: usize, T: Send>(
    keep: RawFd,
    call: impl FnOnce(Tables, StackLeft<BYTES>) -> T + Send,
) -> Result<T> {
    apart_while(keep, call, || {})
}

/// Makes a call as [`apart`] does, while this thread runs `meanwhile`.
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

/// Gives the calling thread a separate table of descriptors, which holds the standard ones and `keep`. If the system allows it,
/// the thread also gets its own umask and directories.
///
/// Closing a copy of a descriptor takes up to 2.4 microseconds, and flushes files on FUSE and NFS. So descriptors above `keep`
/// are not even copied.
fn own_tables(keep: RawFd) -> io::Result<()> {
    // SAFETY: the call has no precondition. From here on no other thread sees a change of this thread's umask. Containers filter the call.
    let _ = unsafe { libc::unshare(libc::CLONE_FS) };
    let keep = u32::try_from(keep).unwrap_or(0);
    // Linux has this from 5.9 on, and containers do not filter it.
    if close_range(keep.max(2) + 1, u32::MAX, libc::CLOSE_RANGE_UNSHARE).is_err() {
        // SAFETY: the call has no precondition. It is the same for the descriptors of this thread.
        if unsafe { libc::unshare(libc::CLONE_FILES) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // If this fails, the descriptors stay until the thread ends.
        let _ = close_range(keep.max(2) + 1, u32::MAX, 0);
    }
    if keep > 3 {
        let _ = close_range(3, keep - 1, 0);
    }
    Ok(())
}

/// Closes a range of descriptors, on a thread that has a separate table or gets one by this call.
fn close_range(first: u32, last: u32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the table belongs to this thread, and nothing on this thread owns a descriptor yet.
    let code = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs `call` with standard error discarded, because libcpg writes to it under flow control ([B8](crate::facts#b8)). The call
/// needs the descriptor `keep`.
///
/// Other threads of the process keep their standard error.
#[cfg(not(cpg_model))]
pub(crate) fn quietly<T: Send>(keep: RawFd, call: impl FnOnce() -> T + Send) -> T {
    let call = Mutex::new(Some(call));
    let take = || call.lock().unwrap_or_else(PoisonError::into_inner).take();
    let quiet = apart(keep, |tables, _: StackLeft<0>| {
        // If the system does not allow separate tables, a noisy call is better than none.
        if tables == Tables::Own {
            let _ = silence_stderr();
        }
        take().map(|call| call())
    });
    quiet.ok().flatten().or_else(|| take().map(|call| call())).expect("one of the two has taken it")
}

/// Runs `call` on this thread. The threads of the model share one thread of the system, and the call lets others go on.
#[cfg(cpg_model)]
pub(crate) fn quietly<T: Send>(_keep: RawFd, call: impl FnOnce() -> T + Send) -> T {
    call()
}

/// Redirects standard error to `/dev/null`, on a thread that has a separate table.
fn silence_stderr() -> io::Result<()> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    // SAFETY: both are numbers, and the table belongs to this thread.
    let code = unsafe { libc::dup2(null.as_raw_fd(), libc::STDERR_FILENO) };
    if code >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::thread::ThreadId;

    use super::*;

    /// Returns an entry of the calling thread's status in `/proc`.
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
        // All but KILL, STOP, and two signals that the C library keeps for itself.
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
    fn the_default_stack_size_of_the_program_does_not_matter_to_threads_of_the_crate() {
        // std reads RUST_MIN_STACK once, and uses it for threads without a given size.
        const NEEDED: usize = 384 << 10;
        assert!(spawn(|| StackLeft::<NEEDED>::ask().is_ok()).unwrap().join().unwrap());
        assert!(elsewhere(|| StackLeft::<NEEDED>::ask().is_ok()).unwrap());
        assert!(spawn(|| StackLeft::<STACK>::ask().is_err()).unwrap().join().unwrap());
    }

    #[test]
    fn a_call_without_enough_stack_here_is_made_on_another_thread() {
        const NEEDED: usize = 300 << 10;
        fn at(_: StackLeft<NEEDED>) -> ThreadId {
            std::thread::current().id()
        }
        /// Makes the call from near the end of the stack.
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
    fn a_thread_apart_has_a_separate_umask_and_only_the_descriptors_that_it_needs() {
        let (kept, other) = (File::open("/dev/null").unwrap(), File::open("/dev/zero").unwrap());
        let umask = status("Umask");
        let listed = || -> Vec<String> {
            let entries = std::fs::read_dir("/proc/thread-self/fd").unwrap();
            let links = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
            links.map(|link| link.display().to_string()).collect()
        };
        let (inside, opened) = apart(kept.as_raw_fd(), |tables, _: StackLeft<0>| {
            assert_eq!(tables, Tables::Own);
            // SAFETY: the call cannot fail.
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
    fn a_panic_on_another_thread_continues_on_this_thread() {
        let caught = std::panic::catch_unwind(|| elsewhere(|| panic!("there")));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"there"));
    }
}
