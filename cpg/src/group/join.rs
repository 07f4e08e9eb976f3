//! From connected to joined.

use std::fmt;
use std::io;
use std::os::fd::AsFd as _;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::ffi::options::ConnectOptions;
use crate::ffi::requests::{Counted, Small};
use crate::ffi::trampoline::MEMBERS_MAX;
use crate::group::group::Group;
use crate::group_name::{GroupName, IntoGroupName};
use crate::handle::backoff::{PATIENCE, Pauses, retry};
use crate::handle::handle::Handle;
use crate::member::Member;
use crate::os::fd;

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
/// handle.join("free")?.leave()?;
/// group.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
pub struct JoinError {
    error: Error,
    handle: Option<Box<Handle>>,
}

impl JoinError {
    /// Returns why the join failed.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns the handle, if it can still join. `None` if the daemon had already accepted the join: a handle is good for one
    /// membership (B2), so it has been closed; or if the daemon has died while it was asked.
    pub fn into_handle(self) -> Option<Handle> {
        self.handle.map(|handle| *handle)
    }
}

/// The text of the [`Error`], whose source is the source here too: a chain of errors prints it once.
impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// The text of `Display`, as of an [`Error`].
impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl JoinError {
    fn with_handle(error: Error, handle: Handle) -> Self {
        Self { error, handle: Some(Box::new(handle)) }
    }

    /// The error of a join after which the handle has been closed.
    pub(crate) fn without_handle(error: Error) -> Self {
        Self { error, handle: None }
    }
}

impl From<JoinError> for Error {
    fn from(error: JoinError) -> Self {
        error.error
    }
}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        error.error.into()
    }
}

impl Group {
    /// Connects and joins in one step, for up to 10 seconds, also to a daemon that is just starting. [`ConnectOptions::join`]
    /// does it with options, and [`ConnectOptions::join_until`] with another deadline.
    ///
    /// # Errors
    /// As [`ConnectOptions::join_until`].
    #[doc(alias = "cpg_join")]
    pub fn join(name: impl IntoGroupName) -> Result<Self> {
        ConnectOptions::new().join(name)
    }
}

impl ConnectOptions {
    /// Connects and joins, for up to 10 seconds. [`join_until`](Self::join_until) takes another deadline.
    ///
    /// # Errors
    /// Those of making the name, and of [`join_until`](Self::join_until).
    #[doc(alias = "cpg_join")]
    pub fn join(self, name: impl IntoGroupName) -> Result<Group> {
        self.join_until(name, Instant::now() + PATIENCE)
    }

    /// As [`join`](Self::join), with another deadline. A daemon that is just starting is waited for.
    ///
    /// # Errors
    /// Those of making the name, of [`connect_until`](Self::connect_until) and of [`Handle::join_until`].
    #[doc(alias = "cpg_join")]
    pub fn join_until(self, name: impl IntoGroupName, deadline: Instant) -> Result<Group> {
        let name = name.into_group_name()?;
        Ok(self.connect_until(deadline)?.join_until(&name, deadline)?)
    }
}

impl Handle {
    /// Joins a group, and waits for up to 10 seconds until the membership stands. [`join_until`](Self::join_until) takes
    /// another deadline.
    ///
    /// # Errors
    /// As [`join_until`](Self::join_until).
    #[doc(alias = "cpg_join")]
    pub fn join(self, name: impl IntoGroupName) -> Result<Group, JoinError> {
        self.join_until(name, Instant::now() + PATIENCE)
    }

    /// Joins a group, and waits until the daemon counts this process among the members. The first event of the group is
    /// then the view that it joined with. The deadline does not count while the daemon is stopped (B16).
    ///
    /// The members are counted first (A8), by a thread that can be left behind if the daemon dies (A19), one such count or list at
    /// a time in the process: others are waited for until the deadline.
    ///
    /// A process can join a group once (B5); for a moment after an earlier membership of it has ended, the daemon says
    /// `CS_ERR_TRY_AGAIN`, which is waited out.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for a name that was read and that the daemon cannot bear, [`Error::GroupTooLarge`] for a group with
    /// 128 members (A8), [`CsError::Exist`](crate::CsError::Exist) if this process is in the group,
    /// [`Error::Io`], [`CsError::TryAgain`](crate::CsError::TryAgain) or [`Error::TimedOut`] when the deadline
    /// passes first.
    #[doc(alias = "cpg_join")]
    pub fn join_until(self, name: impl IntoGroupName, deadline: Instant) -> Result<Group, JoinError> {
        let (name, member) = self.into_member(name, deadline, None)?;
        let (handle, me) = member;
        let (daemon, events) = handle.into_halves();
        Ok(Group::new(daemon, events, name, me))
    }

    /// Joins a group; gives its name, and the handle with the member that it is now.
    ///
    /// A group that an earlier membership has seen to be small is asked for in a way that always comes back (A19).
    pub(crate) fn into_member(
        self,
        name: impl IntoGroupName,
        deadline: Instant,
        seen: Option<Small>,
    ) -> Result<(GroupName, (Self, Member)), JoinError> {
        let name = match name.into_group_name().map_err(Error::from) {
            Ok(name) => name,
            Err(error) => return Err(JoinError::with_handle(error, self)),
        };
        let (handle, counted) = self.count(&name, deadline, seen)?;
        let asked = counted.and_then(|counted| {
            let full = Error::GroupTooLarge { members: counted.members(), limit: MEMBERS_MAX };
            let small = counted.small().ok_or(full)?;
            Ok((handle.request_membership(&name, deadline)?, small))
        });
        let (me, small) = match asked {
            Ok(asked) => asked,
            Err(error) => return Err(JoinError::with_handle(error, handle)),
        };
        match handle.await_membership(&name, me, small, deadline) {
            Ok(()) => Ok((name, (handle, me))),
            Err(error) => Err(JoinError::without_handle(error)),
        }
    }

    /// Counts the members of a group that is to be joined; the handle comes back unless its daemon has gone.
    fn count(
        self,
        group: &GroupName,
        deadline: Instant,
        seen: Option<Small>,
    ) -> Result<(Self, Result<Counted>), JoinError> {
        if let Err(error) = group.check_joinable() {
            return Ok((self, Err(error.into())));
        }
        if let Some(small) = seen {
            let counted = retry(deadline, Pauses::REQUEST, || self.half().count_small(group, small));
            return Ok((self, counted));
        }
        let mut given_back = Some(self);
        let counted = retry(deadline, Pauses::REQUEST, || {
            let handle = given_back.take().expect("what is retried has given it back");
            let (handle, counted) = handle.count_before_join(group, deadline)?;
            given_back = Some(handle);
            counted
        });
        match (given_back, counted) {
            (Some(handle), counted) => Ok((handle, counted)),
            (None, counted) => {
                Err(JoinError::without_handle(counted.expect_err("a count comes with the handle")))
            }
        }
    }

    fn request_membership(&self, group: &GroupName, deadline: Instant) -> Result<Member> {
        let node = retry(deadline, Pauses::REQUEST, || self.local_node())?;
        retry(deadline, Pauses::REQUEST, || self.half().join(group))?;
        Ok(Member::new(node, std::process::id()))
    }

    /// Waits until the daemon has delivered the join: before that `cpg_leave` would spin, and others that joined in between
    /// are not counted yet.
    fn await_membership(&self, group: &GroupName, me: Member, small: Small, deadline: Instant) -> Result<()> {
        // The own view makes the handle readable; so can a new ring, which is why the count decides.
        fd::wait_readable(Some(deadline), [Some(self.as_fd()), None, None])?;
        let mut pause = Pauses::REQUEST.first;
        loop {
            let members = retry(deadline, Pauses::REQUEST, || self.half().membership_get(group, small))?;
            if members.len() > MEMBERS_MAX {
                return Err(Error::GroupTooLarge { members: members.len(), limit: MEMBERS_MAX });
            }
            if members.contains(&me) {
                self.half().joined(members.len());
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::TimedOut { waiting_for: "the own join to be delivered" });
            }
            std::thread::sleep(pause.min(left));
            pause = Pauses::REQUEST.after(pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_chain_of_errors_prints_a_failed_join_once() {
        let refused = JoinError::without_handle(Error::GroupTooLarge { members: 128, limit: MEMBERS_MAX });
        assert!(refused.to_string().starts_with("the group has 128 members") && refused.source().is_none());
        let refused = JoinError::without_handle(Error::NoList(Box::new(Error::Left)));
        assert_eq!(refused.source().unwrap().to_string(), Error::Left.to_string());
    }
}
