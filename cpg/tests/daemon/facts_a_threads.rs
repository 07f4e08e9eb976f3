//! Facts A4, A5 and A6: handles and threads, and panics in the middle of an event.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::thread;

use crate::support::{deadline, join, messages, payloads, pump};
use cpg::{
    Callbacks, CsError, Daemon, Error, Event, Group, GroupName, Handle, JoinError, Limits, Link, OwnedEvent,
    OwnedMessage, OwnedRing, OwnedView, Receiver, Sender, Session, TotemEvents, Waker, ZeroCopyBuffer,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use testcluster::Cluster;

#[test]
fn a4_a_group_can_move_from_thread_to_thread() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("hops");
        for hop in 0..16_u8 {
            // A new thread for each round: the group moves to the thread and back.
            group = thread::spawn(move || {
                group.send(&[hop]).unwrap();
                let mut heard = Vec::new();
                while heard.is_empty() {
                    group
                        .dispatch(Limits::one().until(deadline()), |link, event| {
                            assert_eq!(link.members().unwrap(), [link.me()]);
                            if let Event::Deliver(message) = event {
                                heard.push(message.payload().to_vec());
                            }
                        })
                        .unwrap();
                }
                assert_eq!(heard, [[hop]]);
                group
            })
            .join()
            .unwrap();
        }
        group.leave().unwrap();
    });
}

#[test]
fn a4_handles_of_different_threads_do_not_disturb_each_other() {
    let cluster = Cluster::start(2).unwrap();
    let (one, two) = thread::scope(|scope| {
        let ask = |node| {
            let cluster = &cluster;
            move || {
                cluster.on(node, || {
                    let handle = Handle::connect().unwrap();
                    (0..20_000).filter(|_| handle.local_node().unwrap().get() == node).count()
                })
            }
        };
        let (one, two) = (scope.spawn(ask(1)), scope.spawn(ask(2)));
        (one.join().unwrap(), two.join().unwrap())
    });
    assert_eq!((one, two), (20_000, 20_000));
}

#[test]
fn a5_types_say_what_threads_may_share_and_send() {
    // Requests of two threads would get each other's replies, so these types must not become Sync by accident.
    assert_impl_all!(Handle: Send);
    assert_impl_all!(Group: Send);
    assert_impl_all!(JoinError: Send);
    assert_not_impl_any!(Handle: Sync, Clone);
    assert_not_impl_any!(Group: Sync, Clone);
    assert_not_impl_any!(Link: Sync, Clone);
    assert_not_impl_any!(Daemon: Sync, Clone);
    assert_not_impl_any!(JoinError: Sync);
    // One thread uses a whole session. Of its halves, the sender can be shared, and the receiver is for one thread.
    assert_impl_all!(Session: Send);
    assert_not_impl_any!(Session: Sync, Clone);
    assert_impl_all!(Sender: Send, Sync, Clone);
    assert_impl_all!(Receiver: Send);
    assert_not_impl_any!(Receiver: Sync, Clone);
    assert_impl_all!(Waker: Send, Sync, Clone);
    // These borrow a handle and make requests on it, while the lending thread may use the handle as well.
    assert_not_impl_any!(&Handle: Send);
    assert_not_impl_any!(&Daemon: Send);
    assert_not_impl_any!(&Link: Send);
    assert_not_impl_any!(ZeroCopyBuffer<'static>: Send, Sync);
    #[cfg(feature = "tokio")]
    {
        assert_impl_all!(cpg::tokio::Sender: Send, Sync, Clone);
        assert_impl_all!(cpg::tokio::Session: Send);
        assert_impl_all!(cpg::tokio::Receiver: Send);
        assert_not_impl_any!(cpg::tokio::Session: Sync, Clone);
        assert_not_impl_any!(cpg::tokio::Receiver: Sync, Clone);
    }
    // Plain values can be shared and sent.
    assert_impl_all!(Error: Send, Sync);
    assert_impl_all!(CsError: Send, Sync);
    assert_impl_all!(GroupName: Send, Sync);
    assert_impl_all!(OwnedMessage: Send, Sync);
    assert_impl_all!(OwnedView: Send, Sync);
    assert_impl_all!(OwnedRing: Send, Sync);
    assert_impl_all!(OwnedEvent: Send, Sync);
}

/// Returns the text of the panic of `work`.
fn panic_of<T: std::fmt::Debug>(work: impl FnOnce() -> T) -> &'static str {
    *catch_unwind(AssertUnwindSafe(work)).unwrap_err().downcast().unwrap()
}

#[test]
fn a6_a_panic_in_each_kind_of_closure_goes_on_in_the_caller() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let handle =
            cpg::ConnectOptions::new().totem_events(TotemEvents::InitialAndChanges).connect().unwrap();
        let mut group = handle.join_until("panics", deadline()).unwrap();
        group.send(b"first").unwrap();
        // The message travels in parts, so that libcpg has a buffer to free after the closure.
        group.send_until(&vec![b'x'; 3 << 20], deadline()).unwrap();
        group.send_until(b"last", deadline()).unwrap();
        let heard = RefCell::new(Vec::new());
        let mut callbacks = Callbacks::new()
            .on_confchg(|_, _| panic_any("confchg"))
            .on_totem_confchg(|_, _| panic_any("totem"))
            .on_deliver(|_, message| match message.payload() {
                b"last" => heard.borrow_mut().push("last"),
                b"first" => panic_any("first"),
                _ => panic_any("long"),
            });
        // Each event is handled once and in order, although the first dispatch was to take all of them.
        for expected in ["confchg", "totem", "first", "long"] {
            let panic = panic_of(|| {
                group.dispatch(Limits::forever().until(deadline()), |link, event| {
                    callbacks.handle(link, event);
                })
            });
            assert_eq!(panic, expected);
            assert!(heard.borrow().is_empty());
        }
        while heard.borrow().is_empty() {
            group
                .dispatch(Limits::one().until(deadline()), |link, event| callbacks.handle(link, event))
                .unwrap();
        }
        assert_eq!(*heard.borrow(), ["last"]);
        group.leave().unwrap();
    });
}

#[test]
fn a6_events_before_and_after_a_panic_are_delivered_once() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("once");
        for byte in 0..10 {
            group.send(&[byte]).unwrap();
        }
        let mut heard = Vec::new();
        let panic = panic_of(|| {
            group.dispatch(Limits::forever().until(deadline()), |_, event| {
                let Event::Deliver(message) = event else { return };
                heard.push(message.payload()[0]);
                if heard.len() == 4 {
                    panic_any("enough");
                }
            })
        });
        assert_eq!((panic, &heard[..]), ("enough", &[0, 1, 2, 3][..]));
        let rest: Vec<u8> = payloads(&mut group, 6).concat();
        assert_eq!(rest, [4, 5, 6, 7, 8, 9]);
        assert_eq!(group.dispatch(Limits::available(), |_, _| {}).unwrap(), 0);
    });
}

#[test]
fn a6_a_panic_goes_through_nested_dispatches_and_a_leave() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (mut outer, mut inner) = (join("outer"), join("inner"));
        let panic = panic_of(|| {
            outer.dispatch(Limits::one(), |_, _| {
                inner.dispatch(Limits::one(), |_, _| panic_any("inside")).unwrap();
            })
        });
        assert_eq!(panic, "inside");
        for group in [&mut outer, &mut inner] {
            group.send(b"still here").unwrap();
            let events = pump(group, |events| messages(events).next().is_some());
            assert_eq!(events.len(), 1, "the views have been handled: {events:?}");
        }
        // After a panic while leaving, the membership has ended, and the process can join again.
        let panic = panic_of(|| outer.leave_until(deadline(), |_, _| panic_any("leaving")));
        assert_eq!(panic, "leaving");
        join("outer").leave().unwrap();
    });
}

#[test]
fn a6_a_panic_in_the_events_of_a_handle_goes_on_in_the_caller() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let mut handle = Handle::connect().unwrap();
        cluster.kill(2).unwrap();
        assert_eq!(panic_of(|| handle.dispatch(Limits::one(), |_, _| panic_any("ring"))), "ring");
        assert_eq!(handle.dispatch(Limits::available(), |_, _| {}).unwrap(), 0);
        cluster.restart(2).unwrap();
        let rings = handle.dispatch(Limits::one().until(deadline()), |handle, ring| {
            assert_eq!(ring.members().len(), 2);
            assert_eq!(handle.local_node().unwrap().get(), 1);
        });
        assert_eq!(rings.unwrap(), 1);
    });
}
