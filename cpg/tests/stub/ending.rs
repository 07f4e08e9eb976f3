//! Joins while an earlier membership of this process is ending.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use cpg::{CsError, Error, Handle};
use cpg_sys::{CS_ERR_EXIST, CS_OK};

use crate::join;
use crate::stub::{self, Replies, SOUND, Stub};
use crate::support::{name, wait_for};

/// Returns the number of threads of the crate.
fn crew() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| name.trim() == "cpg").count()
}

/// The daemon refuses a join for an earlier membership, and hears of its end before the answer is read.
#[test]
#[cfg_attr(miri, ignore = "it looks at threads in /proc")]
fn b5_a_join_is_repeated_if_the_membership_that_it_was_refused_for_has_ended_meanwhile() {
    /// Ends the earlier membership.
    static END: Mutex<Option<(Sender<()>, Stub)>> = Mutex::new(None);

    let _alone = stub::alone();
    let (group, earlier) = join();
    // A call that is outstanding keeps the connection.
    let (end, told) = channel();
    earlier.on_send(move |_| {
        told.recv().unwrap();
        CS_OK
    });
    let outstanding = group.send_until(&vec![0; 2 << 20], Instant::now()).unwrap_err();
    assert!(matches!(outstanding, Error::TimedOut { .. }), "{outstanding}");
    drop(group);
    assert!(earlier.is_open());
    *END.lock().unwrap() = Some((end, earlier));

    stub::on_join("stub", |stub| {
        let Some((end, earlier)) = END.lock().unwrap().take() else { return stub.reply(SOUND) };
        stub.reply(Replies { code: CS_ERR_EXIST, ..SOUND });
        end.send(()).unwrap();
        wait_for("the connection to be closed", || (!earlier.is_open()).then_some(()));
        // This is one.
        wait_for("the threads that close it to end", || (crew() == 1).then_some(()));
    });
    let (group, _) = join();
    assert_eq!(group.name(), &name("stub"));

    // Nothing is ending now.
    stub::on_join("stub", |stub| stub.reply(Replies { code: CS_ERR_EXIST, ..SOUND }));
    let refused = Handle::connect().unwrap().join("stub").unwrap_err();
    assert_eq!(refused.error().code(), Some(CsError::Exist));
    stub::on_join("stub", |_| ());
}
