//! Facts A1, A2, A3 and A16: calls of libcpg that would write outside of their memory, on the stack or in an array of
//! slices.

use std::io::IoSlice;
use std::rc::Rc;

use crate::support::process::own_process;
use crate::support::stack::{KIB, descend, on_guarded_stack, on_stack, stack_end};
use crate::support::{deadline, join, messages, payloads, pump, views, wait_for};
use cpg::{Error, Group, Handle, Limits, Result};
use testcluster::Cluster;

fn assert_refused(result: &Result<usize>, stack: usize) {
    let Err(Error::StackTooSmall { needed, remaining }) = *result else { panic!("{result:?}") };
    assert!(needed > 1024 * KIB, "{needed}");
    assert!(remaining < stack && remaining < needed, "{remaining} of {stack}");
}

#[test]
fn a1_dispatch_on_a_small_stack_is_refused() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("stack");
        let mut handle = Handle::connect().unwrap();
        group.send(b"kept").unwrap();
        for size in [64 * KIB, 1024 * KIB] {
            let result = on_stack(size, || group.dispatch(Limits::one(), |_, _| panic!("an event")));
            assert_refused(&result, size);
            let result = on_stack(size, || handle.dispatch(Limits::available(), |_, _| panic!("an event")));
            assert_refused(&result, size);
            // A request needs less stack, so only a dispatch is refused.
            let asked = &mut handle;
            let node = on_stack(size, move || asked.local_node());
            assert_eq!(node.unwrap(), group.me().node());
        }
        // No event was taken, and the group still works.
        assert_eq!(on_stack(2048 * KIB, || payloads(&mut group, 1)), [b"kept"]);
        on_stack(2048 * KIB, || handle.dispatch(Limits::available(), |_, _| {})).unwrap();
        on_stack(2048 * KIB, || group.leave()).unwrap();
    });
}

#[test]
fn a1_the_remaining_stack_counts_and_not_its_size() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("deep");
        group.send(b"kept").unwrap();
        // On one thread, first as deep in the stack as before and then deeper.
        on_stack(4096 * KIB, || {
            for left in [1100 * KIB, 512 * KIB, 64 * KIB] {
                let dispatch = || group.dispatch(Limits::available(), |_, _| panic!("an event"));
                assert_refused(&descend(stack_end(), left, dispatch), left);
            }
            assert_eq!(descend(stack_end(), 2048 * KIB, || payloads(&mut group, 1)), [b"kept"]);
        });
    });
}

#[test]
fn a1_a_leave_without_enough_stack_closes_the_handle() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let group = join("leave");
        let name = group.name().clone();
        let result = on_stack(64 * KIB, || group.leave());
        assert!(matches!(result, Err(Error::StackTooSmall { .. })), "{result:?}");
        let handle = Handle::connect().unwrap();
        wait_for("the membership to end", || handle.members_of(&name).unwrap().is_empty().then_some(()));
    });
}

/// Asserts that `work` writes nothing below the guard page of its stack, at each depth from which it starts.
///
/// `work` is made anew for each depth. Nearer to the end of the stack, the code of this crate itself would not fit, and
/// would hit the guard page as any Rust code does.
fn stays_within<T>(what: &str, mut make: impl FnMut() -> Box<dyn FnOnce() -> Result<T>>) {
    for left in (24 * KIB..=48 * KIB).step_by(KIB) {
        let (result, written) = on_guarded_stack(left, make());
        assert_eq!(written, 0, "{what} with {left} bytes left has written below the guard page");
        assert!(result.is_ok(), "{what} with {left} bytes left: {:?}", result.err());
    }
}

#[test]
fn a16_calls_near_the_end_of_a_stack_write_nothing_below_it() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("small");
        pump(&mut group, |events| views(events).next().is_some());
        let group = Rc::new(group);
        stays_within("connect", || Box::new(Handle::connect));
        stays_within("close", || {
            let handle = Handle::connect().unwrap();
            Box::new(|| handle.close())
        });
        stays_within("members", || {
            let group = Rc::clone(&group);
            Box::new(move || group.members())
        });
        stays_within("zero_copy", || {
            let group = Rc::clone(&group);
            Box::new(move || group.zero_copy(100).map(drop))
        });
    });
}

/// A length above the atomic size, so that libcpg puts the message together from parts.
fn long(byte: u8) -> Vec<u8> {
    vec![byte; 3 << 20]
}

fn send_all(groups: &mut [&mut Group], message: &[u8]) {
    for group in groups {
        group.send_until(message, deadline()).unwrap();
    }
}

#[test]
fn a2_another_group_can_be_dispatched_within_an_event() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (mut outer, mut inner) = (join("outer"), join("inner"));
        send_all(&mut [&mut outer, &mut inner], &long(1));
        send_all(&mut [&mut outer, &mut inner], &long(2));
        let (mut outside, mut inside) = (Vec::new(), Vec::new());
        while outside.len() < 2 {
            outer
                .dispatch(Limits::one().until(deadline()), |_, event| {
                    let cpg::Event::Deliver(message) = &event else { return };
                    inside.extend(payloads(&mut inner, 1));
                    // After the inner dispatch, the message of the outer one is unchanged.
                    outside.push(message.payload().to_vec());
                })
                .unwrap();
        }
        assert!(outside == [long(1), long(2)] && inside == outside);
    });
}

#[test]
fn a2_a_dispatch_within_an_event_needs_a_stack_of_its_own() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (mut outer, mut inner) = (join("outer"), join("inner"));
        send_all(&mut [&mut outer, &mut inner], b"message");
        let size = 2048 * KIB;
        on_stack(size, || {
            let mut results = Vec::new();
            let mut handled = 0;
            while handled < 2 {
                handled += outer
                    .dispatch(Limits::one().until(deadline()), |_, _| {
                        results.push(inner.dispatch(Limits::available(), |_, _| panic!("an event")));
                    })
                    .unwrap();
            }
            assert_eq!(results.len(), 2);
            for result in &results {
                assert_refused(result, size);
            }
        });
        assert_eq!(payloads(&mut inner, 1), [b"message"]);
    });
}

/// Sends `slices`, and asserts that they are delivered whole and in order.
fn echo(group: &mut Group, slices: &[Vec<u8>]) {
    let parts: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
    let sent = wait_for("room in the queue", || match group.send_vectored(&parts) {
        Err(error) if error.is_retryable() => None,
        result => Some(result),
    });
    sent.unwrap();
    let events = pump(group, |events| messages(events).next().is_some());
    let message = messages(&events).next().unwrap();
    assert!(message.payload() == slices.concat(), "{} slices: {message:?}", slices.len());
    assert_eq!(message.sender(), group.me());
}

#[test]
fn a3_any_number_of_slices_is_delivered_whole() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("slices");
        let limit = group.daemon().max_atomic_message_size();
        for count in [0, 1, 62, 63, 64, 65, 127, 128, 1025, 10_000] {
            let slice = |i: usize, len: usize| i.to_le_bytes().repeat(len);
            // All slices have one length; every other slice is empty; all slices are empty.
            echo(&mut group, &(0..count).map(|i| slice(i, 1)).collect::<Vec<_>>());
            echo(&mut group, &(0..count).map(|i| slice(i, i % 2)).collect::<Vec<_>>());
            echo(&mut group, &vec![Vec::new(); count]);
        }
        for count in [2, 62, 63, 64, 65, 10_000] {
            // The message travels in parts, whose borders are within slices.
            let len = 3 * limit / count / 8 + 1;
            let slices: Vec<_> = (0..count).map(|i| i.to_le_bytes().repeat(len)).collect();
            assert!(slices.concat().len() > 2 * limit);
            echo(&mut group, &slices);
        }
    });
}
