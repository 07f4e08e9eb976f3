//! Packets that were written can be read, and no other bytes do harm.

use std::io::IoSlice;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::format::{Error, HEADER_LEN, MAGIC, MAX_MESSAGE, MAX_PREFIX, SEAL_LEN};
use super::read::{self, Frames, is_packet};
use super::write::{begin, frame_len, push, push_slices, seal, seal_slices, sealed_len};

fn packet(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = Vec::new();
    begin(&mut packet);
    for message in messages {
        push(&mut packet, message);
    }
    packet
}

/// A sealed packet with these bytes in place of frames.
fn sealed(frames: &[u8]) -> Vec<u8> {
    let seal = [0xa5; SEAL_LEN];
    [&MAGIC[..], &[1, 1], &seal, frames, &seal].concat()
}

/// A packet with these bytes in place of frames.
fn framed(bytes: &[u8]) -> Vec<u8> {
    [&packet(&[]), bytes].concat()
}

/// The contents of a packet: its messages, the place after each of their frames, and the error after them.
#[derive(Debug, Default, PartialEq)]
struct Contents {
    messages: Vec<Vec<u8>>,
    boundaries: Vec<usize>,
    malformed: Option<Error>,
}

/// Reads with [`read::messages`], and asserts that frames are in order, do not overlap and are within the packet.
fn read_shared(bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let mut read = read::messages(bytes);
    let frames = read::frames(bytes);
    let mut boundary = frames.as_ref().map_or(HEADER_LEN, |frames| frames.start);
    while let Some(message) = read.next() {
        assert_eq!(contents.malformed, None, "an item after an error");
        match message {
            Ok(message) => {
                let start = message.as_ptr().addr() - bytes.as_ptr().addr();
                assert!((boundary + 1..=boundary + MAX_PREFIX).contains(&start));
                assert_eq!(&bytes[start..start + message.len()], message);
                boundary = start + message.len();
                contents.messages.push(message.to_vec());
                contents.boundaries.push(boundary);
            }
            Err(malformed) => contents.malformed = Some(malformed),
        }
        let unread = frames.as_ref().map_or(bytes, |frames| &bytes[boundary..frames.end]);
        assert_eq!(read.rest(), unread);
    }
    assert_eq!(read.rest().is_empty(), contents.malformed.is_none() || bytes.is_empty());
    assert!(read.next().is_none(), "an item after the end");
    contents
}

/// Reads with [`Frames`]; `start` is the place in the packet at which `frames` begin.
fn read_frames(mut frames: Frames<'_>, start: usize) -> Contents {
    let end = start + frames.rest().len();
    let mut contents = Contents::default();
    while let Some(message) = frames.next() {
        assert_eq!(contents.malformed, None, "an item after an error");
        match message {
            Ok(message) => {
                contents.messages.push(message.to_vec());
                contents.boundaries.push(end - frames.rest().len());
            }
            Err(malformed) => contents.malformed = Some(malformed),
        }
    }
    assert!(frames.next().is_none(), "an item after the end");
    assert_eq!(end - frames.rest().len(), contents.boundaries.last().copied().unwrap_or(start));
    contents
}

/// Reads with both, and asserts that they agree.
fn read(bytes: &[u8]) -> Contents {
    let shared = read_shared(bytes);
    let mut copy = bytes.to_vec();
    match Frames::new(&mut copy) {
        Ok(frames) => assert_eq!(read_frames(frames, read::frames(bytes).unwrap().start), shared),
        Err(malformed) => assert_eq!(shared, Contents { malformed: Some(malformed), ..Contents::default() }),
    }
    shared
}

fn malformed(bytes: &[u8]) -> Error {
    read(bytes).malformed.expect("something wrong")
}

#[test]
fn lengths_around_the_ends_of_the_varint() {
    for (len, prefix) in [
        (0, &[0x00][..]),
        (0x7f, &[0x7f]),
        (0x80, &[0x80, 0x01]),
        (0x3fff, &[0xff, 0x7f]),
        (0x4000, &[0x80, 0x80, 0x01]),
        (0x1f_ffff, &[0xff, 0xff, 0x7f]),
        (0x20_0000, &[0x80, 0x80, 0x80, 0x01]),
        (0xfff_ffff, &[0xff, 0xff, 0xff, 0x7f]),
        (0x1000_0000, &[0x80, 0x80, 0x80, 0x80, 0x01]),
        (MAX_MESSAGE, &[0xff, 0xff, 0xff, 0xff, 0x07]),
    ] {
        assert_eq!(frame_len(len), prefix.len() + len);
        // All is there but the message itself.
        let missing = if len == 0 { None } else { Some(Error::Message { len, left: 0 }) };
        assert_eq!(read(&framed(prefix)).malformed, missing);
        if len <= 0x20_0000 {
            let message = vec![0x2a; len];
            let bytes = packet(std::slice::from_ref(&message));
            assert_eq!(bytes, framed(&[prefix, &message[..]].concat()));
            assert_eq!(bytes.len(), HEADER_LEN + frame_len(len));
            assert_eq!(read(&bytes).messages, std::slice::from_ref(&message));
            // A buffer with enough room does not grow.
            let mut exact = Vec::with_capacity(bytes.len());
            let room = exact.capacity();
            begin(&mut exact);
            push(&mut exact, &message);
            assert_eq!(exact.capacity(), room);
        }
    }
}

#[test]
#[should_panic(expected = "too long for a packet")]
fn a_message_that_no_frame_can_hold() {
    // Pages that nobody touches: the message is refused before it is copied.
    push(&mut packet(&[]), &vec![0; MAX_MESSAGE + 1]);
}

#[test]
#[should_panic(expected = "the length of a message in pieces")]
fn pieces_that_do_not_add_up() {
    push_slices(&mut packet(&[]), &[IoSlice::new(b"hello")], 4);
}

#[test]
fn varints_need_not_be_the_shortest() {
    for prefix in
        [&[3][..], &[0x83, 0], &[0x83, 0x80, 0], &[0x83, 0x80, 0x80, 0], &[0x83, 0x80, 0x80, 0x80, 0]]
    {
        assert_eq!(read(&framed(&[prefix, b"abc"].concat())).messages, [b"abc"]);
    }
}

#[test]
fn no_frames() {
    assert_eq!(read(&framed(&[])), Contents::default());
    assert_eq!(read(&framed(&[0, 0])).messages, [b"", b""]);

    let mut used = packet(&[b"before".to_vec()]);
    begin(&mut used);
    assert_eq!(used, packet(&[]));
}

#[test]
fn headers_that_cannot_be_read() {
    let good = packet(&[b"message".to_vec()]);
    for end in 0..4 {
        assert_eq!(malformed(&good[..end]), Error::Magic);
        assert!(!is_packet(&good[..end]));
    }
    for end in 4..6 {
        assert_eq!(malformed(&good[..end]), Error::Header);
        assert!(is_packet(&good[..end]));
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(malformed(&with(0, b'P')), Error::Magic);
    assert_eq!(malformed(&with(4, 0)), Error::Version(0));
    assert_eq!(malformed(&with(4, 2)), Error::Version(2));
    // The header of another version may be shorter.
    assert_eq!(malformed(&with(4, 2)[..5]), Error::Version(2));
    for flag in 1..4 {
        assert_eq!(malformed(&with(5, 0x80 | 1 << flag)), Error::Flags(0x80 | 1 << flag));
    }
    assert_eq!(read(&with(5, 0xf0)).messages, [b"message"]);
    assert!(String::from_utf8(MAGIC.to_vec()).is_err());
}

#[test]
fn frames_that_cannot_be_read() {
    for end in 1..MAX_PREFIX {
        assert_eq!(malformed(&framed(&[0x80; MAX_PREFIX][..end])), Error::Prefix);
    }
    for prefix in [[0x80; 5], [0xff; 5], [0xff, 0xff, 0xff, 0xff, 0x08], [0x80, 0x80, 0x80, 0x80, 0x10]] {
        assert_eq!(malformed(&framed(&prefix)), Error::Length);
        assert_eq!(malformed(&framed(&[&prefix[..], &[0; 100]].concat())), Error::Length);
    }
    assert_eq!(malformed(&framed(&[3, 1, 2])), Error::Message { len: 3, left: 2 });
    assert_eq!(malformed(&framed(&[0x80, 0x01, 1])), Error::Message { len: 128, left: 1 });

    // The messages before are good, and the bytes that cannot be read are still there.
    let mut bytes = framed(&[1, b'a', 9, b'b', b'c']);
    let mut frames = Frames::new(&mut bytes).unwrap();
    assert_eq!(frames.next().unwrap().unwrap(), b"a");
    assert_eq!(frames.next().unwrap(), Err(Error::Message { len: 9, left: 2 }));
    assert!(frames.next().is_none());
    assert_eq!(frames.rest(), [9, b'b', b'c']);
}

#[test]
fn a_sealed_packet_is_read_only_between_whole_seals() {
    for frames in [&[][..], &[0], &[1, b'a', 2, b'b', b'c']] {
        assert_eq!(read(&sealed(frames)).messages, read(&framed(frames)).messages);
        assert_eq!(read(&sealed(frames)).malformed, None);
        // A frame does not reach into the seal.
        let long = [frames, &[5, 1, 2]].concat();
        assert_eq!(malformed(&sealed(&long)), Error::Message { len: 5, left: 2 });
    }
    // The two seals do not overlap.
    let empty = sealed(&[]);
    for end in HEADER_LEN..empty.len() {
        assert_eq!(malformed(&empty[..end]), Error::Header);
    }
    for at in 0..SEAL_LEN {
        for start in [HEADER_LEN, sealed(b"\x01a").len() - SEAL_LEN] {
            let mut bytes = sealed(b"\x01a");
            bytes[start + at] ^= 1;
            assert_eq!(read(&bytes), Contents { malformed: Some(Error::Seal), ..Contents::default() });
        }
    }
    // Hints beside the flag.
    let mut hints = sealed(b"\x01a");
    hints[5] |= 0xf0;
    assert_eq!(read(&hints).messages, [b"a"]);
}

#[test]
fn what_is_sealed_is_read_and_each_seal_is_another() {
    let mut packets = [const { Vec::new() }; 3];
    for packet in &mut packets {
        packet.extend_from_slice(b"used before");
        seal(packet, &[0x2a; 300]);
        assert_eq!(packet.len(), sealed_len(300));
        assert_eq!(read(packet).messages, [vec![0x2a; 300]]);
    }
    let [one, two, three] = packets.map(|packet| packet[HEADER_LEN..][..SEAL_LEN].to_vec());
    assert!(one != two && two != three && one != three);
}

#[test]
fn messages_change_in_place() {
    let mut bytes = packet(&[b"ab".to_vec(), vec![], b"c".to_vec()]);
    for message in Frames::new(&mut bytes).unwrap() {
        message.unwrap().make_ascii_uppercase();
    }
    assert_eq!(bytes, packet(&[b"AB".to_vec(), vec![], b"C".to_vec()]));
}

/// Messages of all sizes of varint that fit a test.
fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let message = prop_oneof![
        6 => vec(any::<u8>(), 0..20),
        2 => vec(any::<u8>(), 120..140),
        1 => (any::<u8>(), 16_300_usize..16_500).prop_map(|(byte, len)| vec![byte; len]),
    ];
    vec(message, 0..20)
}

/// Bytes that have a meaning for the reader more often than random bytes.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), 0_u8..4, 0x7e_u8..0x82, Just(0xff)];
    vec(byte, 0..200)
}

proptest! {
    #![proptest_config({
        let default = ProptestConfig::default();
        // Quick cases. The default reads PROPTEST_CASES.
        ProptestConfig { failure_persistence: None, cases: 4 * default.cases, ..default }
    })]

    #[test]
    #[cfg_attr(miri, ignore = "minutes for a few cases")]
    fn what_is_written_is_read(messages in messages()) {
        let contents = read(&packet(&messages));
        prop_assert_eq!(contents.messages, messages);
        prop_assert_eq!(contents.malformed, None);
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes for a few cases")]
    fn pieces_are_one_message(messages in messages(), piece in 1_usize..50) {
        let mut pieces = packet(&[]);
        for message in &messages {
            let slices: Vec<_> = message.chunks(piece).map(IoSlice::new).collect();
            push_slices(&mut pieces, &slices, message.len());
        }
        prop_assert_eq!(pieces, packet(&messages));
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes for a few cases")]
    fn any_bytes(bytes in bytes()) {
        read(&bytes);
        read(&framed(&bytes));
        let inner = read(&sealed(&bytes));
        prop_assert_eq!((inner.messages, inner.malformed), {
            let framed = read(&framed(&bytes));
            (framed.messages, framed.malformed)
        });
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes for a few cases")]
    fn a_sealed_packet_with_a_part_missing(
        message in vec(any::<u8>(), 100..2000),
        piece in 1_usize..200,
        missing in any::<(Index, Index)>(),
        memory in any::<u8>(),
    ) {
        let mut bytes = Vec::new();
        let pieces: Vec<_> = message.chunks(piece).map(IoSlice::new).collect();
        seal_slices(&mut bytes, &pieces, message.len());
        prop_assert_eq!(&read(&bytes).messages, std::slice::from_ref(&message));
        // libcpg delivers the whole length, and what its memory held before is at the end (B31).
        let len = bytes.len();
        let (first, last) = (HEADER_LEN + SEAL_LEN, len - SEAL_LEN);
        let start = first + missing.0.index(last - first);
        let end = start + 1 + missing.1.index(last - start);
        bytes.drain(start..end);
        bytes.resize(len, memory);
        prop_assert_eq!(malformed(&bytes), Error::Seal);
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes for a few cases")]
    fn a_cut_packet(messages in messages(), cut in any::<Index>()) {
        let bytes = packet(&messages);
        let whole = read(&bytes);
        let cut = cut.index(bytes.len() + 1);
        let contents = read(&bytes[..cut]);
        let complete = whole.boundaries.iter().filter(|&&boundary| boundary <= cut).count();
        prop_assert_eq!(&contents.messages, &messages[..complete]);
        let at_boundary = cut == HEADER_LEN || whole.boundaries.contains(&cut);
        prop_assert_eq!(contents.malformed.is_none(), at_boundary);
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes for a few cases")]
    fn a_flipped_bit(messages in messages(), at in any::<Index>(), bit in 0..8) {
        let mut bytes = packet(&messages);
        let whole = read(&bytes);
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let contents = read(&bytes);
        if at >= HEADER_LEN {
            let before = whole.boundaries.iter().filter(|&&boundary| boundary <= at).count();
            prop_assert_eq!(&contents.messages[..before], &messages[..before]);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes for a few cases")]
    fn reading_goes_on_from_any_boundary(frames in bytes(), messages in messages()) {
        for bytes in [framed(&frames), packet(&messages)] {
            let whole = read(&bytes);
            for (index, &boundary) in whole.boundaries.iter().enumerate() {
                let mut rest = bytes[boundary..].to_vec();
                let contents = read_frames(Frames::resume(&mut rest), boundary);
                prop_assert_eq!(&contents.messages, &whole.messages[index + 1..]);
                prop_assert_eq!(&contents.boundaries, &whole.boundaries[index + 1..]);
                prop_assert_eq!(contents.malformed, whole.malformed);
            }
        }
    }
}
