//! Forked children of a client, which have the connection of their parent and must not be able to use it (A7, A17); and
//! signals that only interrupt calls.
//!
//! A child has only one thread, and other threads of the parent may have held any lock. So the child neither prints nor
//! writes records. It tries to send and to dispatch, and reports the result by its exit status.
#![allow(unsafe_code, reason = "fork, _exit and sigaction are")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cpg::Error;
use cpg_checker::record::{Child, Record};
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::book::{Book, Place};
use super::watchdog::{HANG, Silence, TICK};

/// The message that a child tries to send.
pub const MESSAGE: &[u8] = b"of a child";

const REFUSED: i32 = 0;
const USED: i32 = 10;

extern "C" fn nothing(_: libc::c_int) {}

/// Installs a signal handler that does nothing, so that signals only interrupt calls.
pub fn bear_signals() -> io::Result<()> {
    // Without SA_RESTART, so that calls are interrupted.
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    Ok(())
}

/// Forks. Returns true in the child. A thread of the parent records the end of the child.
fn split(book: &Arc<Book>) -> bool {
    // SAFETY: the child takes no lock of this program, makes only calls that the crate allows in a child, and ends by
    // `_exit`.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => true,
        Ok(ForkResult::Parent { child }) => {
            let for_thread = Arc::clone(book);
            book.wait_for(std::thread::spawn(move || {
                for_thread.write(&Record::Fork(end_of(child)));
                for_thread.flush();
            }));
            false
        }
        Err(error) => {
            eprintln!("fork: {error}");
            false
        }
    }
}

fn end_of(child: Pid) -> Child {
    // If the client is stopped, its child runs on but this thread does not. So the looks of this thread are counted.
    let mut silence = Silence::default();
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {}
            Ok(WaitStatus::Exited(_, REFUSED)) => return Child::Refused,
            other => {
                eprintln!("the child {child}: {other:?}");
                return Child::Used;
            }
        }
        if silence.grows() >= HANG {
            eprintln!("the child {child} does not end");
            // The child may have ended just now.
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
            return Child::Hung;
        }
        std::thread::sleep(TICK.min(Duration::from_millis(20)));
    }
}

/// Forks between two dispatches, if the client is to fork there. Returns true in the child.
pub fn between(book: &Arc<Book>) -> bool {
    book.takes_fork(Place::Between) && split(book)
}

/// Forks in a handler, if the client is to fork there. Returns true in the child, which has tried to send and goes on
/// with the dispatch.
pub fn in_handler<T>(book: &Arc<Book>, send: impl FnOnce() -> cpg::Result<T>) -> bool {
    if !book.takes_fork(Place::Handler) || !split(book) {
        return false;
    }
    tried(&send());
    true
}

/// Is called after a dispatch. A child that was forked in a handler tries to dispatch once more and ends, because a
/// limit may have ended the first dispatch.
pub fn after<T, U>(book: &Book, handled: &cpg::Result<T>, again: impl FnOnce() -> cpg::Result<U>) {
    if !book.is_parent() {
        if handled.is_err() {
            tried(handled);
        }
        tried(&again());
        done();
    }
}

/// Takes the result of an attempt of the child, and ends the child if the attempt was not refused.
pub fn tried<T>(result: &cpg::Result<T>) {
    if !matches!(result, Err(Error::Forked { .. })) {
        end(USED);
    }
}

/// Ends the child with the report that all attempts were refused.
pub fn done() -> ! {
    end(REFUSED)
}

fn end(status: i32) -> ! {
    // SAFETY: `_exit` does not return, and runs no exit handlers of the parent.
    unsafe { libc::_exit(status) }
}
