//! Memberships of this process that are ending.

use std::sync::{Mutex, TryLockError};

use cpg_sys::Turn;

use crate::group_name::GroupName;
use crate::os::fork::Owner;

/// Taken before the memberships are: a forked child begins it anew, and so is not kept by a thread that it does not have.
static TURN: Turn = Turn::new();

static MEMBERSHIPS: Mutex<Memberships> =
    Mutex::new(Memberships { owner: None, groups: Vec::new(), begun: 0 });

#[derive(Debug)]
struct Memberships {
    /// The process whose they are: a child of it has none of the threads that end them.
    owner: Option<Owner>,
    groups: Vec<GroupName>,
    /// The number of those that have begun to end so far.
    begun: u64,
}

/// Does `work` with the memberships. Returns `None` in a child that was forked while a thread of its parent had them
/// ([A7](crate::facts#a7)): nobody gives them back there.
fn with<R>(work: impl FnOnce(&mut Memberships) -> R) -> Option<R> {
    let _in_turn = TURN.take(None);
    let mut memberships = match MEMBERSHIPS.try_lock() {
        Ok(memberships) => memberships,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    if memberships.owner.is_none_or(|owner| owner.check().is_err()) {
        *memberships = Memberships { owner: Some(Owner::this_process()), groups: Vec::new(), begun: 0 };
    }
    Some(work(&mut memberships))
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
        with(|memberships| {
            memberships.groups.push(group.clone());
            memberships.begun += 1;
        });
        Self { group, owner: Owner::this_process() }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // The child's own memberships are others.
        if self.owner.check().is_err() {
            return;
        }
        with(|Memberships { groups, .. }| {
            let own = groups.iter().position(|group| *group == self.group);
            own.map(|own| groups.swap_remove(own))
        });
    }
}

/// The memberships of this process in one group that are ending at a moment, and those that begin to end later.
///
/// Begun before the daemon is asked: one of which the daemon still knew when it answered may have ended when the answer is read.
#[derive(Debug)]
pub(crate) struct Endings {
    any: bool,
    begun: u64,
}

impl Endings {
    pub(crate) fn from_now(group: &GroupName) -> Self {
        let now = with(|memberships| (memberships.groups.contains(group), memberships.begun));
        let (any, begun) = now.unwrap_or((false, 0));
        Self { any, begun }
    }

    /// True if there has been one. It is also true when one in another group has begun to end, which costs a try.
    pub(crate) fn any(&self) -> bool {
        self.any || with(|memberships| memberships.begun != self.begun).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_is_ending_until_the_last_one_in_its_group_has_ended() {
        let [one, other] = ["one", "other"].map(|name| GroupName::new(name).unwrap());
        let is_ending = |group: &GroupName| Endings::from_now(group).any();
        let (first, second) = (Ending::begin(one.clone()), Ending::begin(one.clone()));
        assert!(is_ending(&one) && !is_ending(&other));
        drop(first);
        assert!(is_ending(&one));
        let before = Endings::from_now(&one);
        drop(second);
        assert!(!is_ending(&one));
        // One that the daemon may have known when it was asked.
        assert!(before.any());
        let before = Endings::from_now(&one);
        drop(Ending::begin(one));
        assert!(before.any());

        // They are not waited for where nobody gives them back, as in a child that was forked while another thread had them.
        let held = MEMBERSHIPS.lock();
        let (say, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let kept = GroupName::new("kept").unwrap();
            say.send(Endings::from_now(&kept).any())
        });
        assert_eq!(said.recv_timeout(std::time::Duration::from_secs(20)), Ok(false));
        drop(held);
    }
}
