//! Odd messages and names. Each is delivered as it was sent, or refused with a clear error.

use std::io::IoSlice;

use crate::support::{deadline, join, join_with, messages, name, payloads, pump_session};
use cpg::{Error, Group, GroupName, Handle, NameError, Session};
use testcluster::Cluster;

#[test]
fn messages_of_every_size_are_delivered_whole() {
    let cluster = Cluster::start(2).unwrap();
    let mut far = cluster.on(2, || join("sizes"));
    cluster.on(1, || {
        let mut near = join("sizes");
        let most = near.daemon().max_atomic_message_size();
        assert_eq!(most, (1 << 20) - 1024);
        for len in [0, 1, most - 1, most, most + 1, 5_000_000, 20_000_000] {
            let message: Vec<u8> = (0..251).cycle().take(len).collect();
            near.send_until(&message, deadline()).unwrap();
            // Without assert_eq, which would print the messages.
            assert!(payloads(&mut near, 1) == [&message[..]], "{len} bytes here");
            assert!(payloads(&mut far, 1) == [&message[..]], "{len} bytes there");
        }
    });
}

/// Repeats a send until flow control lets the message through.
fn send_slices(group: &Group, slices: &[IoSlice<'_>]) {
    crate::support::wait_for("a send", || match group.send_vectored(slices) {
        Ok(()) => Some(()),
        Err(error) => {
            assert!(error.is_retryable(), "{error}");
            None
        }
    });
}

#[test]
fn any_number_of_slices_of_any_size_is_one_message() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("slices");
        let (empty, long): (&[u8], Vec<u8>) = (&[], (0..251).cycle().take(1_500_000).collect());
        let cases: [Vec<&[u8]>; 9] = [
            vec![],
            vec![empty],
            vec![empty; 63],
            vec![empty; 1000],
            vec![b"a"; 63],
            vec![b"a"; 64],
            vec![b"ab"; 10_000],
            // Each slice of a long message is a separate part, also an empty one.
            vec![empty, &long, empty, empty, &long[..7], empty],
            [vec![empty; 40], vec![&long[..60_000]; 40]].concat(),
        ];
        for case in cases {
            let slices: Vec<_> = case.iter().map(|bytes| IoSlice::new(bytes)).collect();
            send_slices(&group, &slices);
            assert!(payloads(&mut group, 1) == [case.concat()], "{} slices", case.len());
        }
    });
}

#[test]
fn a_message_that_libcpg_cannot_count_is_refused() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("too long");
        let block = vec![0; 64 << 20];
        for count in [32, 33, 63, 64, 1000] {
            let slices: Vec<_> = (0..count).map(|_| IoSlice::new(&block)).collect();
            let refused = group.send_vectored(&slices).unwrap_err();
            let most = usize::try_from(i32::MAX).unwrap();
            assert!(
                matches!(refused, Error::MessageTooLong { len, limit } if len == count << 26 && limit == most),
                "{refused}"
            );
            assert!(!refused.is_retryable() && !refused.is_connection_lost());
            assert_eq!(std::io::Error::from(refused).kind(), std::io::ErrorKind::InvalidInput);
        }
        // No part of them was sent.
        group.send(b"next").unwrap();
        assert_eq!(payloads(&mut group, 1), [b"next"]);

        // In a packet, with its header, its seals and the length of the message.
        let mut session = join_with(Session::options().coalesce(), "too long in a packet");
        let slices = vec![IoSlice::new(&block); 32];
        let refused = session.send_vectored(&slices).unwrap_err();
        let text = format!("a message of {} bytes is too long: {} is the most", 1_u32 << 31, i32::MAX - 27);
        assert_eq!(refused.to_string(), text);
        session.send(b"next").unwrap();
        let events = pump_session(&mut session, |events| messages(events).next().is_some());
        assert_eq!(messages(&events).next().unwrap().payload(), b"next");
    });
}

#[test]
fn names_that_cannot_be_joined_cannot_be_made() {
    assert_eq!(GroupName::new(""), Err(NameError::Empty));
    assert_eq!(GroupName::new("x".repeat(128)), Err(NameError::TooLong { len: 128 }));
    assert_eq!(GroupName::new("x".repeat(1 << 20)), Err(NameError::TooLong { len: 1 << 20 }));
    assert_eq!(GroupName::new("a\0b"), Err(NameError::Nul { position: 1 }));
    assert_eq!(GroupName::with_nul("a\0"), Err(NameError::Nul { position: 1 }));
    for bad in ["", "a\0b", &"x".repeat(128)] {
        // The names are refused before the daemon is asked; there is no daemon here.
        assert!(matches!(Group::join(bad), Err(Error::InvalidName(_))));
    }
}

#[test]
fn the_longest_names_work_as_any_others() {
    let cluster = Cluster::start(2).unwrap();
    let longest = name(&"x".repeat(127));
    let far = cluster.on(2, || Handle::connect().unwrap().join_until(&longest, deadline()).unwrap());
    cluster.on(1, || {
        let far = far;
        let mut near = Handle::connect().unwrap().join_until(&longest, deadline()).unwrap();
        far.send(b"far").unwrap();
        assert_eq!(payloads(&mut near, 1), [b"far"]);
        // The daemon puts a NUL behind the name when a node goes down.
        cluster.kill(2).unwrap();
        assert_eq!(near.members().unwrap(), [near.me()]);
        near.send(b"near").unwrap();
        assert_eq!(payloads(&mut near, 1), [b"near"]);
        near.leave().unwrap();
    });
}
