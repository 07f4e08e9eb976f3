//! From connected to joined.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::ffi::trampoline::MEMBERS_MAX;
use crate::group::group::Group;
use crate::group::link::retry;
use crate::group_name::GroupName;
use crate::handle::handle::Handle;
use crate::member::Member;

/// How long joining and leaving wait where no deadline is given: longer than a ring takes to form with corosync's default
/// timeouts.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Pauses between two requests while the daemon says that it is not yet time.
pub(crate) const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// A join that failed, with the handle where it can still join.
///
/// `?` turns it into an [`Error`], and closes the handle.
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use cpg::{CsError, GroupName, Handle, JoinError};
///
/// let taken = GroupName::new("taken")?;
/// let group = Handle::connect()?.join(&taken)?;
/// // This process is in that group already; the handle is still good for another one.
/// let deadline = Instant::now() + Duration::from_secs(5);
/// let join_error: JoinError = Handle::connect()?.join_until(&taken, deadline).unwrap_err();
/// assert_eq!(join_error.error().code(), Some(CsError::Exist));
/// let handle = join_error.into_handle().unwrap();
/// handle.join(&GroupName::new("free")?)?.leave()?;
/// group.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct JoinError {
    #[source]
    error: Error,
    handle: Option<Box<Handle>>,
}

impl JoinError {
    /// What went wrong.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The handle, unless the daemon has it in the group already: a handle is good for one membership (B2), so that one has
    /// been closed.
    pub fn into_handle(self) -> Option<Handle> {
        self.handle.map(|handle| *handle)
    }
}

impl From<JoinError> for Error {
    fn from(error: JoinError) -> Self {
        error.error
    }
}

impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> Self {
        error.error.into()
    }
}

impl Handle {
    /// Joins a group, and waits for up to 10 seconds until the membership stands. [`join_until`](Self::join_until) takes
    /// another deadline.
    ///
    /// # Errors
    /// As [`join_until`](Self::join_until).
    #[doc(alias = "cpg_join")]
    pub fn join(self, group: &GroupName) -> Result<Group, JoinError> {
        self.join_until(group, Instant::now() + PATIENCE)
    }

    /// Joins a group, and waits until the daemon counts this process among the members. The first event of the group is
    /// then the view that it joined with. The deadline does not count while the daemon is stopped (B16).
    ///
    /// A process can join a group once (B5); for a moment after an earlier membership of it has ended, the daemon says
    /// `CS_ERR_TRY_AGAIN`, which is waited out.
    ///
    /// # Errors
    /// [`Error::Name`] for a name that was read and that the daemon cannot bear, [`Error::GroupTooLarge`] for a group with
    /// 128 members (A8), [`CsError::Exist`](crate::CsError::Exist) if this process is in the group,
    /// [`Error::TooManyIterations`], [`CsError::TryAgain`](crate::CsError::TryAgain) or [`Error::TimedOut`] when the deadline
    /// passes first.
    #[doc(alias = "cpg_join")]
    pub fn join_until(self, group: &GroupName, deadline: Instant) -> Result<Group, JoinError> {
        let me = match self.request_membership(group, deadline) {
            Ok(me) => me,
            Err(error) => return Err(JoinError { error, handle: Some(Box::new(self)) }),
        };
        let joined = self.await_membership(group, me, deadline);
        joined.and_then(|()| Group::new(self, group, me)).map_err(|error| JoinError { error, handle: None })
    }

    /// Joins a group; gives the member that the handle is then.
    pub(crate) fn become_member(&self, group: &GroupName, deadline: Instant) -> Result<Member> {
        let me = self.request_membership(group, deadline)?;
        self.await_membership(group, me, deadline)?;
        Ok(me)
    }

    fn request_membership(&self, group: &GroupName, deadline: Instant) -> Result<Member> {
        group.check_joinable()?;
        let node = retry(deadline, PAUSES, || self.local_node())?;
        let members = retry(deadline, PAUSES, || self.connection().first_members(group, MEMBERS_MAX))?.len();
        if members == MEMBERS_MAX {
            return Err(Error::GroupTooLarge { members, limit: MEMBERS_MAX });
        }
        retry(deadline, PAUSES, || self.connection().join(group))?;
        Ok(Member::new(node, std::process::id()))
    }

    /// Waits until the daemon has delivered the join: before that `cpg_leave` would spin, and others that joined in between
    /// are not counted yet.
    fn await_membership(&self, group: &GroupName, me: Member, deadline: Instant) -> Result<()> {
        // The own view makes the handle readable; so can a new ring, which is why the count decides.
        self.connection().events().wait_readable(Some(deadline), [None; 2])?;
        let mut pause = PAUSES.0;
        loop {
            let members =
                retry(deadline, PAUSES, || self.connection().first_members(group, MEMBERS_MAX + 1))?;
            if members.len() > MEMBERS_MAX {
                return Err(Error::GroupTooLarge { members: members.len(), limit: MEMBERS_MAX });
            }
            if members.contains(&me) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::TimedOut { waiting_for: "the own join to be delivered" });
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}
