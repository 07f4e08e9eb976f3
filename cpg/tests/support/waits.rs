//! Calls that wait, each with a daemon that is stopped, one that is killed while they wait, and one that is dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cpg::{ConnectOptions, Error, TotemEvents};
use testcluster::Cluster;

use super::{asleep_after, wait_for};

/// A call, in a function that prepares for it and looks at what came of it.
pub struct Case {
    pub what: &'static str,
    pub paused: Paused,
    pub dead: Dead,
    pub run: fn(&Gate) -> Result<(), End>,
}

/// It waits for a daemon that is stopped, and says when it is dead.
pub const fn waits(what: &'static str, run: fn(&Gate) -> Result<(), End>) -> Case {
    Case { what, paused: Paused::Waits, dead: Dead::Lost, run }
}

/// It does not wait, and says when the daemon is dead.
pub const fn returns(what: &'static str, run: fn(&Gate) -> Result<(), End>) -> Case {
    Case { what, paused: Paused::Returns, dead: Dead::Lost, run }
}

/// It waits for a daemon that is stopped, and ends without an error when it is dead.
pub const fn ends(what: &'static str, run: fn(&Gate) -> Result<(), End>) -> Case {
    Case { what, paused: Paused::Waits, dead: Dead::Fine, run }
}

/// What a call does while the daemon is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    /// It waits for the daemon to go on, also past a deadline that it has (B16).
    Waits,
    /// It comes back: at once, or by its deadline.
    Returns,
}

/// What a call says when the daemon is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dead {
    /// That the connection is lost.
    Lost,
    /// Nothing: it needs no daemon, or has nobody to tell.
    Fine,
}

/// Why a case ended before its end.
#[derive(Debug)]
pub enum End {
    Failed(Error),
    /// The call came back, and there is no daemon to look at the outcome with.
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

/// Where a case meets the test.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    cluster: Arc<Cluster>,
    name: String,
    phase: AtomicU8,
    thread: AtomicI32,
}

impl Gate {
    /// A group of its own.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }

    /// Ends the preparation; what follows is the call.
    pub fn call(&self) {
        self.reach(PREPARED, CALLING);
    }

    /// The call has come back; what follows looks at what came of it, with a daemon that runs.
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
        // There is nobody to wait for when the daemon is dead.
        let old = self.0.phase.fetch_max(phase, Ordering::SeqCst);
        if old != DEAD {
            wait_for("the test", || (self.phase() >= next).then_some(()));
        }
    }
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_millis(20)
}

/// Without the rings of a daemon that has just been started.
pub fn quiet() -> ConnectOptions {
    ConnectOptions::new().totem_events(TotemEvents::None)
}

/// An error that says that the deadline has passed, or another one.
pub fn late(error: Error) -> Result<(), Error> {
    if error.is_retryable() { Ok(()) } else { Err(error) }
}

/// A case under way.
struct Running {
    case: &'static Case,
    gate: Gate,
    thread: JoinHandle<Result<(), End>>,
}

impl Running {
    /// Starts a case, and waits until it is prepared.
    fn prepare(cluster: &Arc<Cluster>, case: &'static Case) -> Self {
        let name = case.what.to_owned();
        let (phase, thread) = (AtomicU8::new(PREPARING), AtomicI32::new(0));
        let gate = Gate(Arc::new(Inner { cluster: Arc::clone(cluster), name, phase, thread }));
        let inner = gate.clone();
        let thread = cluster.spawn_on(1, move || {
            // SAFETY: it takes and breaks nothing.
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

    /// Waits until the call is asleep, whenever it is looked at for a moment.
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

    /// Finishes with a daemon that has been killed.
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

/// Each call is made while the daemon is stopped, waits or comes back, and has lost nothing when the daemon goes on.
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

/// Cases at once, so that their handles are fewer than a process can have (A13).
const AT_ONCE: usize = 8;

/// Each call that waits for the daemon waits when it is killed, and ends.
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

/// Each call is made when the daemon is dead.
pub fn with_a_dead_daemon(cases: &'static [Case]) {
    let cluster = cluster();
    for cases in cases.chunks(AT_ONCE) {
        let running: Vec<_> = cases.iter().map(|case| Running::prepare(&cluster, case)).collect();
        cluster.kill(1).unwrap();
        running.into_iter().for_each(Running::finish_dead);
        cluster.restart(1).unwrap();
    }
}

/// The three tests of the cases of a file, each in a process of its own.
#[allow(unused_macros, reason = "each layer uses a part")]
macro_rules! with_each_daemon {
    ($cases:expr) => {
        #[test]
        fn nothing_is_lost_to_a_paused_daemon() {
            crate::support::process::own_process!();
            crate::support::waits::with_a_paused_daemon($cases);
        }

        #[test]
        fn nothing_waits_for_a_daemon_that_is_killed() {
            crate::support::process::own_process!();
            crate::support::waits::with_a_daemon_that_is_killed_meanwhile($cases);
        }

        #[test]
        fn nothing_waits_for_a_dead_daemon() {
            crate::support::process::own_process!();
            crate::support::waits::with_a_dead_daemon($cases);
        }
    };
}
#[allow(unused_imports, reason = "each layer uses a part")]
pub(crate) use with_each_daemon;
