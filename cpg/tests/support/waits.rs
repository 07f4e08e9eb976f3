//! The frame of the tests of waiting calls. Each call is tested with a paused daemon, with a daemon that is killed
//! during the wait, and with a dead daemon.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cpg::{ConnectOptions, Error, TotemEvents};
use testcluster::Cluster;

use super::{asleep_after, wait_for};

/// A case: a function that prepares a call, makes the call and checks its result.
pub struct Case {
    pub what: &'static str,
    pub paused: Paused,
    pub dead: Dead,
    pub run: fn(&Gate) -> Result<(), End>,
}

/// Returns a case whose call waits for a paused daemon, and reports a dead one.
pub const fn waits(what: &'static str, run: fn(&Gate) -> Result<(), End>) -> Case {
    Case { what, paused: Paused::Waits, dead: Dead::Lost, run }
}

/// Returns a case whose call does not wait, and reports a dead daemon.
pub const fn returns(what: &'static str, run: fn(&Gate) -> Result<(), End>) -> Case {
    Case { what, paused: Paused::Returns, dead: Dead::Lost, run }
}

/// Returns a case whose call waits for a paused daemon, and ends without an error if the daemon is dead.
pub const fn ends(what: &'static str, run: fn(&Gate) -> Result<(), End>) -> Case {
    Case { what, paused: Paused::Waits, dead: Dead::Fine, run }
}

/// It waits for a moment at most, and has nobody to tell when the daemon is dead.
pub const fn drops(what: &'static str, run: fn(&Gate) -> Result<(), End>) -> Case {
    Case { what, paused: Paused::Returns, dead: Dead::Fine, run }
}

/// The behaviour of a call while the daemon is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    /// The call waits for the daemon to go on, for as long as a request may.
    Waits,
    /// The call returns at once, or by its deadline.
    Returns,
}

/// The result of a call when the daemon is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dead {
    /// An error that says that the connection is lost.
    Lost,
    /// No error: the call needs no daemon, or cannot report one.
    Fine,
}

/// The reason for which a case ended early.
#[derive(Debug)]
pub enum End {
    Failed(Error),
    /// The call has returned, and there is no daemon with which its result could be checked.
    NoDaemon,
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

const PREPARING: u8 = 0;
const PREPARED: u8 = 1;
const CALLING: u8 = 2;
const RETURNED: u8 = 3;
const LOOKING: u8 = 4;
const DEAD: u8 = 5;

/// The synchronization between a case and its test.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    cluster: Arc<Cluster>,
    name: String,
    phase: AtomicU8,
    thread: AtomicI32,
}

impl Gate {
    /// Returns the name of a group that no other case uses.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }

    /// Ends the preparation. The call follows.
    pub fn call(&self) {
        self.reach(PREPARED, CALLING);
    }

    /// Notes that the call has returned. The check of its result follows, with a daemon that runs.
    pub fn returned(&self) -> Result<(), End> {
        self.reach(RETURNED, LOOKING);
        if self.phase() == DEAD { Err(End::NoDaemon) } else { Ok(()) }
    }

    fn phase(&self) -> u8 {
        self.0.phase.load(Ordering::SeqCst)
    }

    fn set(&self, phase: u8) {
        self.0.phase.store(phase, Ordering::SeqCst);
    }

    fn reach(&self, phase: u8, next: u8) {
        // If the daemon is dead, the case ends here.
        let old = self.0.phase.fetch_max(phase, Ordering::SeqCst);
        if old != DEAD {
            wait_for("the test", || (self.phase() >= next).then_some(()));
        }
    }
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_millis(20)
}

/// Returns options without events about rings, which a daemon that has just been started forms.
pub fn quiet() -> ConnectOptions {
    ConnectOptions::new().totem_events(TotemEvents::None)
}

/// Passes on any error except that of a deadline.
pub fn late(error: Error) -> Result<(), Error> {
    if error.is_retryable() { Ok(()) } else { Err(error) }
}

/// A case that runs.
struct Running {
    case: &'static Case,
    gate: Gate,
    thread: JoinHandle<Result<(), End>>,
}

impl Running {
    /// Starts a case, and waits until its preparation is over.
    fn prepare(cluster: &Arc<Cluster>, case: &'static Case) -> Self {
        let name = case.what.to_owned();
        let (phase, thread) = (AtomicU8::new(PREPARING), AtomicI32::new(0));
        let gate = Gate(Arc::new(Inner { cluster: Arc::clone(cluster), name, phase, thread }));
        let inner = gate.clone();
        let thread = cluster.spawn_on(1, move || {
            // SAFETY: `gettid` has no precondition.
            inner.0.thread.store(unsafe { libc::gettid() }, Ordering::SeqCst);
            (case.run)(&inner)
        });
        let running = Self { case, gate, thread };
        running.wait("be prepared", |running| running.gate.phase() == PREPARED);
        running
    }

    fn wait(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        wait_for(&format!("`{}` to {what}", self.case.what), || {
            (done(self) || self.thread.is_finished()).then_some(())
        });
    }

    /// Waits until the call sleeps, at each look during a moment.
    fn fall_asleep(&self) {
        let thread = self.gate.0.thread.load(Ordering::SeqCst);
        let mut asleep = 0;
        self.wait("wait", |_| {
            asleep = if asleep_after(thread).is_some() { asleep + 1 } else { 0 };
            asleep == 5
        });
    }

    fn is_over(&self) -> bool {
        self.gate.phase() == RETURNED || self.thread.is_finished()
    }

    fn finish(self) -> Result<(), End> {
        self.wait("come back", |_| false);
        self.thread.join().unwrap_or_else(|panic| {
            eprintln!("in `{}`", self.case.what);
            std::panic::resume_unwind(panic)
        })
    }

    /// Finishes a case whose daemon has been killed.
    fn finish_dead(self) {
        self.gate.set(DEAD);
        let Case { what, dead, .. } = self.case;
        match (self.finish(), dead) {
            (Err(End::Failed(error)), Dead::Lost) => {
                assert!(error.is_connection_lost() && !error.is_retryable(), "`{what}`: {error}");
            }
            (Ok(()) | Err(End::NoDaemon), Dead::Fine) => {}
            (result, _) => panic!("`{what}` gave {result:?}"),
        }
    }
}

fn cluster() -> Arc<Cluster> {
    Arc::new(Cluster::start(1).unwrap())
}

/// Makes each call while the daemon is paused. The call must wait or return as it should, and must have lost nothing
/// when the daemon goes on.
pub fn with_a_paused_daemon(cases: &'static [Case]) {
    let cluster = cluster();
    for case in cases {
        let running = Running::prepare(&cluster, case);
        cluster.pause(1).unwrap();
        running.gate.set(CALLING);
        if case.paused == Paused::Waits {
            running.fall_asleep();
            if running.is_over() {
                running.gate.set(LOOKING);
                panic!("`{}` has not waited: {:?}", case.what, running.finish());
            }
            cluster.resume(1).unwrap();
        }
        running.wait("come back", Running::is_over);
        if case.paused == Paused::Returns {
            cluster.resume(1).unwrap();
        }
        running.gate.set(LOOKING);
        if let Err(end) = running.finish() {
            panic!("`{}`: {end:?}", case.what);
        }
    }
}

/// The number of cases at the same time, so that they use fewer handles than a process can have (A13).
const AT_ONCE: usize = 8;

/// Kills the daemon while each waiting call waits. The call must end.
pub fn with_a_daemon_that_is_killed_meanwhile(cases: &'static [Case]) {
    let cluster = cluster();
    let waiting: Vec<_> = cases.iter().filter(|case| case.paused == Paused::Waits).collect();
    for cases in waiting.chunks(AT_ONCE) {
        let running: Vec<_> = cases.iter().map(|case| Running::prepare(&cluster, case)).collect();
        cluster.pause(1).unwrap();
        for running in &running {
            running.gate.set(CALLING);
        }
        running.iter().for_each(Running::fall_asleep);
        cluster.kill(1).unwrap();
        running.into_iter().for_each(Running::finish_dead);
        cluster.restart(1).unwrap();
    }
}

/// Makes each call after the daemon has died.
pub fn with_a_dead_daemon(cases: &'static [Case]) {
    let cluster = cluster();
    for cases in cases.chunks(AT_ONCE) {
        let running: Vec<_> = cases.iter().map(|case| Running::prepare(&cluster, case)).collect();
        cluster.kill(1).unwrap();
        running.into_iter().for_each(Running::finish_dead);
        cluster.restart(1).unwrap();
    }
}

/// Makes the three tests of the cases of a file, each in a separate process.
#[allow(unused_macros, reason = "each layer uses a part")]
macro_rules! with_each_daemon {
    ($cases:expr) => {
        #[test]
        fn no_call_loses_anything_while_the_daemon_is_paused() {
            crate::support::process::own_process!();
            crate::support::waits::with_a_paused_daemon($cases);
        }

        #[test]
        fn no_call_waits_for_a_daemon_that_is_killed() {
            crate::support::process::own_process!();
            crate::support::waits::with_a_daemon_that_is_killed_meanwhile($cases);
        }

        #[test]
        fn no_call_waits_for_a_dead_daemon() {
            crate::support::process::own_process!();
            crate::support::waits::with_a_dead_daemon($cases);
        }
    };
}
#[allow(unused_imports, reason = "each layer uses a part")]
pub(crate) use with_each_daemon;
