//! Processes in groups, as the daemon lists them.

use crate::group_name::GroupName;
use crate::member::Member;

/// A process and a group that it is in.
///
/// ```no_run
/// use std::collections::BTreeSet;
/// use cpg::{Group, GroupName, Handle, Process};
///
/// let group = Group::join("ledger")?;
/// let all = Handle::connect()?.processes()?;
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
    /// Makes an entry from a group and a process, to compare with.
    pub const fn new(group: GroupName, member: Member) -> Self {
        Self { group, member }
    }

    /// Returns the group.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// Returns the group, without a copy.
    pub fn into_group(self) -> GroupName {
        self.group
    }

    /// Returns the process: its node and pid.
    pub fn member(&self) -> Member {
        self.member
    }
}
