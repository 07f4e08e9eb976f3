//! A child of a client, which has all that its parent has and may use none of it (A7, A17), and signals that do nothing.
//!
//! The child is alone: threads of its parent may have held any lock. So it neither prints nor writes records, tries to send and to
//! dispatch, and says by its exit status what came of that.
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

/// What a child tries to send.
pub const MESSAGE: &[u8] = b"of a child";

const REFUSED: i32 = 0;
const USED: i32 = 10;

extern "C" fn nothing(_: libc::c_int) {}

/// Has signals interrupt calls, and do nothing else.
pub fn bear_signals() -> io::Result<()> {
    // Without SA_RESTART.
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    Ok(())
}

/// Forks. True in the child; a thread of the parent writes down how that ends.
fn split(book: &Arc<Book>) -> bool {
    // SAFETY: the child takes no lock of this program's, does what the crate says that it bears, and ends without handlers.
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
    // A child of a client that is stopped runs on, and this thread does not: what counts are its own looks.
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
            // It may have ended just now.
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
            return Child::Hung;
        }
        std::thread::sleep(TICK.min(Duration::from_millis(20)));
    }
}

/// Forks between two dispatches, if that is wanted: true in the child.
pub fn between(book: &Arc<Book>) -> bool {
    book.takes_fork(Place::Between) && split(book)
}

/// Forks in a handler, if that is wanted: true in the child, which has tried to send and goes on with the dispatch.
pub fn in_handler<T>(book: &Arc<Book>, send: impl FnOnce() -> cpg::Result<T>) -> bool {
    if !book.takes_fork(Place::Handler) || !split(book) {
        return false;
    }
    tried(&send());
    true
}

/// A dispatch has returned: a child that was forked in its handler tries one more, and ends. A limit may have ended the first.
pub fn after<T, U>(book: &Book, handled: &cpg::Result<T>, again: impl FnOnce() -> cpg::Result<U>) {
    if !book.is_parent() {
        if handled.is_err() {
            tried(handled);
        }
        tried(&again());
        done();
    }
}

/// The child has tried something, and ends if it was not refused.
pub fn tried<T>(result: &cpg::Result<T>) {
    if !matches!(result, Err(Error::Forked { .. })) {
        end(USED);
    }
}

/// The child has come to its end: all was refused.
pub fn done() -> ! {
    end(REFUSED)
}

fn end(status: i32) -> ! {
    // SAFETY: it does not return, and runs no handlers of the parent's.
    unsafe { libc::_exit(status) }
}
