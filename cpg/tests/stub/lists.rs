//! Fact A19: lists that a daemon never answers.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::full_groups::{deliver, full};
use crate::stub::{Replies, SOUND, Stub, first_replies};
use crate::{join, join_session};
use cpg::{Error, Handle, Limits, Result, Session};
use cpg_sys::{CS_ERR_LIBRARY, CS_ERR_NO_SPACE, CS_OK};

/// Makes the request for the next entry hang until the returned value is dropped. The returned channel tells when the
/// request is made.
fn hold(stub: Stub) -> (Sender<()>, Receiver<()>) {
    let (release, released) = channel::<()>();
    let (say, asked) = channel();
    stub.on_entry(move |_| {
        say.send(()).unwrap();
        let _ = released.recv();
    });
    (release, asked)
}

fn assert_lost<T>(result: Result<T>) {
    let Err(error) = result else { panic!("the call succeeded") };
    assert!(error.is_connection_lost() && !error.is_retryable(), "{error}");
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a19_a_list_that_is_never_answered_ends_with_the_daemon() {
    let _alone = crate::stub::alone();
    let (say, stubs) = channel();
    let asking = thread::spawn(move || {
        let (group, stub) = join();
        let (release, asked) = hold(stub);
        say.send((stub, release, asked)).unwrap();
        let listed = group.daemon().groups();
        (group, listed)
    });
    let (stub, release, asked) = stubs.recv().unwrap();
    asked.recv().unwrap();
    // The thread holds no lock that a connect or a close needs.
    Handle::connect().unwrap().close().unwrap();
    stub.hang_up();
    let (group, listed) = asking.join().unwrap();
    assert_lost(listed);
    // Another thread gets its turn, and the connection stays with the thread that waits.
    drop(join());
    wait_until("the connection of that thread alone to be left", || stub.beside() == 1);
    assert_lost(group.daemon().groups());
    // If the answer comes after all, nothing is left behind.
    drop(release);
    wait_until("the connection to be closed", || stub.beside() == 0);
    drop(group);
}

#[test]
fn a19_a_join_whose_count_is_never_answered_ends_with_the_daemon() {
    let _alone = crate::stub::alone();
    let (say, stubs) = channel();
    let joining = thread::spawn(move || {
        let handle = Handle::connect().unwrap();
        let stub = Stub::last();
        let (release, asked) = hold(stub);
        say.send((stub, release, asked)).unwrap();
        handle.join("never counted")
    });
    let (stub, release, asked) = stubs.recv().unwrap();
    asked.recv().unwrap();
    stub.hang_up();
    let refused = joining.join().unwrap().unwrap_err();
    assert!(refused.error().is_connection_lost(), "{refused}");
    assert!(refused.into_handle().is_none(), "the thread has it");
    drop(release);
    wait_until("the handle to be closed", || !stub.is_open());
}

#[test]
fn a19_a_session_sends_while_its_members_are_listed() {
    let _alone = crate::stub::alone();
    let (say, stubs) = channel();
    let asking = thread::spawn(move || {
        let (session, stub) = join_session(Session::options());
        let (release, asked) = hold(stub);
        let (sender, receiver) = session.split();
        say.send((stub, release, asked, sender.clone(), receiver)).unwrap();
        sender.members()
    });
    let (stub, release, asked, sender, receiver) = stubs.recv().unwrap();
    asked.recv().unwrap();
    let (say, sent) = channel();
    stub.on_send(move |_| {
        say.send(()).unwrap();
        CS_OK
    });
    sender.send(b"meanwhile").unwrap();
    sent.try_recv().expect("it is not put off");
    drop(release);
    assert_eq!(asking.join().unwrap().unwrap(), [sender.me()]);
    drop((sender, receiver));
}

#[test]
fn a_list_that_fails_on_a_separate_connection_does_not_end_the_membership() {
    let _alone = crate::stub::alone();
    let (mut session, stub) = full();
    deliver(stub);
    for code in [CS_ERR_NO_SPACE, CS_ERR_LIBRARY] {
        first_replies(Replies { code, ..SOUND });
        let refused = session.dispatch(Limits::available(), |_, event| panic!("{event:?}")).unwrap_err();
        assert!(!refused.is_connection_lost() && !refused.is_retryable(), "{refused}");
        assert_eq!(matches!(refused, Error::NoList(_)), code == CS_ERR_LIBRARY, "{refused}");
    }
    first_replies(SOUND);
    assert_eq!(session.dispatch(Limits::available(), |_, _| ()).unwrap(), 1);
}
