//! A model of the locks that hold the threads of a session together.
//!
//! The files of this folder run under shuttle, over the stub of libcpg in place of the library (`ci/model`). Shuttle lets one
//! thread run at a time, and chooses the thread at each step of a lock. It finds a thread that waits for ever: all others then
//! end, or reach the limit of their steps.

use std::collections::BTreeSet;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cpg_sys::{
    CPG_REASON_JOIN, CPG_REASON_LEAVE, CPG_REASON_UNDEFINED, CS_ERR_INTERRUPT, CS_ERR_LIBRARY,
    CS_ERR_TRY_AGAIN, CS_OK, cpg_address, cpg_name, cs_error_t,
};
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::scheduler::RandomScheduler;
use shuttle::thread::{JoinHandle, spawn};
use shuttle::{Config, MaxSteps, Runner};

use crate::dispatch::limits::Limits;
use crate::error::Error;
use crate::event::event::Event;
use crate::ffi::options::ConnectOptions;
use crate::ffi::stub::{self, List, NODE, Replies, SOUND, Stub};
use crate::group_name::GroupName;
use crate::os::model::pass;
use crate::os::patience::Patience;
use crate::session::flow::Flow;
use crate::session::options::SessionOptions;
use crate::session::receiver::Receiver;
use crate::session::reconnect::Reconnect;
use crate::session::sender::Sender;
use crate::session::session::Session;

const GROUP: &str = "model";

/// The size of the longest message that goes out in one piece.
const ATOMIC: usize = 8;

/// True if the daemon dies at the next message.
static DIES: AtomicBool = AtomicBool::new(false);

/// True if the daemon is dead, and the session has not joined at another one.
static DEAD: AtomicBool = AtomicBool::new(false);

/// Runs `work` in this many orders of the steps of its threads.
fn model(orders: usize, work: impl Fn() + Send + Sync + 'static) {
    let orders =
        std::env::var("CPG_MODEL_ORDERS").ok().and_then(|orders| orders.parse().ok()).unwrap_or(orders);
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.max_steps = MaxSteps::FailAfter(300_000);
    // One test at a time, because the stub's plans belong to the process.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    stub::on_join(GROUP, joined);
    stub::daemon(sent, left);
    Runner::new(RandomScheduler::new(orders), config).run(work);
}

fn name() -> cpg_name {
    stub::c_name(GROUP.as_bytes(), u32::try_from(GROUP.len()).unwrap())
}

fn me(reason: u32) -> cpg_address {
    cpg_address { nodeid: NODE, pid: std::process::id(), reason }
}

fn joined(stub: Stub) {
    DEAD.store(false, Ordering::SeqCst);
    stub.plan(|stub| {
        stub.confchg(
            Some(&name()),
            [List::Of(&[me(CPG_REASON_UNDEFINED)]), List::Of(&[]), List::Of(&[me(CPG_REASON_JOIN)])],
        );
        CS_OK
    });
}

fn left(stub: Stub) {
    stub.plan(|stub| {
        stub.confchg(Some(&name()), [List::Of(&[]), List::Of(&[me(CPG_REASON_LEAVE)]), List::Of(&[])]);
        CS_OK
    });
}

/// Takes a message and delivers it; a long message in parts. Refuses some messages.
fn sent(stub: Stub, mut bytes: Vec<u8>) -> cs_error_t {
    let long = bytes.len() > ATOMIC;
    if long {
        pass();
    }
    if DIES.swap(false, Ordering::SeqCst) {
        DEAD.store(true, Ordering::SeqCst);
        stub.plan(|_| CS_ERR_LIBRARY);
    }
    if DEAD.load(Ordering::SeqCst) {
        return CS_ERR_LIBRARY;
    }
    match thread_rng().gen_range(0..12) {
        0 if long => return CS_ERR_INTERRUPT,
        1 => return CS_ERR_TRY_AGAIN,
        _ => {}
    }
    stub.plan(move |stub| {
        stub.deliver(Some(&name()), (NODE, std::process::id()), &mut bytes);
        CS_OK
    });
    if long {
        // The self-delivery can come before the call returns.
        pass();
    }
    CS_OK
}

/// Joins with a queue that has little room.
fn join(options: SessionOptions) -> Session {
    DIES.store(false, Ordering::SeqCst);
    stub::first_replies(Replies { max_atomic: u32::try_from(ATOMIC).unwrap(), ..SOUND });
    let handle = ConnectOptions::new().open(&Patience::FOREVER).unwrap();
    let stub = Stub::last();
    // Without this, the members would be counted on another connection, by a thread that waits in the kernel.
    handle.requests().joined(1);
    let seen = handle.requests().small();
    let name = GroupName::new(GROUP).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let (handle, me) = handle.into_member(&name, &deadline.into(), seen).unwrap();
    stub.follow_plans();
    let window = if thread_rng().gen_bool(0.5) { 1 } else { 1 << 20 };
    options.flow(Flow::new().window_size(window).queue_size(1)).begin(handle, name, me).unwrap()
}

/// Makes a message of a thread, long or not.
fn message(thread: u8, number: u8) -> Vec<u8> {
    let mut message = vec![0; if thread_rng().gen_bool(0.4) { ATOMIC + 1 } else { 2 }];
    message[..2].copy_from_slice(&[thread, number]);
    message
}

/// Starts a thread that sends this many messages, until one is refused for good. Its result is the number of accepted messages.
fn sending(sender: &Sender, thread: u8, count: u8) -> JoinHandle<u8> {
    let sender = sender.clone();
    spawn(move || {
        for number in 0..count {
            let message = message(thread, number);
            loop {
                match sender.send(&message) {
                    Ok(_) => break,
                    // A message that was not accepted is sent again.
                    Err(error) if error.is_connection_lost() => sender.wait_joined().unwrap(),
                    Err(Error::Left) => return number,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        count
    })
}

/// The fate of the messages of two threads.
#[derive(Default)]
struct Heard {
    delivered: [Vec<u8>; 2],
    returned: [Vec<u8>; 2],
}

impl Heard {
    fn note(&mut self, event: &Event<'_>) {
        let (lists, payload) = match event {
            Event::Deliver(message) => (&mut self.delivered, message.payload()),
            Event::Undelivered(message) => (&mut self.returned, message.payload()),
            _ => return,
        };
        lists[usize::from(payload[0])].push(payload[1]);
    }

    fn count(&self) -> usize {
        self.delivered.iter().chain(&self.returned).map(Vec::len).sum()
    }

    /// Asserts that each accepted message was delivered or handed back, once, and both in order.
    fn check(&self, accepted: [u8; 2]) {
        for thread in 0..2 {
            let (delivered, returned) = (&self.delivered[thread], &self.returned[thread]);
            assert!(delivered.is_sorted() && returned.is_sorted(), "{delivered:?} {returned:?}");
            let all: BTreeSet<_> = delivered.iter().chain(returned).copied().collect();
            assert_eq!(delivered.len() + returned.len(), all.len(), "{delivered:?} {returned:?}");
            assert_eq!(all, (0..accepted[thread]).collect(), "{delivered:?} {returned:?}");
        }
    }
}

/// Dispatches until this many messages have been delivered or handed back.
fn hear(receiver: &mut Receiver, heard: &mut Heard, count: usize) {
    let handler = |_: &Sender, event: Event<'_>| -> ControlFlow<()> {
        heard.note(&event);
        if heard.count() >= count { Break(()) } else { Continue(()) }
    };
    receiver.run(Limits::forever(), handler).unwrap();
}

#[test]
fn senders_tickets_and_who_asks_all_come_to_their_end() {
    model(1500, || {
        let (sender, mut receiver) = join(Session::options()).split();
        let senders = [0, 1].map(|thread| sending(&sender, thread, 3));
        let asking = spawn({
            let sender = sender.clone();
            move || sender.members().map(|members| members.len())
        });
        let mut heard = Heard::default();
        hear(&mut receiver, &mut heard, 6);
        heard.check(senders.map(|sender| sender.join().unwrap()));
        assert_eq!(asking.join().unwrap(), Ok(1));
        // A thread that does not dispatch waits for a ticket.
        let ticket = sender.ticket(sender.send(&message(0, 3)).unwrap());
        let waiting = spawn(move || ticket.wait());
        hear(&mut receiver, &mut heard, 7);
        // The queue is told at the end of the dispatch.
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
}

#[test]
fn a_leave_sees_what_was_accepted_sent_and_ends_every_wait() {
    model(1000, || {
        let (sender, mut receiver) = join(Session::options()).split();
        let senders = [0, 1].map(|thread| sending(&sender, thread, 4));
        let mut heard = Heard::default();
        hear(&mut receiver, &mut heard, 2);
        let handler = |_: &Sender, event: Event<'_>| {
            assert!(!matches!(event, Event::Undelivered(_)), "{event:?}");
            heard.note(&event);
        };
        receiver.leave_until(Instant::now() + Duration::from_secs(60), handler).unwrap();
        heard.check(senders.map(|sender| sender.join().unwrap()));
        assert_eq!(sender.send(b"x"), Err(Error::Left));
    });
}

#[test]
fn a_loss_hands_back_what_was_under_way_and_the_rest_follows_in_the_next_membership() {
    for keep in [false, true] {
        model(700, move || {
            let pauses = Duration::from_millis(1);
            let reconnect = Reconnect::new().pauses(pauses, pauses);
            let reconnect = if keep { reconnect.keep_queue() } else { reconnect };
            let (sender, mut receiver) = join(Session::options().reconnect(reconnect)).split();
            let senders = [0, 1].map(|thread| sending(&sender, thread, 3));
            let mut heard = Heard::default();
            hear(&mut receiver, &mut heard, 1);
            DIES.store(true, Ordering::SeqCst);
            hear(&mut receiver, &mut heard, 6);
            heard.check(senders.map(|sender| sender.join().unwrap()));
        });
    }
}

#[test]
fn a_receiver_that_goes_leaves_nobody_waiting() {
    model(1000, || {
        let (sender, mut receiver) = join(Session::options()).split();
        let done = Arc::new(AtomicBool::new(false));
        let senders = [0, 1].map(|thread| {
            let (sender, done) = (sender.clone(), Arc::clone(&done));
            spawn(move || {
                for number in 0..3 {
                    let ticket = sender.ticket(sender.send(&message(thread, number)).unwrap());
                    let outcome = ticket.wait();
                    assert!(
                        matches!(outcome, Ok(()) | Err(Error::ReceiverDropped)),
                        "{outcome:?} {}",
                        done.load(Ordering::SeqCst)
                    );
                }
            })
        });
        hear(&mut receiver, &mut Heard::default(), 1);
        drop(receiver);
        done.store(true, Ordering::SeqCst);
        drop(sender);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}
