//! Fact A12: calls that make or end an entry in libcpg's tables run one at a time.
//!
//! The tests in `facts_a_races.rs` provoke the races that this prevents, which takes luck. Here a paused daemon holds a
//! call inside libcpg. The test needs a separate process, because other tests would hold the lock as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::process::own_process;
use crate::support::{asleep_after, wait_for, wait_until_the_lock_is_held};
use cpg::{ConnectOptions, Error, Handle};
use testcluster::Cluster;

/// A time that is longer than any of the calls takes if it is not held up.
const WHILE: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy)]
enum Call {
    Connect,
    Close,
    Iterate,
}

const CALLS: [Call; 3] = [Call::Connect, Call::Close, Call::Iterate];

/// A thread that makes one call on command.
struct Caller {
    go: Sender<()>,
    thread: JoinHandle<()>,
    state: Arc<(AtomicI32, AtomicBool)>,
}

impl Caller {
    /// Prepares the call while the daemon runs.
    fn prepare(cluster: &Cluster, call: Call) -> Self {
        let (go, told) = channel();
        let (ready, prepared) = channel();
        let state = Arc::new((AtomicI32::new(0), AtomicBool::new(false)));
        let thread = cluster.spawn_on(1, {
            let state = Arc::clone(&state);
            move || {
                let start = || {
                    ready.send(()).unwrap();
                    told.recv().unwrap();
                    // SAFETY: `gettid` has no precondition.
                    state.0.store(unsafe { libc::gettid() }, Ordering::SeqCst);
                };
                let end = || state.1.store(true, Ordering::SeqCst);
                match call {
                    Call::Connect => {
                        start();
                        let handle = Handle::connect();
                        end();
                        handle.unwrap();
                    }
                    Call::Close => {
                        let handle = Handle::connect().unwrap();
                        start();
                        let closed = handle.close();
                        end();
                        closed.unwrap();
                    }
                    Call::Iterate => {
                        let handle = Handle::connect().unwrap();
                        start();
                        let groups = handle.groups();
                        end();
                        assert!(groups.unwrap().is_empty());
                    }
                }
            }
        });
        prepared.recv().unwrap();
        Self { go, thread, state }
    }

    fn go(&self) {
        self.go.send(()).unwrap();
    }

    fn has_ended(&self) -> bool {
        self.state.1.load(Ordering::SeqCst)
    }

    /// Waits until the thread sleeps within the call, or has finished the call.
    fn wait_asleep_or_ended(&self) {
        wait_for("the call", || {
            let thread = Some(self.state.0.load(Ordering::SeqCst)).filter(|&thread| thread != 0)?;
            (self.has_ended() || asleep_after(thread).is_some()).then_some(())
        });
    }
}

#[test]
fn a12_no_two_calls_make_or_end_an_entry_at_once() {
    own_process!();
    let (stopped, running) = (Cluster::start(1).unwrap(), Cluster::start(1).unwrap());
    // Closing waits for the daemon before it takes the lock, and reading a list connects.
    let holders = [Call::Connect, Call::Iterate];
    for (held, other) in holders.into_iter().flat_map(|held| CALLS.map(|other| (held, other))) {
        let (holder, caller) = (Caller::prepare(&stopped, held), Caller::prepare(&running, other));
        stopped.pause(1).unwrap();
        holder.go();
        wait_until_the_lock_is_held();
        caller.go();
        caller.wait_asleep_or_ended();
        std::thread::sleep(WHILE);
        assert!(!holder.has_ended(), "{held:?} does not wait for the daemon");
        assert!(!caller.has_ended(), "{other:?} within {held:?}");
        stopped.resume(1).unwrap();
        holder.thread.join().unwrap();
        caller.thread.join().unwrap();
    }
    for other in CALLS {
        let (holder, caller) = (Caller::prepare(&stopped, Call::Close), Caller::prepare(&running, other));
        stopped.pause(1).unwrap();
        holder.go();
        holder.wait_asleep_or_ended();
        caller.go();
        wait_for("a call beside a close that waits", || caller.has_ended().then_some(()));
        assert!(!holder.has_ended(), "Close does not wait for the daemon");
        stopped.resume(1).unwrap();
        holder.thread.join().unwrap();
        caller.thread.join().unwrap();
    }
    a_join_waits_for_the_others_until_its_deadline(&stopped, &running);
}

/// A part of the test above, because each test of this kind holds the only lock of the process.
fn a_join_waits_for_the_others_until_its_deadline(stopped: &Cluster, running: &Cluster) {
    let holder = Caller::prepare(stopped, Call::Connect);
    stopped.pause(1).unwrap();
    holder.go();
    wait_until_the_lock_is_held();
    running.on(1, || {
        let begun = Instant::now();
        let late =
            ConnectOptions::new().join_until("a12 late", begun + Duration::from_millis(100)).unwrap_err();
        assert!(matches!(late, Error::TimedOut { .. }), "{late}");
        assert!(begun.elapsed() < Duration::from_secs(20), "the call has waited for {:?}", begun.elapsed());
    });
    assert!(!holder.has_ended(), "the other one has held the lock all the while");
    stopped.resume(1).unwrap();
    holder.thread.join().unwrap();
    running.on(1, || ConnectOptions::new().join("a12 late").unwrap().leave()).unwrap();
}
