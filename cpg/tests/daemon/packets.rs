//! Sessions that coalesce: messages in packets, from all kinds of senders to all kinds of receivers.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::AsFd as _;
use std::process::{Child, Stdio};

use crate::support::{
    deadline, join, join_with, packets_program, pump, pump_session, readable, receive, split_with, wait_for,
};
use cpg::{Ended, Event, Flow, Group, Handle, Limits, OwnedEvent, Session, packet};
use testcluster::Cluster;
use testcluster::child::assert_ended;

fn coalesced(group: &str) -> Session {
    join_with(Session::options().coalesce(), group)
}

/// Lengths around each limit: of the varint, of a packet of 1000 bytes, and of a message that is sent in one piece.
const LENGTHS: [usize; 12] =
    [0, 1, 127, 128, 989, 990, 1000, 16_383, 16_384, 1_047_541, 1_047_542, 3_000_000];

fn message(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 7 + number * 13).to_le_bytes()[0]).collect()
}

#[test]
fn messages_of_all_sizes_are_delivered_in_order() {
    let cluster = Cluster::start(2).unwrap();
    let mut other = cluster.on(2, || coalesced("sizes").split().1);
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::coalesced().packet_size(1000), "sizes");
        let expected: Vec<_> =
            LENGTHS.iter().cycle().take(60).enumerate().map(|(i, &len)| message(i, len)).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| expected.iter().for_each(|message| _ = sender.send(message).unwrap()));
            assert!(receive(&mut receiver, expected.len()) == expected);
        });
        assert!(receive(&mut other, expected.len()) == expected);
    });
}

#[test]
fn a_whole_session_uses_packets_as_well() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = coalesced("whole");
        let bits = [1, 2, 3].map(|bit| vec![bit; 10]);
        let slices: Vec<_> = bits.iter().map(|bit| std::io::IoSlice::new(bit)).collect();
        session.send(b"one").unwrap();
        session.send_vectored(&slices).unwrap();
        session.send_vectored(&slices.repeat(30)).unwrap();
        session.sender().send(&vec![9; 2_000_000]).unwrap();
        let heard = pump_session(&mut session, |events| crate::support::messages(events).count() == 4);
        let heard: Vec<_> = crate::support::messages(&heard).collect();
        assert!(heard.iter().all(|message| message.is_packed()));
        assert_eq!(heard[0].payload(), b"one");
        assert_eq!(heard[1].payload(), bits.concat());
        assert_eq!(heard[2].payload(), bits.concat().repeat(30));
        assert!(heard[3].payload() == vec![9; 2_000_000]);
        let most = session.max_atomic_message_size();
        assert_eq!(most, Handle::connect().unwrap().max_atomic_message_size() - 11);
        for len in [most, most + 1] {
            session.send(&vec![8; len]).unwrap();
            let heard = pump_session(&mut session, |events| crate::support::messages(events).count() == 1);
            assert!(crate::support::messages(&heard).all(|message| message.payload() == vec![8; len]));
        }
    });
}

/// Returns a session, and one packet with the messages 0 to 9 for it to dispatch.
fn one_packet(cluster: &Cluster, group: &str) -> (Session, Group) {
    let mut receiver = coalesced(group);
    pump_session(&mut receiver, |events| crate::support::views(events).next().is_some());
    let mut bytes = Vec::new();
    packet::begin(&mut bytes);
    (0..10_u8).for_each(|number| packet::push(&mut bytes, &[number]));
    let sender = raw_sender(cluster, &mut receiver, group, &bytes);
    (receiver, sender)
}

/// Sends bytes without a change from a member on another node. Returns that member when the bytes can be dispatched.
fn raw_sender(cluster: &Cluster, receiver: &mut Session, group: &str, bytes: &[u8]) -> Group {
    let sender = cluster.on(2, || join(group));
    pump_session(receiver, |events| crate::support::views(events).any(|view| view.contains(sender.me())));
    sender.send_until(bytes, deadline()).unwrap();
    wait_for("the packet", || readable(receiver.as_fd()).then_some(()));
    sender
}

fn number(event: Event<'_>) -> u8 {
    let Event::Deliver(message) = event else { panic!("{event:?}") };
    assert!(message.is_packed());
    message.payload()[0]
}

#[test]
fn limits_count_the_messages_of_a_packet_one_by_one() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let (mut session, _sender) = one_packet(&cluster, "at a time");
        let mut heard = Vec::new();
        let mut dispatch =
            |session: &mut Session, how| session.dispatch(how, |_, event| heard.push(number(event))).unwrap();
        assert_eq!(dispatch(&mut session, Limits::available().at_most(3)), 3);
        // libcpg has no event, and the descriptor is readable because of the rest of the packet.
        assert!(readable(session.as_fd()));
        assert_eq!(dispatch(&mut session, Limits::available().at_most(1)), 1);
        assert_eq!(dispatch(&mut session, Limits::one()), 1);
        assert!(readable(session.as_fd()));
        let next = session.run(Limits::forever(), |_, event| Break(number(event))).unwrap();
        assert_eq!(next, Ended::Broke(5));
        let OwnedEvent::Deliver(owned) = session.recv().unwrap() else { panic!() };
        assert_eq!(owned.payload(), [6]);
        let OwnedEvent::Deliver(owned) = session.events().next().unwrap().unwrap() else { panic!() };
        assert_eq!(owned.payload(), [7]);
        let mut last = Vec::new();
        assert_eq!(session.dispatch(Limits::available(), |_, event| last.push(number(event))).unwrap(), 2);
        assert_eq!((heard, last), (vec![0, 1, 2, 3, 4], vec![8, 9]));
        assert!(!readable(session.as_fd()));
        assert_eq!(session.dispatch(Limits::available(), |_, _| ()).unwrap(), 0);
    });
}

#[test]
fn a_panic_in_a_packet_loses_only_the_message_of_its_handler() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let (mut session, _sender) = one_packet(&cluster, "panics");
        let heard = Cell::new(0);
        let mut dispatch = || {
            session.dispatch(Limits::available(), |_, event| {
                assert_eq!(number(event), heard.replace(heard.get() + 1));
                if [3, 4, 10].contains(&heard.get()) {
                    std::panic::panic_any(heard.get());
                }
            })
        };
        for at in [3_u8, 4, 10] {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut dispatch)).unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&at));
        }
        assert_eq!(dispatch().unwrap(), 0);
    });
}

#[test]
fn the_rest_of_a_packet_stays_with_the_session_when_it_is_split() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let (mut session, _sender) = one_packet(&cluster, "moves");
        assert_eq!(session.dispatch(Limits::available().at_most(4), |_, _| ()).unwrap(), 4);
        let (_sender, mut receiver) = session.split();
        assert!(readable(receiver.as_fd()));
        assert_eq!(receive(&mut receiver, 6), (4..10_u8).map(|number| vec![number]).collect::<Vec<_>>());
    });
}

#[test]
fn a_plain_message_is_delivered_whole_and_a_malformed_packet_is_an_event() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let mut session = coalesced("strangers");
        let sender = raw_sender(&cluster, &mut session, "strangers", b"no packet");
        let mut good = Vec::new();
        packet::begin(&mut good);
        packet::push(&mut good, b"good");
        let cut = [&good[..], b"\x7fcut"].concat();
        let (newer, flags) = (b"\xc9PG\xb5\x02\0?", b"\xc9PG\xb5\x01\x02?");
        let mut sealed = Vec::new();
        packet::seal(&mut sealed, b"sealed");
        let mut damaged = sealed.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let most = [&b""[..], b"\xc9PG", b"\xc9PG\xb5", newer, flags, &cut, &damaged, &sealed];
        for bytes in most.into_iter().chain([&good[..6], &good]) {
            sender.send_until(bytes, deadline()).unwrap();
        }
        let mut seen = Vec::new();
        while seen.len() < 11 {
            seen.push(match session.recv().unwrap() {
                OwnedEvent::Deliver(message) => {
                    assert_eq!((message.sender(), message.group()), (sender.me(), session.name()));
                    (if message.is_packed() { "packed" } else { "plain" }, message.into_payload())
                }
                OwnedEvent::Malformed(packet) => {
                    let packet = packet.as_malformed_packet();
                    assert_eq!((packet.sender(), packet.group()), (sender.me(), session.name()));
                    let what = match packet.error() {
                        packet::Error::Header => "header",
                        packet::Error::Version(2) => "version",
                        packet::Error::Flags(2) => "flags",
                        packet::Error::Seal => "seal",
                        packet::Error::Message { .. } => "message",
                        other => panic!("{other}"),
                    };
                    (what, packet.bytes().to_vec())
                }
                other => panic!("{other:?}"),
            });
        }
        let expected: [(&str, &[u8]); 11] = [
            ("plain", b"no packet"),
            ("plain", b""),
            ("plain", b"\xc9PG"),
            ("header", b"\xc9PG\xb5"),
            ("version", newer),
            ("flags", flags),
            ("packed", b"good"),
            ("message", b"\x7fcut"),
            ("seal", &damaged),
            ("packed", b"sealed"),
            // A packet without messages is no packet.
            ("packed", b"good"),
        ];
        assert_eq!(seen, expected.map(|(what, bytes)| (what, bytes.to_vec())));
    });
}

#[test]
fn a_session_that_does_not_coalesce_gets_a_packet_as_malformed_with_all_its_bytes() {
    let cluster = Cluster::start(2).unwrap();
    let (mut plain, mut session) =
        cluster.on(2, || (join("whole to a group"), join_with(Session::options(), "whole to a session")));
    cluster.on(1, || {
        for group in ["whole to a group", "whole to a session"] {
            coalesced(group).sender().send(b"one").unwrap();
        }
    });
    let mut packet = Vec::new();
    packet::begin(&mut packet);
    packet::push(&mut packet, b"one");
    // A group does not use packets.
    let events = pump(&mut plain, |events| crate::support::messages(events).next().is_some());
    let message = crate::support::messages(&events).next().unwrap();
    assert_eq!((message.payload(), message.is_packed()), (&packet[..], false));
    let heard = first_malformed(&mut session);
    assert_eq!((heard.error, heard.bytes), (packet::Error::Unexpected, packet));

    // The member in C has sent further packets after the first one, and none is lost.
    let mut c = c_program(&cluster, 1, &["send", "whole to a session", "50"]);
    let mut index = 0;
    while index < 50 {
        for message in packet::messages(&first_malformed(&mut session).bytes) {
            assert_eq!(message.unwrap(), of_c(index));
            index += 1;
        }
    }
    assert_ended("packets.c", c.wait().unwrap(), 0, "");
}

/// Returns the next packet as a session got it that does not coalesce.
struct Heard {
    error: packet::Error,
    bytes: Vec<u8>,
}

fn first_malformed(session: &mut Session) -> Heard {
    let last = |events: &[OwnedEvent]| {
        events.last().is_some_and(|event| matches!(event, OwnedEvent::Malformed(_) | OwnedEvent::Deliver(_)))
    };
    let Some(OwnedEvent::Malformed(packet)) = pump_session(session, last).pop() else {
        panic!("a packet is no message")
    };
    assert_eq!(packet.group(), session.name());
    Heard { error: packet.error(), bytes: packet.into_bytes() }
}

#[test]
fn a_plain_message_like_a_packet_is_the_same_event_for_all_and_resolves_its_ticket() {
    let cluster = Cluster::start(2).unwrap();
    let mut other = cluster.on(2, || join_with(Session::options(), "looks"));
    let mut session = cluster.on(1, || join_with(Session::options(), "looks"));
    let looks = [&packet::MAGIC[..], b" at the beginning"].concat();
    let ticket = session.ticket(session.send(&looks).unwrap());
    for session in [&mut session, &mut other] {
        let heard = first_malformed(session);
        assert_eq!((heard.error, &heard.bytes), (packet::Error::Unexpected, &looks));
    }
    assert_eq!(ticket.outcome(), Some(Ok(())));
}

fn c_program(cluster: &Cluster, node: u32, arguments: &[&str]) -> Child {
    let mut command = cluster.command_on(node, packets_program());
    command.args(arguments).stdout(Stdio::piped()).spawn().unwrap()
}

/// Returns the message that `packets.c` sends with this number.
fn of_c(index: usize) -> Vec<u8> {
    const LENGTHS: [usize; 10] = [0, 5, 127, 128, 20000, 1, 0, 16383, 16384, 300];
    (0..LENGTHS[index % 10]).map(|byte| (13 * index + 7 * byte).to_le_bytes()[0]).collect()
}

#[test]
fn a_program_in_c_sends_and_receives_packets() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::coalesced().packet_size(30_000), "c");
        let mut c = c_program(&cluster, 2, &["send", "c", "500"]);
        let heard = receive(&mut receiver, 500);
        assert!(heard.iter().enumerate().all(|(index, message)| *message == of_c(index)));
        assert_ended("packets.c", c.wait().unwrap(), 0, "");

        // The last one is above the atomic size, and so in a sealed packet.
        let messages = || (0..500).map(of_c).chain([message(7, 1_500_000)]);
        let mut c = c_program(&cluster, 2, &["receive", "c", "501"]);
        let mut lines = BufReader::new(c.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert_eq!(lines.next().unwrap(), "ready");
        std::thread::scope(|scope| {
            scope.spawn(|| messages().for_each(|message| _ = sender.send(&message).unwrap()));
            receive(&mut receiver, 501);
        });
        for ((index, message), line) in messages().enumerate().zip(lines.by_ref().take(501)) {
            let sum = message
                .iter()
                .fold(0x811c_9dc5_u32, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(16_777_619));
            assert_eq!(line, format!("{index} {} {sum:08x}", message.len()));
        }
        assert_ended("packets.c", c.wait().unwrap(), 0, "");
    });
}

#[test]
fn what_a_session_sends_in_parts_is_sealed() {
    let cluster = Cluster::start(2).unwrap();
    let mut plain = cluster.on(2, || join("sealed"));
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(Flow::coalesced(), "sealed");
        let most = sender.max_atomic_message_size();
        let lens = [most, most + 9, 3_000_000];
        for len in lens {
            sender.send(&message(1, len)).unwrap();
        }
        assert!(receive(&mut receiver, lens.len()) == lens.map(|len| message(1, len)));
        let events = pump(&mut plain, |events| crate::support::messages(events).count() == lens.len());
        let heard: Vec<_> = crate::support::messages(&events).map(cpg::OwnedMessage::payload).collect();
        let flags: Vec<_> = heard.iter().map(|packet| packet[packet::HEADER_LEN - 1]).collect();
        assert_eq!(flags, [0, 1, 1]);
        for (packet, len) in heard.iter().zip(lens) {
            assert!(packet::messages(packet).eq([Ok(&message(1, len)[..])]));
        }
        let seals: Vec<_> =
            heard[1..].iter().map(|packet| &packet[packet::HEADER_LEN..][..packet::SEAL_LEN]).collect();
        assert_ne!(seals[0], seals[1]);
    });
}

#[test]
fn many_threads_send_many_small_messages() {
    let cluster = Cluster::start(3).unwrap();
    let mut others = [2, 3].map(|node| cluster.on(node, || coalesced("many")));
    cluster.on(1, || {
        const EACH: u32 = 20_000;
        let (sender, mut receiver) = split_with(Flow::coalesced(), "many");
        let mut order = Vec::new();
        std::thread::scope(|scope| {
            for id in 0..4_u32 {
                let sender = sender.clone();
                scope.spawn(move || {
                    for number in 0..EACH {
                        sender.send(&[id.to_le_bytes(), number.to_le_bytes()].concat()).unwrap();
                    }
                });
            }
            let mut next = [0; 4];
            receiver
                .run(Limits::forever(), |_, event| {
                    if let Event::Deliver(message) = event {
                        let (id, number) = message.payload().split_first_chunk().unwrap();
                        let id = u32::from_le_bytes(*id) as usize;
                        assert_eq!(number, u32::to_le_bytes(next[id]));
                        next[id] += 1;
                        order.push(id);
                    }
                    if next == [EACH; 4] { Break(()) } else { Continue(()) }
                })
                .unwrap();
        });
        for other in &mut others {
            let mut expected = order.iter();
            other
                .run(Limits::forever(), |_, event| {
                    if let Event::Deliver(message) = event {
                        assert_eq!(expected.next(), Some(&usize::from(message.payload()[0])));
                    }
                    if expected.len() == 0 { Break(()) } else { Continue(()) }
                })
                .unwrap();
        }
    });
}
