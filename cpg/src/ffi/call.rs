//! Calls that may never come back, made where they can be left behind.

use std::os::fd::AsFd as _;

use cpg_sys as sys;

use crate::error::{Error, Result};
use crate::ffi::events::EventHalf;
use crate::ffi::requests::RequestHalf;
use crate::os::outstanding::Outstanding;

/// Makes requests with a half on a thread of its own, and gives the half back with what they gave.
///
/// The half goes with the thread, so that nobody else makes a request meanwhile (A4), and no lock is held. When the daemon dies,
/// `call` is the C function that may not notice it: the thread is left behind with the half, and the connection stays open
/// until the thread comes back, if it does. That is an error, after which there is no half.
///
/// `events` is the other half of the connection, which keeps its socket.
pub(super) fn make<T: Send + 'static>(
    half: RequestHalf,
    events: &EventHalf,
    call: &'static str,
    requests: impl FnOnce(&RequestHalf) -> Result<T> + Send + 'static,
) -> Result<(RequestHalf, Result<T>)> {
    let work = move || {
        let result = requests(&half);
        (half, result)
    };
    Outstanding::begin(work)?.wait(events.as_fd())?.ok_or(Error::cs(call, sys::CS_ERR_LIBRARY))
}
