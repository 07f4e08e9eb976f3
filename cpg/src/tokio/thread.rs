//! Threads for calls that wait for the daemon, so that the executor does not.

use std::io;
use std::ops::{Deref, DerefMut};

use ::tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::os::thread;

/// Runs `work` on a thread that ends with it. If the future is dropped, the work goes on, and its result is dropped. The work
/// can ask whether its result is still wanted.
pub(super) async fn run<T: Send + 'static>(
    work: impl FnOnce(&(dyn Fn() -> bool + Sync)) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (done, result) = oneshot::channel();
    let work = move || {
        let result = work(&|| !done.is_closed());
        // The future may have been dropped.
        let _ = done.send(result);
    };
    thread::spawn(work)?;
    result.await.unwrap_or_else(|_| {
        Err(Error::io("a thread that waited for the daemon")(io::Error::other("it panicked")))
    })
}

/// A value that a thread drops, unless [`into_inner`](Self::into_inner) has taken it out.
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

/// Drops on a thread a value that may close a handle, because closing waits for the daemon.
pub(super) fn drop_off(what: impl Send + 'static) {
    // If no thread can be started, the value is dropped here, together with the closure.
    let _: Result<_> = thread::spawn(move || drop(what));
}
