//! Joining: from a connection to a membership.

use std::fmt;
use std::io;
use std::os::fd::AsFd as _;
use std::time::Instant;

use cpg_sys::CS_ERR_TRY_AGAIN;

use crate::cs_error::CsError;
use crate::error::{Error, Result};
use crate::ffi::options::ConnectOptions;
use crate::ffi::requests::{Counted, RequestHalf, Small};
use crate::ffi::trampoline::MEMBERS_MAX;
use crate::group::group::Group;
use crate::group_name::{GroupName, IntoGroupName};
use crate::handle::backoff::{Pauses, retry, retry_if};
use crate::handle::handle::Handle;
use crate::member::Member;
use crate::os::ending::Endings;
use crate::os::fd;
use crate::os::patience::Patience;

/// The error of a join, with the handle if it can still join.
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
///
/// The operator `?` converts it into an [`Error`], and closes the handle.
pub struct JoinError {
    error: Error,
    handle: Option<Box<Handle>>,
}

impl JoinError {
    /// Returns the reason why the join failed.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns the handle, if it can still join.
    ///
    /// `None` if the daemon may have accepted the join. A handle supports only one membership ([B2](crate::facts#b2)), so this
    /// handle has been closed, or will be when the daemon answers. `None` too if the connection was lost during the join.
    pub fn into_handle(self) -> Option<Handle> {
        self.handle.map(|handle| *handle)
    }
}

/// The text of the [`Error`]. The source is the source of that error, so a chain of errors prints the text once.
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

/// The text of `Display`, as for [`Error`].
impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl JoinError {
    pub(crate) fn with_handle(error: Error, handle: Handle) -> Self {
        Self { error, handle: Some(Box::new(handle)) }
    }

    /// Makes the error of a join after which the handle has been closed.
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
    /// Connects and joins in one step, in at most 10 seconds. If the daemon is just starting, waits for it.
    /// [`ConnectOptions::join`] has options, and [`ConnectOptions::join_until`] takes a deadline.
    ///
    /// # Errors
    /// Those of [`ConnectOptions::join_until`].
    #[doc(alias = "cpg_join")]
    pub fn join(name: impl IntoGroupName) -> Result<Self> {
        ConnectOptions::new().join(name)
    }
}

impl ConnectOptions {
    /// Connects and joins within the [time limit](Self::request_timeout), 10 seconds by default. With
    /// [`wait_for_daemon`](Self::wait_for_daemon) it waits for a daemon that is not running, without a limit.
    /// [`join_until`](Self::join_until) takes a deadline.
    ///
    /// # Errors
    /// Those of [`join_until`](Self::join_until).
    #[doc(alias = "cpg_join")]
    pub fn join(self, name: impl IntoGroupName) -> Result<Group> {
        self.join_by(name, &self.patience())
    }

    /// Connects and joins, with a deadline. If the daemon is just starting, waits for it.
    ///
    /// # Errors
    /// [`Error::InvalidName`] if `name` is not a valid name, and those of [`connect_until`](Self::connect_until) and
    /// [`Handle::join_until`].
    #[doc(alias = "cpg_join")]
    pub fn join_until(self, name: impl IntoGroupName, deadline: Instant) -> Result<Group> {
        self.join_by(name, &deadline.into())
    }

    fn join_by(self, name: impl IntoGroupName, patience: &Patience<'_>) -> Result<Group> {
        let name = name.into_group_name()?;
        let (handle, me) = self.member_by(&name, patience, None)?;
        Ok(Group::begin(handle, name, me))
    }

    /// Connects and joins. Returns the handle, and the member that it has become.
    pub(crate) fn member_by(
        self,
        name: &GroupName,
        patience: &Patience<'_>,
        seen: Option<Small>,
    ) -> Result<(Handle, Member)> {
        if !self.waits_for_daemon() {
            return Ok(self.connect_by(patience)?.into_member(name, patience, seen)?);
        }
        retry_if(patience, Pauses::DAEMON, Error::passes, || {
            // Connecting and joining each have the whole time limit.
            let handle = self.connect_by(patience)?;
            Ok(handle.into_member(name, &patience.at_most(self.timeout()), seen)?)
        })
    }
}

impl Handle {
    /// Joins a group within the [time limit](ConnectOptions::request_timeout) of the connection.
    /// [`join_until`](Self::join_until) takes a deadline.
    ///
    /// # Errors
    /// Those of [`join_until`](Self::join_until).
    #[doc(alias = "cpg_join")]
    pub fn join(self, name: impl IntoGroupName) -> Result<Group, JoinError> {
        let deadline = self.requests().deadline();
        self.join_until(name, deadline)
    }

    /// Joins a group, and waits until the daemon counts this process among the members. The first view of the group is the one
    /// with which this member joined. (A [ring event](crate::TotemEvents) can come before it.)
    ///
    /// The members are counted before the join ([A8](crate::facts#a8)). Only one count or list runs in the process at a time
    /// ([A19](crate::facts#a19)), so this call waits for its turn, until the deadline. A thread of this crate makes the requests.
    /// If the deadline passes or the daemon dies before the answer, this call returns an error. If the join has been sent by
    /// then, the thread ends the membership when the daemon answers.
    ///
    /// A process can be in a group only once ([B5](crate::facts#b5)). If an earlier membership of this process is still ending,
    /// the join waits for its end. The daemon returns `CS_ERR_TRY_AGAIN` for a moment then. It returns `CS_ERR_EXIST` until it
    /// learns of the end, for example if it was paused and an earlier close has timed out.
    ///
    /// # Errors
    /// - [`Error::InvalidName`] if `name` is not a valid name, also for a [`GroupName`] from the daemon that must not be joined
    ///   (empty, or of 128 bytes).
    /// - [`Error::GroupTooLarge`] if the group has 128 members ([A8](crate::facts#a8)).
    /// - [`CsError::Exist`] if this process is in the group.
    /// - [`CsError::TryAgain`] or [`Error::TimedOut`] when the deadline passes first.
    /// - [`Error::Io`] if no thread can be started.
    #[doc(alias = "cpg_join")]
    pub fn join_until(self, name: impl IntoGroupName, deadline: Instant) -> Result<Group, JoinError> {
        let name = match name.into_group_name().map_err(Error::from) {
            Ok(name) => name,
            Err(error) => return Err(JoinError::with_handle(error, self)),
        };
        let (handle, me) = self.into_member(&name, &deadline.into(), None)?;
        Ok(Group::begin(handle, name, me))
    }

    /// Joins a group. Returns the handle, and the member that it has become.
    ///
    /// If an earlier membership has seen that the group is small, the members are counted by a request that always returns
    /// ([A19](crate::facts#a19)).
    pub(crate) fn into_member(
        self,
        name: &GroupName,
        patience: &Patience<'_>,
        seen: Option<Small>,
    ) -> Result<(Self, Member), JoinError> {
        let joined = self.requests().with_one_worker(|| self.become_member(name, patience, seen));
        match joined {
            Ok(me) => Ok((self, me)),
            // The call that has the requests' half of the connection may never return it (A19).
            Err(Failed::Before(error)) if error.is_connection_lost() && self.requests().busy().is_some() => {
                Err(JoinError::without_handle(error))
            }
            Err(Failed::Before(error)) => Err(JoinError::with_handle(error, self)),
            Err(Failed::After(error)) => Err(JoinError::without_handle(error)),
        }
    }

    fn become_member(
        &self,
        name: &GroupName,
        patience: &Patience<'_>,
        seen: Option<Small>,
    ) -> Result<Member, Failed> {
        let prepared = self.prepare(name, patience, seen);
        let (me, small) = prepared.map_err(Failed::Before)?;
        self.request_membership(name, patience)?;
        self.await_membership(name, me, small, patience).map_err(Failed::After)?;
        Ok(me)
    }

    /// Finds out before the join which member this process will be, and that the group has room.
    fn prepare(
        &self,
        name: &GroupName,
        patience: &Patience<'_>,
        seen: Option<Small>,
    ) -> Result<(Member, Small)> {
        name.check_joinable()?;
        let counted = retry(patience, Pauses::REQUEST, || self.count(name, patience, seen))?;
        let full = Error::GroupTooLarge { members: counted.members(), limit: MEMBERS_MAX };
        let small = counted.small().ok_or(full)?;
        let node = retry(patience, Pauses::REQUEST, || {
            self.requests().ask("cpg_local_get", patience, RequestHalf::local_get)
        })?;
        Ok((Member::new(node, std::process::id()), small))
    }

    fn count(&self, group: &GroupName, patience: &Patience<'_>, seen: Option<Small>) -> Result<Counted> {
        match seen {
            None => self.requests().count(group, patience),
            Some(small) => {
                let group = group.clone();
                let count = move |half: &RequestHalf| half.count_small(&group, small);
                self.requests().ask("cpg_membership_get", patience, count)
            }
        }
    }

    fn request_membership(&self, group: &GroupName, patience: &Patience<'_>) -> Result<(), Failed> {
        let asked = retry(patience, Pauses::REQUEST, || {
            let endings = Endings::from_now(group);
            let group = group.clone();
            let joined = self.requests().ask("cpg_join", patience, move |half| half.join(&group));
            // The daemon returns this code itself once it has heard of the end.
            let ends = |error: &Error| error.code() == Some(CsError::Exist) && endings.any();
            joined.map_err(|error| if ends(&error) { Error::cs("cpg_join", CS_ERR_TRY_AGAIN) } else { error })
        });
        asked.map_err(|error| match error {
            // The daemon may still accept the join.
            Error::TimedOut { .. } => Failed::After(error),
            error => Failed::Before(error),
        })
    }

    /// Waits until the daemon has delivered the join. Before that `cpg_leave` would spin, and members that joined in between
    /// are not counted yet.
    fn await_membership(
        &self,
        group: &GroupName,
        me: Member,
        small: Small,
        patience: &Patience<'_>,
    ) -> Result<()> {
        // The first view makes the handle readable. A new ring does too, so the list of members decides.
        loop {
            let readable = fd::wait_readable(patience.next_look(), [Some(self.as_fd()), None, None])?;
            if readable || patience.is_over() {
                break;
            }
        }
        let mut pause = Pauses::REQUEST.first;
        loop {
            let members = retry(patience, Pauses::REQUEST, || {
                let group = group.clone();
                let get = move |half: &RequestHalf| half.membership_get(&group, small);
                self.requests().ask("cpg_membership_get", patience, get)
            })?;
            if members.len() > MEMBERS_MAX {
                return Err(Error::GroupTooLarge { members: members.len(), limit: MEMBERS_MAX });
            }
            if members.contains(&me) {
                self.requests().joined(members.len());
                return Ok(());
            }
            if patience.is_over() {
                return Err(Error::TimedOut { waiting_for: "this member's join to be delivered" });
            }
            patience.pause(pause);
            pause = Pauses::REQUEST.after(pause);
        }
    }
}

/// The reason why a join failed: before the daemon was asked to accept this process, or when it may have accepted it.
enum Failed {
    Before(Error),
    After(Error),
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
