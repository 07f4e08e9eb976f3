//! What processes there are in groups.

use crate::group_name::GroupName;
use crate::member::Member;

/// A process and the group that it is in.
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
