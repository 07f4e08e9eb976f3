//! From connected to joined.

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

    /// Returns the handle, if it can still join. `None` once the daemon has been asked to take this process into the group, unless
    /// it has refused: a handle is good for one membership ([B2](crate::facts#b2)), so it has been closed, or is when the
    /// daemon answers; and if the daemon has died while it was asked.
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
    pub(crate) fn with_handle(error: Error, handle: Handle) -> Self {
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
    /// Connects and joins, within the [time limit](Self::request_timeout), which is 10 seconds; with
    /// [`wait_for_daemon`](Self::wait_for_daemon) it waits for one without an end. [`join_until`](Self::join_until) takes a deadline.
    ///
    /// # Errors
    /// Those of making the name, and of [`join_until`](Self::join_until).
    #[doc(alias = "cpg_join")]
    pub fn join(self, name: impl IntoGroupName) -> Result<Group> {
        self.join_by(name, &self.patience())
    }

    /// As [`join`](Self::join), with another deadline. A daemon that is just starting is waited for.
    ///
    /// # Errors
    /// Those of making the name, of [`connect_until`](Self::connect_until) and of [`Handle::join_until`].
    #[doc(alias = "cpg_join")]
    pub fn join_until(self, name: impl IntoGroupName, deadline: Instant) -> Result<Group> {
        self.join_by(name, &deadline.into())
    }

    fn join_by(self, name: impl IntoGroupName, patience: &Patience<'_>) -> Result<Group> {
        let name = name.into_group_name()?;
        let (handle, me) = self.member_by(&name, patience, None)?;
        Ok(Group::begin(handle, name, me))
    }

    /// Connects and joins, and gives the handle with the member that it is then.
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
            // Each of the two has its own time.
            let handle = self.connect_by(patience)?;
            Ok(handle.into_member(name, &patience.at_most(self.timeout()), seen)?)
        })
    }
}

impl Handle {
    /// Joins a group, and waits until the membership stands, within the [time limit](ConnectOptions::request_timeout) of the
    /// connection. [`join_until`](Self::join_until) takes another deadline.
    ///
    /// # Errors
    /// As [`join_until`](Self::join_until).
    #[doc(alias = "cpg_join")]
    pub fn join(self, name: impl IntoGroupName) -> Result<Group, JoinError> {
        let deadline = self.requests().deadline();
        self.join_until(name, deadline)
    }

    /// Joins a group, and waits until the daemon counts this process among the members. The first event of the group is
    /// then the view that it joined with.
    ///
    /// The members are counted first ([A8](crate::facts#a8)). All that is asked is asked by a thread, which is left behind when
    /// the deadline passes or the daemon dies; a join that is left behind so is undone when the daemon answers. One such count
    /// or list is made at
    /// a time in the process ([A19](crate::facts#a19)): others are waited for until the deadline.
    ///
    /// A process can join a group once ([B5](crate::facts#b5)). An earlier membership of it that is still ending is waited out:
    /// for a moment the daemon says `CS_ERR_TRY_AGAIN`, and `CS_ERR_EXIST` while it has not heard of the end, as of a close
    /// that was left behind while
    /// it was paused.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for a name that was read and that the daemon cannot bear, [`Error::GroupTooLarge`] for a group with
    /// 128 members ([A8](crate::facts#a8)), [`CsError::Exist`](crate::CsError::Exist) if this process is in the group,
    /// [`Error::Io`], [`CsError::TryAgain`](crate::CsError::TryAgain) or [`Error::TimedOut`] when the deadline
    /// passes first.
    #[doc(alias = "cpg_join")]
    pub fn join_until(self, name: impl IntoGroupName, deadline: Instant) -> Result<Group, JoinError> {
        let name = match name.into_group_name().map_err(Error::from) {
            Ok(name) => name,
            Err(error) => return Err(JoinError::with_handle(error, self)),
        };
        let (handle, me) = self.into_member(&name, &deadline.into(), None)?;
        Ok(Group::begin(handle, name, me))
    }

    /// Joins a group; gives the handle with the member that it is now.
    ///
    /// A group that an earlier membership has seen to be small is asked for in a way that always comes back
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
            // The call that has the half may never give it back (A19).
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

    /// Asks what has to be known before the join: who this is, and that the group has room.
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
            // As the daemon says of a membership that it has heard the end of.
            let ends = |error: &Error| error.code() == Some(CsError::Exist) && endings.any();
            joined.map_err(|error| if ends(&error) { Error::cs("cpg_join", CS_ERR_TRY_AGAIN) } else { error })
        });
        asked.map_err(|error| match error {
            // The daemon may take it yet.
            Error::TimedOut { .. } => Failed::After(error),
            error => Failed::Before(error),
        })
    }

    /// Waits until the daemon has delivered the join: before that `cpg_leave` would spin, and others that joined in between
    /// are not counted yet.
    fn await_membership(
        &self,
        group: &GroupName,
        me: Member,
        small: Small,
        patience: &Patience<'_>,
    ) -> Result<()> {
        // The own view makes the handle readable; so can a new ring, which is why the count decides.
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
                return Err(Error::TimedOut { waiting_for: "the own join to be delivered" });
            }
            patience.pause(pause);
            pause = Pauses::REQUEST.after(pause);
        }
    }
}

/// Why a join has failed: before the daemon was asked to take this process into the group, or when it may have.
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
