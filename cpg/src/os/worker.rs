//! A thread that is given one piece of work after the other.

#[cfg(cpg_model)]
use shuttle::sync::mpsc::{Sender, channel};
use std::fmt;
#[cfg(not(cpg_model))]
use std::sync::mpsc::{Sender, channel};

use crate::error::Result;
use crate::os::fork::Owner;
use crate::os::thread;

/// Work for a thread.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// A thread that does what it is given, in that order. It ends when this has gone and all has been done.
pub(crate) struct Worker {
    /// None only while it is dropped.
    work: Option<Sender<Work>>,
    owner: Owner,
}

// Shuttle's channel has no text for work.
impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// There is none to be had. The work has not been handed over by then, so that it is not lost with it.
    pub(crate) fn start() -> Result<Self> {
        let (give, given) = channel::<Work>();
        thread::spawn(move || {
            while let Ok(work) = given.recv() {
                work();
            }
        })?;
        Ok(Self { work: Some(give), owner: Owner::this_process() })
    }

    /// Gives it work.
    ///
    /// # Errors
    /// The thread has gone, as by a panic: the work comes back.
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
            // A child has no such thread, and may have a copy of a lock that nobody gives back (A7).
            std::mem::forget(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn work_is_done_in_its_order_by_one_thread_also_when_its_giver_has_gone() {
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
    fn a_thread_that_has_gone_gives_the_work_back() {
        let worker = Worker::start().unwrap();
        let (say, said) = channel::<()>();
        let panics = move || {
            let _say = say;
            std::panic::resume_unwind(Box::new("as a bug would"))
        };
        assert!(worker.give(Box::new(panics)).is_ok());
        assert!(said.recv().is_err());
        // It ends after that.
        while worker.give(Box::new(|| ())).is_ok() {
            std::thread::yield_now();
        }
    }
}
