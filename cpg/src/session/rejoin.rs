//! The search for the daemon after a loss. A thread of its own connects and joins, because both wait for the daemon
//! ([B16](crate::facts#b16)).

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
#[cfg(not(cpg_model))]
use std::sync::Condvar;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::dispatch::waker::Waker;
use crate::error::Result;
use crate::ffi::events::EventHalf;
use crate::ffi::options::ConnectOptions;
use crate::ffi::requests::Small;
use crate::group_name::GroupName;
use crate::handle::backoff::Pauses;
use crate::handle::daemon::Daemon;
use crate::member::Member;
use crate::os::lock::Lock;
#[cfg(cpg_model)]
use crate::os::model::Condvar;
use crate::os::patience::Patience;
use crate::os::worker::{Work, Worker};

/// A new connection that has joined, and its member.
pub(super) type Found = (Daemon, EventHalf, Member);

/// A thread that connects and joins again until that succeeds. Dropping this value ends the search. If the thread joins after
/// that, it closes the connection itself.
pub(crate) struct Rejoin {
    inner: Arc<Inner>,
    /// The thread's work, while no thread can be started.
    work: Option<Work>,
}

impl fmt::Debug for Rejoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejoin").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// The state that the thread and its starter share.
#[derive(Debug)]
struct Inner {
    state: Lock<State>,
    given_up: Condvar,
}

/// The outcome of the search so far.
#[derive(Debug, Default)]
struct State {
    given_up: bool,
    found: Option<Result<Found>>,
}

impl Rejoin {
    /// Starts the thread. The thread closes the old connection, then connects and joins until that succeeds, and then rings the
    /// bell. `seen` is the proof from the last membership that the group is small, so that joining needs no iteration. (During an
    /// iteration, a daemon that dies again would keep the connection, [A19](crate::facts#a19).)
    pub(super) fn start(
        connect: ConnectOptions,
        name: GroupName,
        seen: Option<Small>,
        pauses: Pauses,
        bell: Waker,
        close_old: impl FnOnce() + Send + 'static,
    ) -> Self {
        let inner = Arc::new(Inner { state: Lock::new(State::default()), given_up: Condvar::new() });
        let search = Arc::clone(&inner);
        let work = move || {
            close_old();
            search.work(connect, &name, seen, pauses, &bell);
        };
        let mut this = Self { inner, work: Some(Box::new(work)) };
        this.begin();
        this
    }

    /// Starts the thread, if a thread can be had.
    fn begin(&mut self) {
        let Some(work) = self.work.take() else { return };
        match Worker::start() {
            Ok(worker) => self.work = worker.give(work).err(),
            Err(_) => self.work = Some(work),
        }
    }

    /// True while no thread could be started. [`take`](Self::take) tries again.
    pub(super) fn wants_thread(&self) -> bool {
        self.work.is_some()
    }

    /// Takes the result of the search, or the error that has ended it. `None` while the search goes on.
    pub(super) fn take(&mut self) -> Option<Result<Found>> {
        self.begin();
        self.inner.state.lock().ok()?.found.take()
    }
}

impl Drop for Rejoin {
    fn drop(&mut self) {
        // A forked child has no such thread, and may not have the lock.
        let Ok(mut state) = self.inner.state.lock() else { return };
        state.given_up = true;
        let found = state.found.take();
        drop(state);
        self.inner.given_up.notify_all();
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
            match self.join(connect, name, seen) {
                Err(error) if error.passes() => {}
                found => break found,
            }
        };
        let Ok(mut state) = self.state.lock() else { return };
        // If the search was given up, the result is closed on this thread, because closing waits for the daemon.
        if !state.given_up {
            state.found = Some(found);
            // Under the lock: if the bell were rung after the session has taken the result, it would stay readable.
            bell.wake();
        }
    }

    /// Makes one attempt. It ends when the search is given up, or at the time limits of its requests.
    fn join(&self, connect: ConnectOptions, name: &GroupName, seen: Option<Small>) -> Result<Found> {
        let wanted = || self.state.lock().is_ok_and(|state| !state.given_up);
        let patience = Patience::FOREVER.while_wanted(&wanted);
        let handle = connect.open(&patience.at_most(connect.timeout()))?;
        let (handle, me) = handle.into_member(name, &patience.at_most(connect.timeout()), seen)?;
        let (daemon, events) = handle.into_halves();
        Ok((daemon, events, me))
    }

    /// Waits for this time. False if the search has been given up.
    fn rest(&self, pause: Duration) -> bool {
        let Ok(state) = self.state.lock() else { return false };
        let waited = self.given_up.wait_timeout_while(state, pause, |state| !state.given_up);
        !waited.unwrap_or_else(PoisonError::into_inner).0.given_up
    }
}

/// Returns a random pause between half of this one and all of it.
fn jittered(pause: Duration) -> Duration {
    // The keys of the standard library's hash maps are random.
    let random = u32::try_from(RandomState::new().build_hasher().finish() & 0xffff).unwrap_or(0);
    // Divides first, because the longest pause would overflow.
    pause / 2 + pause / 2 / 0xffff * random
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use super::*;

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
        );
        let stat = Path::new("/proc").join(thread.recv().unwrap()).join("stat");
        let mut asleep = 0;
        wait_for("the thread to rest", || {
            let rests = std::fs::read_to_string(&stat).unwrap().contains(") S ");
            asleep = if rests { asleep + 1 } else { 0 };
            asleep == 5
        });
        // The thread has the second reference.
        let inner = Arc::downgrade(&search.inner);
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
        // If all pauses were in one half, they would not be spread.
        assert!(pauses.iter().any(|&jittered| jittered < pause * 3 / 4));
        assert!(pauses.iter().any(|&jittered| jittered > pause * 3 / 4));
    }
}
