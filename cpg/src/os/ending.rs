//! Memberships of this process that are ending.

use std::sync::{Mutex, TryLockError};

use cpg_sys::Turn;

use crate::group_name::GroupName;
use crate::os::fork::Owner;

/// Taken before the memberships are: a forked child begins it anew, and so is not kept by a thread that it does not have.
static TURN: Turn = Turn::new();

static MEMBERSHIPS: Mutex<Memberships> = Mutex::new(Memberships { owner: None, groups: Vec::new() });

#[derive(Debug)]
struct Memberships {
    /// The process whose they are: a child of it has none of the threads that end them.
    owner: Option<Owner>,
    groups: Vec<GroupName>,
}

/// Does `work` with the memberships. Returns `None` in a child that was forked while a thread of its parent had them
/// ([A7](crate::facts#a7)): nobody gives them back there.
fn with<R>(work: impl FnOnce(&mut Vec<GroupName>) -> R) -> Option<R> {
    let _in_turn = TURN.take(None);
    let mut memberships = match MEMBERSHIPS.try_lock() {
        Ok(memberships) => memberships,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    if memberships.owner.is_none_or(|owner| owner.check().is_err()) {
        *memberships = Memberships { owner: Some(Owner::this_process()), groups: Vec::new() };
    }
    Some(work(&mut memberships.groups))
}

/// The time from which a membership is of no further use to the one at which its connection is closed. The daemon counts it
/// until then, which lasts while that is paused.
#[derive(Debug)]
pub(crate) struct Ending {
    group: GroupName,
    owner: Owner,
}

impl Ending {
    pub(crate) fn begin(group: GroupName) -> Self {
        with(|groups| groups.push(group.clone()));
        Self { group, owner: Owner::this_process() }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // The child's own memberships are others.
        if self.owner.check().is_err() {
            return;
        }
        with(|groups| {
            let own = groups.iter().position(|group| *group == self.group);
            own.map(|own| groups.swap_remove(own))
        });
    }
}

/// True if a membership of this process in that group is ending.
pub(crate) fn is_ending(group: &GroupName) -> bool {
    with(|groups| groups.contains(group)).unwrap_or(false)
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

        // They are not waited for where nobody gives them back, as in a child that was forked while another thread had them.
        let held = MEMBERSHIPS.lock();
        let (say, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || say.send(is_ending(&GroupName::new("kept").unwrap())));
        assert_eq!(said.recv_timeout(std::time::Duration::from_secs(20)), Ok(false));
        drop(held);
    }
}
