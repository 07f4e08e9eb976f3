//! A thread that runs one piece of work after the other.

#[cfg(cpg_model)]
use shuttle::sync::mpsc::{Sender, channel};
use std::fmt;
#[cfg(not(cpg_model))]
use std::sync::mpsc::{Sender, channel};

use crate::error::Result;
use crate::os::fork::Owner;
use crate::os::thread;

/// A piece of work for a thread.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// A thread that runs the work it is given, in that order. Dropping the worker ends the thread when all work is done.
pub(crate) struct Worker {
    /// `None` only during the drop.
    work: Option<Sender<Work>>,
    owner: Owner,
}

// Written by hand, because shuttle's channel has no `Debug` for work.
impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be started. The caller still has its work, which is handed over later.
    pub(crate) fn start() -> Result<Self> {
        let (give, given) = channel::<Work>();
        thread::spawn(move || {
            while let Ok(work) = given.recv() {
                work();
            }
        })?;
        Ok(Self { work: Some(give), owner: Owner::this_process() })
    }

    /// Gives the thread a piece of work.
    ///
    /// # Errors
    /// The thread has ended, as by a panic. The work is returned.
    pub(crate) fn give(&self, work: Work) -> Result<(), Work> {
        match &self.work {
            Some(give) => give.send(work).map_err(|back| back.0),
            None => Err(work),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let work = self.work.take();
        if self.owner.check().is_err() {
            // A child has no such thread, and may have a copy of a lock that nobody unlocks (A7).
            std::mem::forget(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn one_thread_does_all_work_in_order_even_after_the_worker_was_dropped() {
        let (say, said) = channel();
        let worker = Worker::start().unwrap();
        for number in 0..3 {
            let say = say.clone();
            assert!(
                worker
                    .give(Box::new(move || say.send((number, std::thread::current().id())).unwrap()))
                    .is_ok()
            );
        }
        drop((worker, say));
        let did: Vec<_> = said.iter().collect();
        assert_eq!(did.iter().map(|&(number, _)| number).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(did.iter().all(|&(_, thread)| thread == did[0].1));
    }

    #[test]
    fn a_thread_that_has_ended_returns_the_work() {
        let worker = Worker::start().unwrap();
        let (say, said) = channel::<()>();
        let panics = move || {
            let _say = say;
            std::panic::resume_unwind(Box::new("as a bug would"))
        };
        assert!(worker.give(Box::new(panics)).is_ok());
        assert!(said.recv().is_err());
        // The thread ends a moment later.
        while worker.give(Box::new(|| ())).is_ok() {
            std::thread::yield_now();
        }
    }
}
