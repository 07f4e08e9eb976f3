//! Fact B12: parameters of libcpg that corosync ignores, and buffers that are sent without a copy.

use std::io::IoSlice;

use crate::support::mounts::{keep_shared_memory_alone, limit_shared_memory};
use crate::support::{deadline, join, messages, payloads, pump, wait_for};
use cpg::{Error, FlowControl, Group, Guarantee};
use testcluster::Cluster;

#[test]
fn b12_the_flow_control_state_is_always_disabled() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let group = join("b12 flow");
        assert_eq!(group.daemon().flow_control().unwrap(), FlowControl::Disabled);
        cluster.pause(2).unwrap();
        wait_for("flow control", || group.send(&vec![0; 100_000]).err());
        assert_eq!(group.daemon().flow_control().unwrap(), FlowControl::Disabled);
        cluster.resume(2).unwrap();
    });
}

#[test]
fn b12_every_guarantee_gives_the_agreed_order() {
    let cluster = Cluster::start(2).unwrap();
    let kinds = [Guarantee::Unordered, Guarantee::Fifo, Guarantee::Agreed, Guarantee::Safe];
    let mut other = cluster.on(2, || join("b12 order"));
    cluster.on(1, || {
        let mut group = join("b12 order");
        // Both send at the same time, each with all four guarantees in turn.
        let send = |group: &Group, node: u8| {
            for number in 0..50 {
                let kind = kinds[usize::from(number) % kinds.len()];
                let bytes = [node, number];
                while let Err(error) = group.send_with(kind, &[IoSlice::new(&bytes)]) {
                    assert!(error.is_retryable(), "{error}");
                }
            }
        };
        let theirs = std::thread::scope(|scope| {
            let theirs = scope.spawn(|| {
                send(&other, 2);
                other
            });
            send(&group, 1);
            theirs.join().unwrap()
        });
        other = theirs;
        let heard = payloads(&mut group, 100);
        assert_eq!(payloads(&mut other, 100), heard);
        for node in [1, 2] {
            let numbers: Vec<_> =
                heard.iter().filter(|bytes| bytes[0] == node).map(|bytes| bytes[1]).collect();
            assert_eq!(numbers, (0..50).collect::<Vec<_>>());
        }
    });
}

#[test]
fn b12_zero_copy_buffers_can_have_any_size_up_to_the_atomic_size() {
    let cluster = Cluster::start(2).unwrap();
    let mut other = cluster.on(2, || join("b12 zero-copy"));
    cluster.on(1, || {
        let mut group = join("b12 zero-copy");
        let most = group.daemon().max_atomic_message_size();
        let mut expected = Vec::new();
        for len in [0, 1, 100, 4096, most] {
            let mut buffer = group.zero_copy(len).unwrap();
            assert_eq!(*buffer, *vec![0; len]);
            buffer.iter_mut().zip((0..=250).cycle()).for_each(|(byte, value)| *byte = value);
            let send = |buffer: &cpg::ZeroCopyBuffer<'_>| {
                wait_for("a send", || match buffer.send_with(Guarantee::Safe) {
                    Ok(()) => Some(buffer.to_vec()),
                    Err(error) => {
                        assert!(error.is_retryable(), "{error}");
                        None
                    }
                })
            };
            expected.push(send(&buffer));
            if let Some(first) = buffer.first_mut() {
                *first = b'!';
            }
            expected.push(send(&buffer));
            buffer.truncate(len / 2);
            assert_eq!(buffer.len(), len / 2);
            expected.push(send(&buffer));
            buffer.truncate(usize::MAX);
            assert_eq!(buffer.len(), len / 2);
        }
        assert_eq!(payloads(&mut group, expected.len()), expected);
        assert_eq!(payloads(&mut other, expected.len()), expected);
        let refused = group.zero_copy(most + 1).unwrap_err();
        assert!(matches!(refused, Error::MessageTooLong { len, limit } if len == most + 1 && limit == most));
        assert!(matches!(group.zero_copy(usize::MAX), Err(Error::MessageTooLong { .. })));
    });
}

#[test]
fn b12_zero_copy_buffers_are_freed() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("b12 given back");
        let mapped = |process: &str| {
            let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
            maps.lines().filter(|line| line.contains("zerocopy")).count()
        };
        let daemon = cluster.daemon_pid(1).to_string();
        let many: Vec<_> = (0..20).map(|_| group.zero_copy(10_000).unwrap()).collect();
        for buffer in &many {
            buffer.send().unwrap();
        }
        drop(many);
        for _ in 0..100 {
            group.zero_copy(10_000).unwrap().send().unwrap();
        }
        // Other tests of this process may have buffers, in their namespaces.
        wait_for("the daemon to let go", || (mapped(&daemon) == 0).then_some(()));
        let files = std::fs::read_dir("/dev/shm").unwrap().map(|file| file.unwrap().file_name());
        assert_eq!(files.filter(|name| name.to_string_lossy().contains("zerocopy")).count(), 0);
        let heard = pump(&mut group, |events| messages(events).count() == 120);
        assert!(messages(&heard).all(|message| message.payload() == [0; 10_000]));

        // Closing a handle frees its remaining buffers, in the daemon as well.
        let buffer = group.zero_copy(10).unwrap();
        std::mem::forget(buffer);
        group.leave_until(deadline(), |link, _| drop(link.zero_copy(10).unwrap())).unwrap();
        wait_for("the daemon to let go", || (mapped(&daemon) == 0).then_some(()));
    });
}

#[test]
fn b12_too_many_buffers_are_refused_before_libcpg_aborts() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let group = join("b12 many");
        let mut buffers = Vec::new();
        let refused = loop {
            match group.zero_copy(1) {
                Ok(buffer) => buffers.push(buffer),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, Error::NoSharedMemory { .. }), "{refused}");
        assert_eq!(buffers.len(), 1024);
        buffers.pop();
        group.zero_copy(1).unwrap().send().unwrap();
    });
}

#[test]
fn b27_the_error_for_a_zero_copy_buffer_names_a_missing_proc() {
    let cluster = Cluster::start(1).unwrap();
    let refused = cluster.spawn_on(1, || {
        let mut group = join("no proc");
        keep_shared_memory_alone();
        let refused = group.zero_copy(1000).map(drop);
        group.send(b"plain").unwrap();
        assert_eq!(payloads(&mut group, 1), [b"plain"]);
        refused
    });
    if let Err(refused) = refused.join().unwrap() {
        assert!(refused.to_string().contains("in /dev/shm: cannot read /proc/self/maps"), "{refused}");
    }
}

#[test]
fn b12_a_buffer_without_shared_memory_is_refused_before_libcpg_aborts() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("b12 full");
        limit_shared_memory(200_000);
        for _ in 0..3 {
            let refused = group.zero_copy(500_000).unwrap_err();
            assert!(matches!(refused, Error::NoSharedMemory { len: 500_000, .. }), "{refused}");
            group.zero_copy(100_000).unwrap().send().unwrap();
        }
        assert_eq!(payloads(&mut group, 3), vec![vec![0; 100_000]; 3]);
    });
}
