//! Facts B7 and B8: the meaning of `Ok` and of an error from a send.

use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Members, deadline, join, name, payloads, pump, views, wait_for};
use cpg::{CsError, Event, Group, Limits};
use testcluster::Cluster;

/// Dispatches the available events, and keeps the number at the front of each message.
fn hear(group: &mut Group, heard: &mut Vec<u32>) {
    group
        .dispatch(Limits::available(), |_, event| {
            if let Event::Deliver(message) = event {
                let (number, rest) = message.payload().split_first_chunk().unwrap();
                assert!(rest.iter().all(|byte| byte == rest.last().unwrap()), "a message in pieces");
                heard.push(u32::from_le_bytes(*number));
            }
        })
        .unwrap();
}

fn numbered(number: u32, len: usize) -> Vec<u8> {
    let mut message = vec![b'.'; len];
    message[..4].copy_from_slice(&number.to_le_bytes());
    message
}

#[test]
fn b7_a_refused_message_is_not_delivered_and_the_others_once_and_in_order() {
    let cluster = Cluster::builder().nodes(2).token(Duration::from_secs(10)).start().unwrap();
    cluster.on(1, || {
        for len in [100, 100_000, 1_000_000] {
            let mut group = join("b7");
            let (mut number, mut refused, mut sent, mut heard) = (0, 0, Vec::new(), Vec::new());
            // The ring stands still, so the daemon's queue fills up.
            cluster.pause(2).unwrap();
            let limit = deadline();
            while refused < 100 {
                assert!(Instant::now() < limit, "no send was refused");
                match group.send(&numbered(number, len)) {
                    Ok(()) => sent.push(number),
                    Err(error) => {
                        assert!(error.is_retryable() && !error.is_connection_lost(), "{error}");
                        assert_eq!(error.code(), Some(CsError::TryAgain));
                        assert!(error.to_string().contains("flow control"), "{error}");
                        refused += 1;
                    }
                }
                number += 1;
            }
            cluster.resume(2).unwrap();
            group.send_until(&numbered(u32::MAX, len), deadline()).unwrap();
            sent.push(u32::MAX);
            wait_for("the last message", || {
                hear(&mut group, &mut heard);
                (heard.last() == Some(&u32::MAX)).then_some(())
            });
            assert_eq!(heard, sent);
            group.leave().unwrap();
        }
    });
}

#[test]
fn b7_a_send_with_a_deadline_waits_until_flow_control_ends() {
    let cluster = Cluster::builder().nodes(2).token(Duration::from_secs(10)).start().unwrap();
    cluster.on(1, || {
        let mut group = join("b7 patient");
        pump(&mut group, |events| views(events).next().is_some());
        // More messages than fit into the daemon's queue of four mebibytes.
        for number in 0..40_u8 {
            group.send_until(&vec![number; 500_000], deadline()).unwrap();
        }
        let heard: Vec<_> = payloads(&mut group, 40).iter().map(|message| message[0]).collect();
        assert_eq!(heard, (0..40).collect::<Vec<_>>());
        // With a deadline that has passed, there is one attempt.
        let past = Instant::now();
        cluster.pause(2).unwrap();
        let mut attempt = || group.send_until(&vec![0; 500_000], past).err();
        let refused = wait_for("flow control", &mut attempt);
        assert_eq!(refused.code(), Some(CsError::TryAgain));
        cluster.resume(2).unwrap();
    });
}

const LONG: usize = 20_000_000;

#[test]
fn b8_a_long_message_is_delivered_whole_or_not_at_all() {
    let cluster = Cluster::start(1).unwrap();
    let stop = AtomicBool::new(false);
    cluster.on(1, || {
        let mut group = join("b8");
        let (mut sent, mut heard, mut interrupted) = (Vec::new(), Vec::new(), 0);
        std::thread::scope(|scope| {
            let churn = scope.spawn(|| {
                let deadline = deadline();
                while !stop.load(Ordering::SeqCst) && Instant::now() < deadline {
                    cluster.on(1, || Members::start(&cluster, 1, &name("b8"), 1)).tell("leave");
                }
            });
            let limit = deadline();
            for number in 0.. {
                assert!(Instant::now() < limit, "no send was interrupted");
                match group.send(&numbered(number, LONG)) {
                    Ok(()) => sent.push(number),
                    Err(error) => {
                        assert!(error.is_retryable() && !error.is_connection_lost(), "{error}");
                        interrupted += u32::from(error.code() == Some(CsError::Interrupt));
                    }
                }
                hear(&mut group, &mut heard);
                // The last message is sent when no member joins or leaves any more.
                if interrupted >= 3 {
                    stop.store(true, Ordering::SeqCst);
                }
                if churn.is_finished() && sent.last() == Some(&number) {
                    break;
                }
            }
        });
        wait_for("the last message", || {
            hear(&mut group, &mut heard);
            (heard.last() == sent.last()).then_some(())
        });
        assert_eq!(heard, sent);
    });
}

#[test]
fn b8_a_long_message_fails_if_the_daemon_dies_during_the_send() {
    let cluster = Cluster::start(1).unwrap();
    let group = cluster.on(1, || {
        let mut group = join("b8 death");
        pump(&mut group, |events| views(events).next().is_some());
        group
    });
    let mut events = libc::pollfd { fd: group.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let sending = cluster.spawn_on(1, move || group.send(&vec![1; 10 * LONG]).map(|()| group));
    // SAFETY: one entry, and the descriptor is open while the thread sends.
    let ready = unsafe { libc::poll(&raw mut events, 1, 60_000) };
    // The daemon has delivered a part, so libcpg has an answer that it can mistake for the next one.
    assert_eq!(ready, 1);
    cluster.pause(1).unwrap();
    assert!(!sending.is_finished());
    cluster.kill(1).unwrap();
    let lost = sending.join().unwrap().expect_err("the daemon died before it had the message");
    assert!(lost.is_connection_lost(), "{lost}");
}

#[test]
fn b8_a_long_message_fails_if_the_daemon_is_dead() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("b8 dead");
        let long = vec![1; LONG];
        // This call leaves its CS_OK in the place where the next call reads the answers that it does not get.
        group.send_until(&long, deadline()).unwrap();
        payloads(&mut group, 1);
        cluster.kill(1).unwrap();
        let lost = group.send(&long).expect_err("there is no daemon");
        assert!(lost.is_connection_lost(), "{lost}");
    });
}
