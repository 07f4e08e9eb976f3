//! Restarts of the daemon under load: every message is accounted for, and nothing is left behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::process::own_process;
use crate::support::{deadline, join_with, wait_for};
use cpg::{Event, Limits, Receiver, Reconnect, Sender, Session};
use testcluster::Cluster;

const SENDERS: usize = 3;

#[test]
fn no_message_is_lost_without_an_error() {
    own_process!();
    restarts(8);
}

#[test]
#[ignore = "takes a quarter of an hour"]
fn no_message_is_lost_without_an_error_in_500_restarts() {
    own_process!();
    restarts(500);
}

fn restarts(count: u64) {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let how = Session::options().reconnect(Reconnect::new().keep_queue()).coalesce();
        let (sender, mut receiver) = join_with(how, "load").split();
        let stop = AtomicBool::new(false);
        let mut account = Account::default();
        let sent: u64 = std::thread::scope(|scope| {
            let (stop, sender) = (&stop, &sender);
            let senders = [0, 1, 2].map(|thread| scope.spawn(move || send(thread, sender, stop)));
            let restarting = scope.spawn(|| {
                let started = (0..count).map(|_| restart(&cluster, sender)).collect::<Vec<_>>();
                stop.store(true, Ordering::SeqCst);
                started
            });
            while !restarting.is_finished() {
                let soon = Instant::now() + Duration::from_millis(50);
                receiver.dispatch(Limits::forever().until(soon), |_, event| account.event(&event)).unwrap();
            }
            let started = restarting.join().unwrap();
            let mut took: Vec<_> = started
                .iter()
                .zip(&account.back)
                .map(|(up, back)| back.saturating_duration_since(*up))
                .collect();
            took.sort_unstable();
            println!("back after {:?}, at most {:?}", took[took.len() / 2], took[took.len() - 1]);
            let sent = senders.into_iter().map(|thread| thread.join().unwrap()).sum();
            finish(sender, &mut receiver, &mut account);
            sent
        });
        let Account { heard, handed_back, markers, .. } = account;
        println!("{count} restarts: {sent} sent, {heard} delivered, {handed_back} handed back");
        assert_eq!(heard + handed_back, sent, "delivered and handed back");
        assert_eq!((markers, receiver.generation()), (count + 1, count + 1));
        account.first.unwrap().assert_flat();
    });
}

/// Sends the number of the thread with numbers that count up. Returns the number of accepted messages.
fn send(thread: u64, sender: &Sender, stop: &AtomicBool) -> u64 {
    let mut sent = 0;
    while !stop.load(Ordering::SeqCst) {
        let number = thread << 56 | sent;
        match sender.send_until(&number.to_le_bytes(), Instant::now() + Duration::from_millis(50)) {
            Ok(_) => sent += 1,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
    sent
}

const MARKER: [u8; 8] = [0xff; 8];

/// Restarts the daemon, and waits until messages are delivered again. Returns the time at which the daemon was up.
fn restart(cluster: &Cluster, sender: &Sender) -> Instant {
    cluster.kill(1).unwrap();
    cluster.restart(1).unwrap();
    let started = Instant::now();
    let sent = wait_for("room", || sender.try_send(&MARKER).ok());
    match sender.ticket(sent).wait_until(deadline()) {
        Ok(()) => {}
        Err(error) => assert!(error.is_connection_lost(), "{error}"),
    }
    started
}

/// Dispatches until all sent messages have been delivered.
fn finish(sender: &Sender, receiver: &mut Receiver, account: &mut Account) {
    let last = wait_for("room", || {
        receiver.dispatch(Limits::available(), |_, event| account.event(&event)).unwrap();
        sender.try_send(&MARKER).ok()
    });
    let last = sender.ticket(last);
    wait_for("the last message", || {
        receiver.dispatch(Limits::available(), |_, event| account.event(&event)).unwrap();
        last.outcome().map(Result::unwrap)
    });
}

/// The fate of the messages.
#[derive(Default)]
struct Account {
    heard: u64,
    handed_back: u64,
    markers: u64,
    /// The times at which the session had rejoined.
    back: Vec<Instant>,
    /// The next number of each thread.
    next: [u64; SENDERS],
    /// The resources after the first restart.
    first: Option<Held>,
}

impl Account {
    fn event(&mut self, event: &Event<'_>) {
        let payload = match event {
            Event::Deliver(message) => message.payload(),
            Event::Undelivered(message) => message.payload(),
            Event::Rejoined(_) => {
                self.back.push(Instant::now());
                self.first.get_or_insert_with(Held::now);
                return;
            }
            _ => return,
        };
        if payload == MARKER {
            self.markers += 1;
            return;
        }
        match event {
            Event::Deliver(_) => self.heard += 1,
            _ => self.handed_back += 1,
        }
        let number = u64::from_le_bytes(payload.try_into().unwrap());
        let next = &mut self.next[usize::try_from(number >> 56).unwrap()];
        // In the order of sending, so each is there once.
        assert_eq!(number & ((1 << 56) - 1), *next, "of thread {}", number >> 56);
        *next += 1;
    }
}

/// The resources of a process that a restart could leave behind.
#[derive(Debug, Clone, Copy)]
struct Held {
    descriptors: usize,
    threads: usize,
    rings: usize,
    shared: usize,
}

/// Returns the number of mappings of libqb's rings. The number of other mappings depends on the allocator.
fn mapped_rings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().filter(|line| line.contains("/qb-")).count()
}

impl Held {
    fn now() -> Self {
        let entries = |path| std::fs::read_dir(path).unwrap().count();
        Self {
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            rings: mapped_rings(),
            shared: entries("/dev/shm"),
        }
    }

    /// Asserts that no more resources are held now.
    fn assert_flat(self) {
        wait_for("what the restarts held to be given back", || {
            let now = Self::now();
            let flat = now.descriptors <= self.descriptors
                && now.threads <= self.threads
                && now.rings <= self.rings
                && now.shared <= self.shared;
            println!("{self:?} -> {now:?}");
            flat.then_some(())
        });
    }
}
