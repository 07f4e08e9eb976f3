//! The members of a group, asked for without harm to the daemon.

use std::os::fd::AsFd as _;
use std::time::Instant;

use crate::error::Result;
use crate::ffi::requests::RequestHalf;
use crate::group_name::GroupName;
use crate::member::Member;
use crate::os::fd;

/// Returns the members of the group that was joined with `half`, in one request, if the group is known to be small.
///
/// It is small if the last view was and no event waits that could be the next one. A larger group is
/// [iterated](RequestHalf::all_members): `cpg_membership_get` of a group with more than 384 members ends the daemon (A9).
pub(crate) fn members_if_small(half: &RequestHalf, group: &GroupName) -> Result<Option<Vec<Member>>> {
    let Some(small) = half.small() else { return Ok(None) };
    if fd::wait_readable(Some(Instant::now()), [Some(half.as_fd()), None, None])? {
        return Ok(None);
    }
    half.membership_get(group, small).map(Some)
}
