//! Messages above the atomic size: they are delivered whole or not at all, in their turn, and libcpg prints nothing.

use std::ops::ControlFlow::{Break, Continue};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Members, deadline, join, join_with, name, split_with};
use cpg::{Event, Flow, Limits, Session};
use testcluster::Cluster;
use testcluster::child::succeed;

const LONG: usize = 20_000_000;

/// Returns the message of a sender with this number. It begins with both, and its other bytes are a function of both.
fn long(sender: u8, number: u8) -> Vec<u8> {
    let mut message = vec![sender.wrapping_mul(31) ^ number; LONG];
    message[..2].copy_from_slice(&[sender, number]);
    message
}

/// Sends a few messages and an end, and dispatches until `SENDERS` ends have come. Returns the messages that were sent
/// and delivered.
fn member(id: u8, flow: Flow) -> [Vec<(u8, u8)>; 2] {
    const END: &[u8] = b"end";
    let (sender, mut receiver) = split_with(flow, "long");
    receiver
        .run(Limits::forever(), |_, event| match event {
            Event::ConfChg(view)
                if SENDERS.iter().all(|&(node, _)| view.on_node(node.into()).count() > 0) =>
            {
                Break(())
            }
            _ => Continue(()),
        })
        .unwrap();
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let try_one = |number| match sender.send_until(&long(id, number), deadline()) {
                Ok(_) => true,
                Err(error) => {
                    assert!(error.is_retryable(), "{error}");
                    false
                }
            };
            let sent =
                (0..4).filter(|&number| try_one(number)).map(|number| (id, number)).collect::<Vec<_>>();
            sender.send(END).unwrap();
            sent
        });
        let (mut heard, mut ends) = (Vec::new(), 0);
        receiver
            .run(Limits::forever(), |_, event| {
                match event {
                    Event::Deliver(message) if message.payload() == END => ends += 1,
                    Event::Deliver(message) => {
                        let [sender, number] = message.payload()[..2] else { unreachable!() };
                        assert!(message.payload() == long(sender, number), "in bits");
                        heard.push((sender, number));
                    }
                    Event::Undelivered(message) => panic!("{message:?}"),
                    _ => {}
                }
                if ends == SENDERS.len() { Break(()) } else { Continue(()) }
            })
            .unwrap();
        [sending.join().unwrap(), heard]
    })
}

const SENDERS: [(u32, u8); 2] = [(1, 1), (2, 2)];

fn two_senders(flow: Flow) {
    let cluster = Cluster::start(2).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| {
            // Not for ever: if members came and went without a pause, no long message would get through.
            for _ in 0..5 {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                cluster.on(1, || Members::start(&cluster, 1, &name("long"), 1)).tell("leave");
            }
        });
        let members = SENDERS.map(|(node, id)| {
            let cluster = &cluster;
            scope.spawn(move || cluster.on(node, || member(id, flow)))
        });
        let members = members.map(|member| member.join().unwrap());
        stop.store(true, Ordering::SeqCst);
        churn.join().unwrap();
        for ([sent, _], (_, sender)) in members.iter().zip(SENDERS) {
            for [_, heard] in &members {
                let of_one: Vec<_> = heard.iter().filter(|(id, _)| *id == sender).copied().collect();
                assert_eq!(
                    of_one, *sent,
                    "a message came twice, in pieces or out of order, or is missing without an error"
                );
            }
        }
        assert_eq!(members[0][1], members[1][1], "one order");
    });
}

#[test]
fn long_messages_of_two_senders_are_delivered_while_members_come_and_go() {
    two_senders(Flow::new());
}

#[test]
fn long_messages_beside_packets_are_delivered_while_members_come_and_go() {
    two_senders(Flow::coalesced());
}

#[test]
fn a_long_message_keeps_its_place_among_short_ones() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::new().window_size(1), "among");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..20_u8 {
                    let len = if number % 5 == 0 { 2_000_000 } else { 1000 };
                    sender.send(&vec![number; len]).unwrap();
                }
            });
            let heard = crate::support::receive(&mut receiver, 20);
            assert!(
                heard
                    .iter()
                    .zip(0..20_u8)
                    .all(|(message, number)| message.iter().all(|&byte| byte == number))
            );
        });
    });
}

/// Returns a message of so many bytes that all have the value of its number.
pub fn of(number: u8, len: usize) -> Vec<u8> {
    vec![number; len]
}

pub const SIZES: [usize; 3] = [100, 3_000_000, 400_000];

/// Asserts that the messages have numbers that count up.
pub fn assert_counts_up(heard: &[Vec<u8>], first: u8) {
    for (message, number) in heard.iter().zip(first..) {
        assert!(message.iter().all(|&byte| byte == number), "{number} is {}", message[0]);
        assert_eq!(message.len(), SIZES[usize::from(number) % 3]);
    }
}

#[test]
fn long_messages_queued_by_a_handler_and_by_the_only_thread_come_in_order() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for flow in
            [Flow::new(), Flow::new().window_size(1), Flow::coalesced(), Flow::coalesced().window_size(1)]
        {
            let flow = flow.queue_size(100 << 20);
            let mut session = join_with(Session::options().flow(flow), "in a handler");
            let send = |sender: &cpg::Sender, number: u8| {
                sender.ticket(sender.try_send(&of(number, SIZES[usize::from(number) % 3])).unwrap())
            };
            // No thread dispatches meanwhile.
            let mut tickets: Vec<_> = (0..6).map(|number| send(session.sender(), number)).collect();
            let mut heard = Vec::new();
            while heard.len() < 12 {
                let handled = session.dispatch(Limits::one().until(deadline()), |sender, event| {
                    let Event::Deliver(message) = event else { return };
                    if heard.len() == 2 {
                        tickets.extend((6..12).map(|number| send(sender, number)));
                    }
                    heard.push(message.payload().to_vec());
                });
                assert_eq!(handled.unwrap(), 1, "nothing more came");
            }
            assert_counts_up(&heard, 0);
            assert!(tickets.iter().all(|ticket| ticket.outcome() == Some(Ok(()))));
            session.leave().unwrap();
        }
    });
}

#[test]
fn the_messages_of_each_thread_keep_their_order_across_all_lengths() {
    let cluster = Cluster::start(2).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            cluster.on(2, || {
                let mut other = join_with(Session::options(), "traffic");
                while !stop.load(Ordering::SeqCst) {
                    let _ = other.send(&vec![0; 40_000]);
                    other.dispatch(Limits::available(), |_, _| ()).unwrap();
                }
            });
        });
        cluster.on(1, || {
            let (sender, mut receiver) = split_with(Flow::new(), "traffic");
            let me = sender.me();
            for thread in 1..4_u8 {
                let sender = sender.clone();
                scope.spawn(move || {
                    for number in 0..30_u8 {
                        let len =
                            if number % 10 == thread { 1_500_000 } else { 10 + 20_000 * usize::from(number) };
                        let mut message = of(number, len);
                        message[0] = thread;
                        // Some sends wait for room, and some do not.
                        while sender.try_send(&message).is_err()
                            && sender.send_until(&message, deadline()).is_err()
                        {}
                    }
                });
            }
            let mut next = [0; 4];
            let all = receiver.run(Limits::forever().until(deadline()), |_, event| {
                match event {
                    Event::Deliver(message) if message.sender() == me => {
                        let (thread, number) = (usize::from(message.payload()[0]), message.payload()[1]);
                        assert_eq!(number, next[thread], "of thread {thread}");
                        next[thread] += 1;
                    }
                    _ => {}
                }
                if next == [0, 30, 30, 30] { Break(()) } else { Continue(()) }
            });
            stop.store(true, Ordering::SeqCst);
            assert_eq!(all.unwrap(), cpg::Ended::Broke(()), "{next:?}");
        });
    });
}

#[test]
fn the_dispatching_thread_can_queue_a_long_message_while_others_fill_the_queue() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::new(), "starve");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::SeqCst) {
                        sender.send(&of(1, 40_000)).unwrap();
                    }
                });
            }
            let (until, mut tries) = (deadline(), 0);
            let mut dispatch = || {
                let mut back = false;
                receiver
                    .dispatch(Limits::one().until(until), |_, event| {
                        back =
                            matches!(event, Event::Deliver(message) if message.payload().len() == 2_000_000);
                    })
                    .unwrap();
                assert!(std::time::Instant::now() < until, "it has not come back");
                back
            };
            while sender.try_send(&of(2, 2_000_000)).is_err() {
                tries += 1;
                dispatch();
            }
            while !dispatch() {}
            println!("{tries} tries in vain");
            stop.store(true, Ordering::SeqCst);
            // Until no thread waits for room any more.
            while sender.lag().unwrap().waiting() > 0 {
                dispatch();
            }
        });
    });
}

/// No test: the next test starts this as another process, to read its output.
#[test]
#[ignore = "another test's other process"]
fn sends_long_messages() {
    let mut group = join("quiet");
    let (ended, mut refused) = (long(0, 0), 0);
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    for _ in 0..5 {
        refused += u32::from(group.send_until(&ended, deadline()).is_err());
        group.dispatch(Limits::available(), |_, _| ()).unwrap();
    }
    assert_eq!((refused, descriptors()), (0, before));
    // The test reads the output of the process itself.
    eprintln!("sent");
}

#[test]
fn libcpg_prints_nothing_on_standard_error() {
    let cluster = Cluster::start(1).unwrap();
    let mut command = cluster.command_on(1, std::env::current_exe().unwrap());
    command.args(["--exact", "long_messages::sends_long_messages", "--ignored", "--nocapture"]);
    let output = succeed(command.stdout(Stdio::null()));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "sent\n");
}
