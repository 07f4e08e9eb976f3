//! The members of a group, by a request that does no harm to the daemon.

use std::os::fd::AsFd as _;
use std::time::Instant;

use crate::error::Result;
use crate::ffi::call::Requests;
use crate::ffi::requests::Small;
use crate::os::fd;

/// Returns the proof that the connection's group is small enough to be asked for in one request ([A9](crate::facts#a9)). The
/// proof comes from the last view, so there is none while an event waits, because that event may be another view.
pub(crate) fn small_now(requests: &Requests) -> Result<Option<Small>> {
    let Some(small) = requests.small() else { return Ok(None) };
    let waits = fd::wait_readable(Some(Instant::now()), [Some(requests.as_fd()), None, None])?;
    Ok((!waits).then_some(small))
}
