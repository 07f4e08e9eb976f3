use proptest::prelude::*;

use super::*;
use crate::session::flow::{Flow, LEAST};

/// The longest message of libcpg that goes out in one piece, in these tests.
const ATOMIC: usize = 1 << 20;

fn push(queue: &mut Queue, message: &[u8]) -> u64 {
    queue.push(&[IoSlice::new(message)], message.len()).unwrap()
}

/// Sends as much as the window allows, and returns the packets as libcpg gets them.
fn send(queue: &mut Queue) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    while queue.is_open() {
        let Some((_, front)) = queue.front() else { break };
        sent.push(front.to_vec());
        queue.sent();
    }
    sent
}

fn returned(queue: &mut Queue) -> Vec<(Vec<u8>, bool, Error)> {
    std::iter::from_fn(|| queue.take_returned())
        .map(|message| (message.payload().to_vec(), message.was_sent(), message.error().clone()))
        .collect()
}

#[test]
fn a_message_that_goes_out_in_parts_is_sealed_and_alone() {
    let mut queue = Queue::new(Flow::coalesced().packet_size(5000).window_size(usize::MAX).sizes(100));
    for len in [5, 92, 95, 2] {
        push(&mut queue, &vec![7; len]);
    }
    let sent = send(&mut queue);
    let flags: Vec<_> = sent.iter().map(|packet| packet[5]).collect();
    assert_eq!(flags, [0, 0, 1, 0]);
    for (packet, len) in sent.iter().zip([5, 92, 95, 2]) {
        assert!(read::messages(packet).eq([Ok(&vec![7; len][..])]));
    }
    assert!(queue.arrived(&sent[3]).is_some());
    let payloads: Vec<_> = returned(&mut queue).into_iter().map(|(payload, ..)| payload.len()).collect();
    assert_eq!(payloads, [5, 92, 95], "what is handed back is the message, without what was around it");
}

#[test]
fn messages_that_wait_together_share_a_packet() {
    let mut queue = Queue::new(Flow::coalesced().packet_size(30).window_size(1).sizes(ATOMIC));
    push(&mut queue, b"first");
    let first = send(&mut queue);
    assert_eq!(first.len(), 1);
    (0..5).for_each(|_| _ = push(&mut queue, b"0123456789"));
    assert_eq!(send(&mut queue), [[0; 0]; 0], "the window is closed");
    assert_eq!(queue.arrived(&first[0]), Some(0..1));
    let second = send(&mut queue);
    // A packet has room for the header and two messages of eleven bytes.
    assert_eq!(read::messages(&second[0]).count(), 2);
    assert_eq!(queue.arrived(&second[0]), Some(1..3));
}

#[test]
fn a_message_that_the_daemon_dropped_comes_back_when_a_later_one_arrives() {
    for flow in [Flow::new(), Flow::coalesced().packet_size(1)] {
        let mut queue = Queue::new(flow.window_size(usize::MAX).sizes(ATOMIC));
        let numbers = [b"a", b"b", b"c"].map(|message| push(&mut queue, message));
        let sent = send(&mut queue);
        assert_eq!(queue.arrived(&sent[2]), Some(2..3));
        queue.settle(3);
        assert_eq!(
            returned(&mut queue),
            [b"a", b"b"].map(|message| (message.to_vec(), true, Error::DroppedByDaemon))
        );
        let dropped = Some(Err(Error::DroppedByDaemon));
        assert_eq!(numbers.map(|number| queue.outcome(number)), [dropped.clone(), dropped, Some(Ok(()))]);
        // A message that was counted as dropped and comes all the same belongs to nobody.
        assert_eq!(queue.arrived(&sent[0]), None);
        assert!(queue.is_open() && !queue.is_flying());
    }
}

#[test]
fn the_end_of_a_queue_gives_back_messages_that_have_not_arrived() {
    for flow in [Flow::new().window_size(1), Flow::coalesced().window_size(1)] {
        let mut queue = Queue::new(flow.sizes(ATOMIC));
        push(&mut queue, b"arrived");
        let sent = send(&mut queue);
        let numbers = [b"flying", b"waits1", b"waits2"].map(|message| push(&mut queue, message));
        queue.arrived(&sent[0]);
        if flow.coalesce {
            send(&mut queue);
        } else {
            assert_eq!(send(&mut queue).len(), 1);
        }
        queue.end(&Error::Left);
        queue.end(&Error::ReceiverDropped);
        let all = returned(&mut queue);
        assert_eq!(
            all.iter().map(|(message, ..)| &message[..]).collect::<Vec<_>>(),
            [b"flying", b"waits1", b"waits2"]
        );
        assert_eq!(
            all.iter().map(|&(_, sent, _)| sent).collect::<Vec<_>>(),
            [true, flow.coalesce, flow.coalesce]
        );
        assert_eq!(numbers.map(|number| queue.outcome(number)), [const { Some(Err(Error::Left)) }; 3]);
        assert_eq!(queue.outcome(0), None, "it has arrived, and is being handled");
        queue.settle(1);
        assert_eq!(queue.outcome(0), Some(Ok(())));
    }
}

#[test]
fn a_packet_that_was_not_sent_after_all_waits_again_in_front() {
    for flow in [Flow::new(), Flow::coalesced().packet_size(10)] {
        let mut queue = Queue::new(flow.window_size(1).sizes(ATOMIC));
        push(&mut queue, b"before");
        let before = send(&mut queue).remove(0);
        let parts = push(&mut queue, b"in parts");
        let behind = push(&mut queue, b"behind it");
        let waits = queue.waiting();
        queue.arrived(&before);
        queue.front().unwrap().1.share();
        let sent = send(&mut queue).remove(0);
        assert!(queue.in_flight().messages == 1 && queue.waiting().messages == 1);
        // The number of another message changes nothing.
        queue.recall(parts + 1);
        assert!(queue.is_flying());
        queue.recall(parts);
        assert_eq!(
            (queue.is_flying(), queue.waiting().messages, queue.waiting().bytes),
            (false, 2, waits.bytes)
        );
        assert!(send(&mut queue) == [&sent[..]]);
        assert_eq!(queue.arrived(&sent), Some(parts..behind));
        // A message that is lost while its bytes are shared is handed back like others.
        queue.front().unwrap().1.share();
        send(&mut queue);
        queue.end(&Error::Left);
        assert_eq!(returned(&mut queue), [(b"behind it".to_vec(), true, Error::Left)]);
    }
}

#[test]
fn a_message_is_accepted_while_less_than_the_limit_waits_however_large_it_is() {
    for flow in [Flow::new(), Flow::coalesced()] {
        let mut queue = Queue::new(flow.window_size(1).queue_size(1000).sizes(ATOMIC));
        push(&mut queue, &[0; 400]);
        assert!(queue.is_half_empty());
        push(&mut queue, &vec![0; 3 << 20]);
        assert!(!queue.is_half_empty());
        assert_eq!(queue.push(&[], 0), Err(Full));
        let first = send(&mut queue).remove(0);
        assert_eq!(queue.push(&[], 0), Err(Full), "the bytes of a long message count");
        queue.arrived(&first);
        send(&mut queue);
        push(&mut queue, &[]);
    }
}

#[test]
fn messages_that_are_taken_back_leave_no_trace() {
    let mut queue = Queue::new(Flow::new().window_size(usize::MAX).sizes(ATOMIC));
    let mut last = None;
    for _ in 0..3 {
        let refused = push(&mut queue, b"refused");
        assert!(queue.withdraw(refused));
        last = Some(push(&mut queue, b"taken"));
        send(&mut queue);
    }
    assert_eq!(last, Some(2), "the numbers go to others");
    assert_eq!(queue.lost, Losses::default());

    // The same in a packet.
    let mut queue = Queue::new(Flow::coalesced().sizes(ATOMIC));
    push(&mut queue, b"one");
    let two = push(&mut queue, b"two");
    assert!(queue.retract(two, 3));
    assert_eq!(push(&mut queue, b"2"), two);
    let packet = send(&mut queue).remove(0);
    assert_eq!(queue.arrived(&packet), Some(0..2));
    assert_eq!(queue.lost, Losses::default());
}

#[test]
fn the_window_is_filled_again_at_each_arrival_and_with_packets_when_half_of_it_is_free() {
    let packets = Flow::coalesced().packet_size(9);
    for (flow, arrivals) in [(Flow::new().window_size(4 * LEAST), 1), (packets.window_size(4 * 9), 2)] {
        let mut queue = Queue::new(flow.sizes(ATOMIC));
        for number in 0..5 {
            push(&mut queue, &[number]);
        }
        let sent = send(&mut queue);
        assert_eq!(sent.len(), 4);
        assert!(queue.is_waiting() && !queue.is_wide_open());
        let until = sent.iter().position(|packet| {
            queue.arrived(packet);
            queue.is_wide_open()
        });
        assert_eq!(until, Some(arrivals - 1));
    }
}

/// A step of a program that uses a queue, or of the daemon.
#[derive(Debug, Clone, Copy)]
enum Step {
    Push(usize),
    PushAndRetract(usize),
    Withdraw(usize),
    Send,
    Recall,
    Arrive(usize),
    ForgetFlying,
    EndGeneration(bool),
    End,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Lengths around the border between one and two bytes of length.
    let len = 0..260_usize;
    let step = prop_oneof![
        12 => len.clone().prop_map(Step::Push),
        2 => len.prop_map(Step::PushAndRetract),
        1 => (0..4_usize).prop_map(Step::Withdraw),
        8 => Just(Step::Send),
        1 => Just(Step::Recall),
        8 => (0..3_usize).prop_map(Step::Arrive),
        1 => Just(Step::ForgetFlying),
        1 => any::<bool>().prop_map(Step::EndGeneration),
        1 => Just(Step::End),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    #[cfg_attr(miri, ignore = "minutes for a few cases")]
    fn the_totals_are_the_sums_of_the_packets(coalesce in any::<bool>(), steps in steps()) {
        let flow = if coalesce { Flow::coalesced().packet_size(600) } else { Flow::new() };
        let mut queue = Queue::new(flow.window_size(2_000).queue_size(2_000).sizes(ATOMIC));
        let mut flying = VecDeque::new();
        for step in steps {
            match step {
                Step::Push(len) => _ = queue.push(&[IoSlice::new(&vec![7; len])], len),
                Step::PushAndRetract(len) => {
                    if let Ok(number) = queue.push(&[IoSlice::new(&vec![7; len])], len) {
                        prop_assert!(queue.retract(number, len));
                    }
                }
                Step::Withdraw(back) => {
                    if let Some(number) = (0..queue.next).rev().nth(back) {
                        queue.withdraw(number);
                    }
                }
                Step::Send => flying.extend(send(&mut queue)),
                Step::Recall => {
                    let last = queue.pipeline.last_flying();
                    if let Some(number) = last {
                        queue.recall(number);
                        flying.pop_back();
                    }
                }
                Step::Arrive(skip) => {
                    // The packet after `skip` dropped ones arrives, or a packet that belongs to nobody.
                    drop(flying.drain(..skip.min(flying.len())));
                    let bytes = flying.pop_front().unwrap_or_default();
                    if let Some(numbers) = queue.arrived(&bytes) {
                        queue.settle(numbers.end);
                    }
                }
                Step::ForgetFlying => queue.forget_flying(),
                Step::EndGeneration(keep) => queue.end_generation(&Error::Left, keep),
                Step::End => queue.end(&Error::Left),
            }
            prop_assert_eq!([queue.in_flight(), queue.waiting()], queue.pipeline.count());
            prop_assert_eq!(queue.is_flying(), queue.oldest().is_some());
        }
    }
}
