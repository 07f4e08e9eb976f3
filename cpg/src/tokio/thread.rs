//! What waits for the daemon, off the executor.

use std::io;
use std::ops::{Deref, DerefMut};

use ::tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::os::thread;

/// Has `work` done by a thread that ends with it. Dropping the future leaves the work going on, and drops what it gives; the work
/// can ask whether it is still wanted.
pub(super) async fn run<T: Send + 'static>(
    work: impl FnOnce(&(dyn Fn() -> bool + Sync)) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (done, result) = oneshot::channel();
    let work = move || {
        let result = work(&|| !done.is_closed());
        // Nobody may be waiting any more.
        let _ = done.send(result);
    };
    thread::spawn(work)?;
    result.await.unwrap_or_else(|_| {
        Err(Error::io("a thread that waited for the daemon")(io::Error::other("it panicked")))
    })
}

/// A value that is dropped by a thread if nobody takes it out.
#[derive(Debug)]
pub(super) struct DropOff<T: Send + 'static>(Option<T>);

const TAKEN: &str = "taken by into_inner and by drop alone";

impl<T: Send + 'static> DropOff<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(super) fn into_inner(mut self) -> T {
        self.0.take().expect(TAKEN)
    }
}

impl<T: Send + 'static> Deref for DropOff<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(TAKEN)
    }
}

impl<T: Send + 'static> DerefMut for DropOff<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(TAKEN)
    }
}

impl<T: Send + 'static> Drop for DropOff<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            drop_off(value);
        }
    }
}

/// Drops what may close a handle, which waits for the daemon too.
pub(super) fn drop_off(what: impl Send + 'static) {
    // Without threads it is dropped here, by the failure.
    let _: Result<_> = thread::spawn(move || drop(what));
}
