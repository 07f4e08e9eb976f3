//! Eight threads that send, one that dispatches and one that asks, on one membership (A4).

#[path = "../support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cpg::{Event, Flow, Limits, Receiver, Sender, Session};
use support::{deadline, join_with, split_with};
use testcluster::Cluster;

const SENDERS: usize = 8;

/// The length of the last message of a sender.
const LAST: usize = 3;

/// The number of the message that is long, of each sender.
const LONG: u64 = 10;

/// The work of all threads so far.
#[derive(Default)]
struct Calls {
    all: AtomicU64,
    refused: AtomicU64,
    sent: AtomicU64,
    asked: AtomicU64,
}

impl Calls {
    const STOPPED: u64 = u64::MAX / 2;

    fn is_stopped(&self) -> bool {
        self.all.load(Ordering::Relaxed) >= Self::STOPPED
    }
}

/// Makes the other threads end when the test has failed.
struct Stop<'c>(&'c Calls);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.all.store(Calls::STOPPED, Ordering::Relaxed);
        }
    }
}

/// Returns the message of a sender with this number. It begins with both, and its other bytes are a function of both.
fn message(sender: usize, number: u64) -> Vec<u8> {
    // A long message travels in parts, while others wait.
    let [low, ..] = number.to_le_bytes();
    let len = if number == LONG { 1_100_000 } else { 16 + usize::from(low) };
    let mut message = vec![low ^ sender.to_le_bytes()[0]; len];
    message[..8].copy_from_slice(&sender.to_le_bytes());
    message[8..16].copy_from_slice(&number.to_le_bytes());
    message
}

fn send(sender: &Sender, id: usize, total: u64, calls: &Calls) {
    let mut number = 0;
    // The scheduler may give one thread so little time that others make all the calls meanwhile.
    while calls.all.load(Ordering::Relaxed) < total || number <= LONG && !calls.is_stopped() {
        calls.all.fetch_add(1, Ordering::Relaxed);
        match sender.send(&message(id, number)) {
            Ok(_) => {
                number += 1;
                calls.sent.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                calls.refused.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            }
        }
    }
    sender.send_until(&[0; LAST], deadline()).unwrap();
}

fn ask(sender: &Sender, total: u64, calls: &Calls) {
    while calls.all.load(Ordering::Relaxed) < total {
        calls.all.fetch_add(1, Ordering::Relaxed);
        calls.asked.fetch_add(1, Ordering::Relaxed);
        match sender.members() {
            Ok(members) => assert_eq!(members, [sender.me()]),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        // While events wait, each question needs a connection, and takes time of the daemon from the senders.
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Dispatches until the last message of each sender has come. Returns the number of messages of each.
fn hear(receiver: &mut Receiver, calls: &Calls) -> [u64; SENDERS] {
    let _stop = Stop(calls);
    let mut next = [0; SENDERS];
    let mut ended = 0;
    while ended < SENDERS {
        calls.all.fetch_add(1, Ordering::Relaxed);
        let handled = receiver.dispatch(Limits::one().until(deadline()), |own, event| {
            let Event::Deliver(delivered) = event else { return };
            assert_eq!(delivered.sender(), own.me());
            if delivered.payload().len() == LAST {
                ended += 1;
                return;
            }
            let sender = usize::from(delivered.payload()[0]);
            assert!(delivered.payload() == message(sender, next[sender]), "lost or corrupted: {next:?}");
            next[sender] += 1;
        });
        assert_eq!(handled.unwrap(), 1, "nothing more came after {next:?}");
    }
    next
}

/// Makes at least `total` calls. Asserts that each answer is right, and that each message is delivered once, whole and
/// in order.
fn stress(flow: Flow, total: u64) {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(flow, "stress");
        let (calls, start) = (Calls::default(), Instant::now());
        let heard = std::thread::scope(|scope| {
            for id in 0..SENDERS {
                let (sender, calls) = (sender.clone(), &calls);
                scope.spawn(move || send(&sender, id, total, calls));
            }
            scope.spawn(|| ask(&sender, total, &calls));
            hear(&mut receiver, &calls)
        });
        let [all, refused, sent, asked] =
            [calls.all, calls.refused, calls.sent, calls.asked].map(AtomicU64::into_inner);
        assert_eq!(heard.iter().sum::<u64>(), sent);
        assert!(heard.iter().all(|&heard| heard > LONG), "each has sent its long one: {heard:?}");
        assert!(all >= total && asked > 0);
        receiver.leave().unwrap();
        println!("{all} calls in {:?}: {sent} sent, {refused} refused, {asked} asked", start.elapsed());
    });
}

#[test]
fn nothing_is_lost_corrupted_or_deadlocked() {
    stress(Flow::new(), 100_000);
    stress(Flow::coalesced(), 100_000);
}

#[test]
#[ignore = "takes a minute: cargo test --release --test stress -- --ignored --nocapture"]
fn nothing_is_lost_corrupted_or_deadlocked_in_ten_million_calls() {
    stress(Flow::new(), 9_000_000);
    stress(Flow::coalesced(), 1_000_000);
}

/// Sends as many messages as the queue takes, until it is told to stop.
fn flood(group: &str, stop: &AtomicBool) -> u64 {
    let mut session = join_with(Session::options(), group);
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        while session.send(&vec![1; 40_000]).is_ok() {
            sent += 1;
        }
        session
            .dispatch(Limits::one().until(Instant::now() + Duration::from_millis(100)), |_, _| ())
            .unwrap();
    }
    sent
}

/// Returns the times from the send of a long message to its self-delivery. The only thread of the session sends each
/// when the one before has been delivered.
fn turns(len: usize, count: usize) -> Vec<Duration> {
    let mut session = join_with(Session::options(), "in turn");
    let mut times = Vec::new();
    for _ in 0..count {
        let (begun, mut back) = (Instant::now(), false);
        session.send(&vec![2; len]).unwrap();
        while !back {
            let limits = Limits::one().until(deadline());
            let handled =
                session.dispatch(limits, |_, event| back = matches!(event, Event::Deliver(_))).unwrap();
            assert_eq!(handled, 1, "it has not come back");
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times
}

#[test]
#[ignore = "a measurement: cargo test --release --test stress -- --ignored --nocapture turn"]
fn the_time_until_a_long_message_has_its_turn_is_measured() {
    for nodes in [1, 2] {
        for senders in [0, 1, 3, 5] {
            let cluster = Cluster::start(nodes).unwrap();
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let (cluster, stop) = (&cluster, &stop);
                let floods: Vec<_> = (0..senders)
                    .map(|number| {
                        let node = number % nodes + 1;
                        scope.spawn(move || cluster.on(node, || flood(&format!("flood {number}"), stop)))
                    })
                    .collect();
                std::thread::sleep(Duration::from_secs(1));
                let times = cluster.on(1, || turns(2_000_000, 30));
                stop.store(true, Ordering::Relaxed);
                let others: u64 = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
                let [middle, most] = [times[times.len() / 2], times[times.len() - 1]];
                println!("{nodes} nodes, {senders} others ({others} messages): {middle:?}, at most {most:?}");
            });
        }
    }
}
