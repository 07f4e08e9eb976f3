//! The members of a group, asked for without harm to the daemon.

use std::os::fd::AsFd as _;
use std::time::Instant;

use crate::error::Result;
use crate::ffi::call::Requests;
use crate::ffi::requests::Small;
use crate::os::fd;

/// Returns the proof that the group of a connection can be asked for in one request, if it can: by its last view, with no event
/// waiting that could be another one ([A9](crate::facts#a9)).
pub(crate) fn small_now(requests: &Requests) -> Result<Option<Small>> {
    let Some(small) = requests.small() else { return Ok(None) };
    let waits = fd::wait_readable(Some(Instant::now()), [Some(requests.as_fd()), None, None])?;
    Ok((!waits).then_some(small))
}
