//! Who is in a group, without harm to the daemon.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::ffi::raw::{Connection, Events, Iteration, Kind};
use crate::ffi::trampoline::MEMBERS_MAX;
use crate::group_name::GroupName;
use crate::member::Member;

impl Connection {
    /// The members of a group, however many there are.
    pub(crate) fn members(&self, group: &GroupName) -> Result<Vec<Member>> {
        self.first_members(group, usize::MAX)
    }

    /// The members of a group, up to `most` of them, by iteration: `cpg_membership_get` of a group with more than 384 ends the
    /// daemon (A9).
    pub(crate) fn first_members(&self, group: &GroupName, most: usize) -> Result<Vec<Member>> {
        let iteration = Iteration::open(self, Kind::OneGroup(group))?;
        let mut members = Vec::new();
        while members.len() < most {
            let Some((_, member)) = iteration.next()? else { break };
            members.push(member);
        }
        Ok(members)
    }

    /// The members of the group that was joined, in one request where it is known to be small.
    ///
    /// It is, if the last view was and no event waits that could be the next one.
    pub(crate) fn own_members(&self, group: &GroupName) -> Result<Vec<Member>> {
        let small = (1..MEMBERS_MAX).contains(&self.view_size().load(Ordering::Relaxed));
        if small && !self.events().wait_readable(Some(Instant::now()), [None; 2])? {
            self.membership_get(group)
        } else {
            self.members(group)
        }
    }
}

impl Events {
    /// Keeps the size of a view, or of one that was too large.
    pub(crate) fn note_size(&self, members: usize) {
        self.view_size().store(members, Ordering::Relaxed);
    }

    /// Refuses a full group of which more members were counted, for good: the event with the view that is too large waits, also
    /// when the group has shrunk since.
    pub(crate) fn check_count(&self, members: usize) -> Result<()> {
        if members <= MEMBERS_MAX {
            return Ok(());
        }
        self.note_size(members);
        Err(Error::GroupTooLarge { members, limit: MEMBERS_MAX })
    }

    /// Whether the next event could be a view that libcpg has no room for, or one was (A8).
    #[inline]
    pub(crate) fn could_overflow(&self) -> bool {
        self.view_size().load(Ordering::Relaxed) >= MEMBERS_MAX
    }

    /// The same; an error if one was.
    pub(crate) fn is_full(&self) -> Result<bool> {
        match self.view_size().load(Ordering::Relaxed) {
            ..MEMBERS_MAX => Ok(false),
            MEMBERS_MAX => Ok(true),
            members => Err(Error::GroupTooLarge { members, limit: MEMBERS_MAX }),
        }
    }
}
