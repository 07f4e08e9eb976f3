//! The way back to a daemon, by a thread of its own: connecting and joining can wait for it without a limit (B16).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
#[cfg(not(cpg_model))]
use std::sync::Condvar;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::dispatch::waker::Waker;
use crate::error::{Error, Result};
use crate::ffi::events::EventHalf;
use crate::ffi::options::ConnectOptions;
use crate::ffi::requests::Small;
use crate::group_name::GroupName;
use crate::handle::backoff::{PATIENCE, Pauses};
use crate::handle::daemon::Daemon;
use crate::member::Member;
use crate::os::lock::Lock;
#[cfg(cpg_model)]
use crate::os::model::Condvar;
use crate::os::thread;
use crate::outlook::Outlook;

/// A connection that has joined, and the member that it is.
pub(super) type Found = (Daemon, EventHalf, Member);

/// A thread that connects and joins anew, until that succeeds. Dropping this ends it: what it finds after that is closed by the
/// thread.
#[derive(Debug)]
pub(crate) struct Rejoin(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Lock<State>,
    given_up: Condvar,
}

#[derive(Debug, Default)]
struct State {
    given_up: bool,
    found: Option<Result<Found>>,
}

impl Rejoin {
    /// Starts the thread: it closes what is left of the old connection, then connects and joins until that succeeds, and rings
    /// the bell when it has. `seen` is what the last membership has seen of the group: no iteration is needed then, so that no
    /// daemon that dies again while it is joined can keep a connection (A19).
    pub(super) fn start(
        connect: ConnectOptions,
        name: GroupName,
        seen: Option<Small>,
        pauses: Pauses,
        bell: Waker,
        close_old: impl FnOnce() + Send + 'static,
    ) -> Result<Self> {
        let inner = Arc::new(Inner { state: Lock::new(State::default()), given_up: Condvar::new() });
        let search = Arc::clone(&inner);
        let work = move || {
            close_old();
            search.work(connect, &name, seen, pauses, &bell);
        };
        thread::spawn(work)?;
        Ok(Self(inner))
    }

    /// Takes what it has found, or the error that has ended it; None while it goes on.
    pub(super) fn take(&self) -> Option<Result<Found>> {
        self.0.state.lock().ok()?.found.take()
    }
}

impl Drop for Rejoin {
    fn drop(&mut self) {
        // A child has neither the thread nor, it may be, the lock.
        let Ok(mut state) = self.0.state.lock() else { return };
        state.given_up = true;
        let found = state.found.take();
        drop(state);
        self.0.given_up.notify_all();
        drop(found);
    }
}

impl Inner {
    fn work(
        &self,
        connect: ConnectOptions,
        name: &GroupName,
        seen: Option<Small>,
        pauses: Pauses,
        bell: &Waker,
    ) {
        let mut pause = pauses.first;
        let found = loop {
            if !self.rest(jittered(pause)) {
                return;
            }
            pause = pauses.after(pause);
            match join(connect, name, seen) {
                Err(error) if passes(&error) => {}
                found => break found,
            }
        };
        let Ok(mut state) = self.state.lock() else { return };
        // It is closed here, and not by whoever gives up: that waits for the daemon.
        if !state.given_up {
            state.found = Some(found);
            // Under the lock: rung after the session has taken it, the bell would stay readable.
            bell.wake();
        }
    }

    /// Waits for so long; false if the search has been given up.
    fn rest(&self, pause: Duration) -> bool {
        let Ok(state) = self.state.lock() else { return false };
        let waited = self.given_up.wait_timeout_while(state, pause, |state| !state.given_up);
        !waited.unwrap_or_else(PoisonError::into_inner).0.given_up
    }
}

fn join(connect: ConnectOptions, name: &GroupName, seen: Option<Small>) -> Result<Found> {
    let deadline = Instant::now() + PATIENCE;
    let (_, (handle, me)) = connect.open_by(None)?.into_member(name, deadline, seen)?;
    let (daemon, events) = handle.into_halves();
    Ok((daemon, events, me))
}

/// Returns a pause between half of this one and all of it.
fn jittered(pause: Duration) -> Duration {
    // The standard library's keys are random.
    let random = u32::try_from(RandomState::new().build_hasher().finish() & 0xffff).unwrap_or(0);
    // The division comes first: the longest of pauses would overflow.
    pause / 2 + pause / 2 / 0xffff * random
}

/// True if waiting can mend what kept a session from coming back.
///
/// Not so of the daemon of another user ([`Error::UntrustedDaemon`]), though it may go: whose socket that is must not stay unsaid.
fn passes(error: &Error) -> bool {
    match error {
        Error::TimedOut { .. } | Error::NoDescriptors(_) | Error::TooManyHandles { .. } => true,
        // A connection takes threads of its own (A14, A19).
        Error::Io { source, .. } => source.is_shortage(),
        error => error.outlook().is_some_and(|outlook| outlook != Outlook::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::group_name::NameError;

    fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !done() {
            assert!(Instant::now() < deadline, "waited for {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_thread_of_a_search_that_is_given_up_ends_in_the_middle_of_its_pause() {
        let pause = Duration::from_secs(100 * 3600);
        let name = GroupName::new("search").unwrap();
        let bell = Waker::new().unwrap();
        let (say, thread) = std::sync::mpsc::channel();
        let tell = move || say.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
        let search = Rejoin::start(
            ConnectOptions::new(),
            name,
            None,
            Pauses { first: pause, longest: pause },
            bell,
            tell,
        )
        .unwrap();
        let stat = Path::new("/proc").join(thread.recv().unwrap()).join("stat");
        let mut asleep = 0;
        wait_for("the thread to rest", || {
            let rests = std::fs::read_to_string(&stat).unwrap().contains(") S ");
            asleep = if rests { asleep + 1 } else { 0 };
            asleep == 5
        });
        // The thread has the other one of two.
        let inner = Arc::downgrade(&search.0);
        assert_eq!(inner.strong_count(), 2);
        drop(search);
        wait_for("the thread to end, which would join a group that was left", || inner.strong_count() == 0);
    }

    #[test]
    fn a_jittered_pause_is_between_half_and_all_of_it() {
        let pause = Duration::from_millis(100);
        let pauses: Vec<_> = (0..1000).map(|_| jittered(pause)).collect();
        assert!(pauses.iter().all(|&jittered| (pause / 2..=pause).contains(&jittered)));
        assert!(jittered(Duration::MAX) >= Duration::MAX / 2, "the longest of all");
        // All in one half would be no jitter.
        assert!(pauses.iter().any(|&jittered| jittered < pause * 3 / 4));
        assert!(pauses.iter().any(|&jittered| jittered > pause * 3 / 4));
    }

    #[test]
    fn what_a_person_has_to_mend_is_not_waited_for() {
        for code in [cpg_sys::CS_ERR_ACCESS, cpg_sys::CS_ERR_EXIST, cpg_sys::CS_ERR_INVALID_PARAM] {
            assert!(!passes(&Error::cs("cpg_join", code)), "{code}");
        }
        assert!(!passes(&Error::InvalidName(NameError::Empty)));
        assert!(!passes(&Error::GroupTooLarge { members: 128, limit: 128 }));
        assert!(!passes(&Error::UntrustedDaemon { uid: 1000, is_overflow: false }));
        assert!(!passes(&Error::DatagramIpc));
        // Each code is in the test of the page about codes.
        for code in [cpg_sys::CS_ERR_LIBRARY, cpg_sys::CS_ERR_TRY_AGAIN, cpg_sys::CS_ERR_NO_SPACE] {
            assert!(passes(&Error::cs("cpg_model_initialize", code)), "{code}");
        }
        assert!(passes(&Error::TooManyHandles { open: 47 }));
        let io = |code| Error::io("starting a thread")(std::io::Error::from_raw_os_error(code));
        for code in [libc::EAGAIN, libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
            assert!(passes(&io(code)), "{code}");
        }
        assert!(!passes(&io(libc::EPERM)));
    }
}
