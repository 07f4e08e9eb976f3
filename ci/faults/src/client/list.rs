//! Listers: clients that are in no group, and ask the daemon for all groups and their members all the time.

use std::collections::BTreeSet;
use std::time::Duration;

use cpg::{Handle, Member, Process, Result};

use super::book::Book;
use super::watchdog::Watch;
use super::{TICK, Task};
use cpg_faults::random::Random;

/// The longest time between two lists.
const PAUSE: u64 = 30;

/// Asks for all processes of all groups, in both ways that there are.
fn list(handle: &Handle, watch: &Watch) -> Result<BTreeSet<Member>> {
    let all = handle.processes()?;
    let once: BTreeSet<&Process> = all.iter().collect();
    assert_eq!(once.len(), all.len(), "a process is listed twice: {all:?}");
    watch.beat("lists groups");
    for name in handle.groups()? {
        watch.beat("lists members");
        handle.members_of(&name)?;
    }
    Ok(all.into_iter().map(|process| process.member()).collect())
}

/// Runs a lister until it is told to stop.
pub fn run(task: &Task, book: &Book) {
    let mut random = Random::new(task.seed ^ u64::from(task.client));
    let watch = book.watch("the lister");
    while !book.is_stopping() {
        watch.beat("connects");
        let Ok(handle) = Handle::connect() else {
            std::thread::sleep(TICK);
            continue;
        };
        while !book.is_stopping() {
            watch.beat("lists");
            let Ok(members) = list(&handle, &watch) else { break };
            book.listed(members);
            // Some connections make one list, and some many.
            if random.one_in(10) {
                break;
            }
            std::thread::sleep(Duration::from_millis(random.range(0, PAUSE)));
        }
        watch.beat("closes");
    }
}
