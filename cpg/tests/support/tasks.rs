//! Helpers of the tests of tasks: runtimes, and futures that are dropped half-way.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cpg::{Handle, OwnedEvent, Result};
use futures_core::Stream;
use testcluster::{Cluster, State};
use tokio::runtime::{Builder, Runtime};

use super::{PATIENCE, wait_for};

pub fn current() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn multi() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs `work` on node 1 of a cluster, in a runtime of each kind, and asserts that its memberships end. If the runtime
/// is held up, the test fails and does not wait for ever.
pub fn on_each_runtime<F>(nodes: u32, work: fn(Arc<Cluster>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let builder = Cluster::builder().nodes(nodes).token(Duration::from_secs(10));
    let cluster = Arc::new(builder.start().unwrap());
    for runtime in [current, multi] {
        let inner = Arc::clone(&cluster);
        let thread = cluster.spawn_on(1, move || {
            let runtime = runtime();
            // In a task, so that a runtime with workers uses its workers.
            let task = runtime.spawn(work(inner));
            runtime.block_on(task).unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        });
        wait_for("the runtime", || thread.is_finished().then_some(()));
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        if cluster.state(1) == State::Running {
            cluster.on(1, || {
                let handle = Handle::connect().unwrap();
                wait_for("the memberships to end", || handle.groups().unwrap().is_empty().then_some(()));
            });
        }
    }
}

/// Awaits a future that must end.
pub async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("the future does not end")
}

/// Polls a future at most so many times, and then drops it.
pub async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polls >= times => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Returns the output of a future by polling it again and again: a child of the process has no reactor that would wake
/// it.
pub fn by_hand<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    wait_for("the future", || match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

/// Waits for a few timers. A task that holds up the executor holds up this as well.
pub async fn ticks() {
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Repeats `probe` until it gives a value.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let probing = async {
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, probing).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"))
}

/// Returns the next message of a session or a receiver, skipping other events.
pub async fn message(from: &mut (impl Stream<Item = Result<OwnedEvent>> + Unpin)) -> Vec<u8> {
    loop {
        let next = poll_fn(|cx| Pin::new(&mut *from).poll_next(cx));
        if let OwnedEvent::Deliver(message) = soon(next).await.expect("no error before").unwrap() {
            return message.into_payload();
        }
    }
}
