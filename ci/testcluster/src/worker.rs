//! A thread that stays in its namespaces and runs closures there.
//!
//! Namespaces belong to threads. This thread is made once, in the right namespaces. The processes that it starts are in
//! these namespaces as well. They are children of a thread that lives as long as the cluster, and `PR_SET_PDEATHSIG`
//! kills a child when the thread that started it ends.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
pub(crate) struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread in the namespaces of the calling thread.
    pub(crate) fn start(name: String) -> io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let thread = Builder::new().name(name).spawn(move || {
            for job in queue {
                job();
            }
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs a closure in the thread and waits for its result. A panic in the closure propagates to the caller.
    pub(crate) fn run<T, F>(&self, job: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (done, result) = channel();
        let job = Box::new(move || {
            // The caller waits for the result, so the channel is open.
            let _ = done.send(catch_unwind(AssertUnwindSafe(job)));
        });
        if let Some(jobs) = &self.jobs {
            jobs.send(job).expect("the thread runs until its queue is closed");
        }
        match result.recv().expect("every job sends its result") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // The callers of `run` have got the panics.
            let _ = thread.join();
        }
    }
}
