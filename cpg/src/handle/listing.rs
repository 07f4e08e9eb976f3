//! What groups and processes there are.

use std::iter::FusedIterator;

use crate::error::Result;
use crate::ffi::iteration::{Iteration, Kind};
use crate::ffi::requests::RequestHalf;
use crate::group_name::GroupName;
use crate::member::Member;

/// A process and the group that it is in.
///
/// ```no_run
/// use std::collections::BTreeSet;
/// use cpg::{Group, GroupName, Handle, Process};
///
/// let group = Group::join("ledger")?;
/// let all = Handle::connect()?.processes()?.collect::<cpg::Result<Vec<Process>>>()?;
/// assert!(all.iter().any(|process| process.group() == group.name() && process.member() == group.me()));
/// assert!(all.contains(&Process::new(group.name().clone(), group.me())));
/// let names: BTreeSet<GroupName> = all.into_iter().map(Process::into_group).collect();
/// println!("{} groups", names.len());
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_iteration_description_t")]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    group: GroupName,
    member: Member,
}

impl Process {
    /// Makes the entry of this process in this group, to compare with.
    pub const fn new(group: GroupName, member: Member) -> Self {
        Self { group, member }
    }

    /// The group.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// The group, without a copy.
    pub fn into_group(self) -> GroupName {
        self.group
    }

    /// The process: its node and pid.
    pub fn member(&self) -> Member {
        self.member
    }
}

/// An iteration that ends after its last entry, and after an error that the next call would only repeat.
#[derive(Debug)]
struct Entries<'h>(Option<Iteration<'h>>);

impl Entries<'_> {
    fn next(&mut self) -> Option<Result<(GroupName, Member)>> {
        let next = self.0.as_ref()?.next().transpose();
        if next.as_ref().is_none_or(|entry| entry.as_ref().is_err_and(|error| !error.is_retryable())) {
            self.0 = None;
        }
        next
    }
}

/// The names of groups, from [`Handle::groups`](crate::Daemon::groups).
///
/// They are those of the moment when the iteration was made: the daemon keeps a copy, until this is dropped. An error is an
/// item and not the end, unless the next call could only repeat it.
///
/// ```no_run
/// use cpg::{Group, Groups, Handle};
///
/// let group = Group::join("ledger")?;
/// let handle = Handle::connect()?;
/// let mut names: Groups<'_> = handle.groups()?;
/// assert!(names.any(|name| name.is_ok_and(|name| name == *group.name())));
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_iteration_next")]
#[doc(alias = "cpg_iteration_finalize")]
#[derive(Debug)]
pub struct Groups<'h>(Entries<'h>);

impl<'h> Groups<'h> {
    pub(crate) fn open(half: &'h RequestHalf) -> Result<Self> {
        Iteration::open(half, Kind::Names).map(|iteration| Self(Entries(Some(iteration))))
    }
}

impl Iterator for Groups<'_> {
    type Item = Result<GroupName>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map(|(group, _)| group))
    }
}

impl FusedIterator for Groups<'_> {}

/// The processes of groups, from [`Handle::processes`](crate::Daemon::processes) and
/// [`Handle::processes_of`](crate::Daemon::processes_of).
///
/// See [`Groups`] for when they are of and how errors come.
///
/// ```no_run
/// use cpg::{Group, Handle, Processes};
///
/// let group = Group::join("ledger")?;
/// let handle = Handle::connect()?;
/// let mut processes: Processes<'_> = handle.processes_of(group.name())?;
/// assert!(processes.any(|process| process.is_ok_and(|process| process.member() == group.me())));
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_iteration_next")]
#[doc(alias = "cpg_iteration_finalize")]
#[derive(Debug)]
pub struct Processes<'h>(Entries<'h>);

impl<'h> Processes<'h> {
    pub(crate) fn open(half: &'h RequestHalf, kind: Kind<'_>) -> Result<Self> {
        Iteration::open(half, kind).map(|iteration| Self(Entries(Some(iteration))))
    }
}

impl Iterator for Processes<'_> {
    type Item = Result<Process>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map(|(group, member)| Process::new(group, member)))
    }
}

impl FusedIterator for Processes<'_> {}
