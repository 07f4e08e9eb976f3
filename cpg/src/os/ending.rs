//! The memberships of this process that are ending.

use std::sync::{Mutex, TryLockError};

use cpg_sys::Turn;

use crate::group_name::GroupName;
use crate::os::fork::Owner;

/// The turn of the threads that use `MEMBERSHIPS`. A forked child begins this turn anew, so it does not wait for a thread that
/// only its parent has.
static TURN: Turn = Turn::new();

static MEMBERSHIPS: Mutex<Memberships> =
    Mutex::new(Memberships { owner: None, groups: Vec::new(), begun: 0 });

/// The memberships of one process that are ending.
#[derive(Debug)]
struct Memberships {
    /// The process that has these memberships. A child has none of the threads that end them.
    owner: Option<Owner>,
    groups: Vec<GroupName>,
    /// The number of memberships that have begun to end so far.
    begun: u64,
}

/// Calls `work` with the memberships. Returns `None` in a child that was forked while a thread of its parent held their lock,
/// because nobody unlocks it there ([A7](crate::facts#a7)).
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

/// The time between giving up a membership and closing its connection. Until its end the daemon counts the member. If the daemon
/// is paused, this time lasts until the daemon resumes.
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
        // A child has its own list of memberships, in which this one is not.
        if self.owner.check().is_err() {
            return;
        }
        with(|Memberships { groups, .. }| {
            let own = groups.iter().position(|group| *group == self.group);
            own.map(|own| groups.swap_remove(own))
        });
    }
}

/// The memberships of this process in one group that are ending now, and memberships that begin to end later.
///
/// This value is made before the daemon is asked. A membership that the daemon still knew when it answered may have ended by the
/// time at which the answer is read.
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

    /// True if there was such a membership. Also true if a membership in another group has begun to end, which only costs an
    /// attempt.
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
        // The daemon may have known this membership when it was asked.
        assert!(before.any());
        let before = Endings::from_now(&one);
        drop(Ending::begin(one));
        assert!(before.any());

        // A check does not wait for a lock that nobody unlocks, as in a child that was forked while another thread held it.
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
