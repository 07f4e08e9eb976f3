//! The members of a group, asked for without harm to the daemon.

use std::os::fd::AsFd as _;
use std::time::Instant;

use crate::error::Result;
use crate::ffi::requests::RequestHalf;
use crate::ffi::trampoline::MEMBERS_MAX;
use crate::group_name::GroupName;
use crate::member::Member;
use crate::os::fd;

/// Returns the members of the group that was joined with `half`, in one request where it is known to be small.
///
/// It is small if the last view was and no event waits that could be the next one. A larger group is read by iteration:
/// `cpg_membership_get` of a group with more than 384 members ends the daemon (A9).
pub(crate) fn own_members(half: &RequestHalf, group: &GroupName) -> Result<Vec<Member>> {
    let small = (1..MEMBERS_MAX).contains(&half.view_size());
    if small && !fd::wait_readable(Some(Instant::now()), [Some(half.as_fd()), None, None])? {
        half.membership_get(group)
    } else {
        half.first_members(group, usize::MAX)
    }
}
