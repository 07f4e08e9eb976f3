//! Memberships of this process that are ending.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::group_name::GroupName;
use crate::os::fork::Owner;

static MEMBERSHIPS: Mutex<Memberships> = Mutex::new(Memberships { owner: None, groups: Vec::new() });

#[derive(Debug)]
struct Memberships {
    /// The process whose they are: a child of it has none of the threads that end them.
    owner: Option<Owner>,
    groups: Vec<GroupName>,
}

/// Held for a moment only.
fn memberships() -> MutexGuard<'static, Memberships> {
    let mut memberships = MEMBERSHIPS.lock().unwrap_or_else(PoisonError::into_inner);
    if memberships.owner.is_none_or(|owner| owner.check().is_err()) {
        *memberships = Memberships { owner: Some(Owner::this_process()), groups: Vec::new() };
    }
    memberships
}

/// The time from which a membership is of no further use to the one at which its connection is closed. The daemon counts it
/// until then, which lasts while that is paused.
#[derive(Debug)]
pub(crate) struct Ending {
    group: GroupName,
    /// A child of the process may have a copy of the lock that nobody gives back ([A7](crate::facts#a7)).
    owner: Owner,
}

impl Ending {
    pub(crate) fn begin(group: GroupName) -> Self {
        memberships().groups.push(group.clone());
        Self { group, owner: Owner::this_process() }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.owner.check().is_err() {
            return;
        }
        let mut memberships = memberships();
        let own = memberships.groups.iter().position(|group| *group == self.group);
        own.map(|own| memberships.groups.swap_remove(own));
    }
}

/// True if a membership of this process in that group is ending.
pub(crate) fn is_ending(group: &GroupName) -> bool {
    memberships().groups.contains(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_is_ending_until_the_last_one_in_its_group_has_ended() {
        let [one, other] = ["one", "other"].map(|name| GroupName::new(name).unwrap());
        let (first, second) = (Ending::begin(one.clone()), Ending::begin(one.clone()));
        assert!(is_ending(&one) && !is_ending(&other));
        drop(first);
        assert!(is_ending(&one));
        drop(second);
        assert!(!is_ending(&one));
    }
}
