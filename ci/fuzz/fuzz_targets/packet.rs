//! A fuzz target that reads any bytes as a packet and as the frames of a packet. All readers must agree with a simple
//! reader that follows the documentation of the bytes (`cpg::packet`) literally, and a packet that is written must be
//! read back.
#![no_main]

use cpg::packet::{self, Error, Frames};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    read(&[&[0xc9, b'P', b'G', 0xb5, 1, 0], bytes].concat());
    read(&[&[0xc9, b'P', b'G', 0xb5, 1, 1, 7, 7, 7, 7, 7, 7, 7, 7], bytes, &[7; 8]].concat());
    read(&[&[0xc9, b'P', b'G', 0xb5, 1, 1], bytes].concat());
    write(bytes);
});

/// Reads a packet as the documentation says, literally. Returns the beginnings and ends of messages, and the error
/// after them.
fn by_the_page(bytes: &[u8]) -> (Vec<(usize, usize)>, Option<Error>) {
    let mut messages = Vec::new();
    if let Some(malformed) = header_by_the_page(bytes) {
        return (messages, Some(malformed));
    }
    let (mut at, end) = frames_by_the_page(bytes);
    let bytes = &bytes[..end];
    while at < bytes.len() {
        let mut len = 0_u64;
        let mut shift = 0;
        loop {
            let Some(&byte) = bytes.get(at) else { return (messages, Some(Error::Prefix)) };
            at += 1;
            len += u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift == 35 {
                return (messages, Some(Error::Length));
            }
        }
        if len > 0x7fff_ffff {
            return (messages, Some(Error::Length));
        }
        let (len, left) = (usize::try_from(len).unwrap(), bytes.len() - at);
        if len > left {
            return (messages, Some(Error::Message { len, left }));
        }
        messages.push((at, at + len));
        at += len;
    }
    (messages, None)
}

fn header_by_the_page(bytes: &[u8]) -> Option<Error> {
    if bytes.len() < 4 || bytes[..4] != [0xc9, 0x50, 0x47, 0xb5] {
        return Some(Error::Magic);
    }
    match (bytes.get(4), bytes.get(5)) {
        (Some(1), Some(flags)) if flags % 16 == 0 => None,
        (Some(1), Some(flags)) if flags % 16 == 1 => match bytes.len() {
            ..22 => Some(Error::Header),
            len if bytes[6..14] != bytes[len - 8..] => Some(Error::Seal),
            _ => None,
        },
        (Some(1), Some(&flags)) => Some(Error::Flags(flags)),
        (None | Some(1), None) => Some(Error::Header),
        (Some(&version), _) => Some(Error::Version(version)),
        (None, Some(_)) => unreachable!(),
    }
}

/// Returns the beginning and the end of the frames, if the header can be read.
fn frames_by_the_page(bytes: &[u8]) -> (usize, usize) {
    match bytes[5] % 16 {
        1 => (14, bytes.len() - 8),
        _ => (6, bytes.len()),
    }
}

fn read(bytes: &[u8]) {
    let (expected, error) = by_the_page(bytes);
    let (first, last) = match header_by_the_page(bytes) {
        Some(_) => (0, bytes.len()),
        None => frames_by_the_page(bytes),
    };
    let boundary = |count: usize| if count == 0 { first } else { expected[count - 1].1 };

    let mut messages = packet::messages(bytes);
    for &(start, end) in &expected {
        let message = messages.next().unwrap().unwrap();
        assert_eq!((message.as_ptr(), message.len()), (bytes[start..].as_ptr(), end - start));
        assert_eq!(messages.rest(), &bytes[end..last]);
    }
    assert_eq!(messages.next(), error.map(Err));
    assert_eq!(messages.next(), None);
    assert_eq!(messages.rest().is_empty(), error.is_none() || bytes.is_empty());

    let mut copy = bytes.to_vec();
    let frames = match Frames::new(&mut copy) {
        Ok(frames) => frames,
        Err(malformed) => {
            assert_eq!(Some(malformed), error);
            assert_eq!(packet::is_packet(bytes), malformed != Error::Magic);
            return;
        }
    };
    same_frames(frames, bytes, &expected, error);

    // From a boundary between two messages, with another header before it.
    let count = bytes.len() % (expected.len() + 1);
    let mut rest = Vec::new();
    packet::begin(&mut rest);
    rest.extend(&bytes[boundary(count)..last]);
    same_frames(Frames::new(&mut rest).unwrap(), bytes, &expected[count..], error);
}

fn same_frames(mut frames: Frames<'_>, bytes: &[u8], expected: &[(usize, usize)], error: Option<Error>) {
    for &(start, end) in expected {
        let frame = frames.next().unwrap().unwrap();
        assert_eq!(frame, &bytes[start..end]);
        // The rest is compared below, so no message reaches into the next.
        frame.fill(0xaa);
    }
    assert_eq!(frames.next(), error.map(Err));
    assert_eq!(frames.next(), None);
}

/// Cuts the bytes into messages. The byte before a message gives its length; the first message may be much longer.
fn write(bytes: &[u8]) {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while let Some((&len, after)) = rest.split_first() {
        let (message, after) = after.split_at(usize::from(len).min(after.len()));
        let times = if messages.is_empty() && len >= 0x80 { 70 } else { 1 };
        messages.push(message.repeat(times));
        rest = after;
    }

    let mut one = Vec::new();
    packet::begin(&mut one);
    for message in &messages {
        let before = one.len();
        packet::push(&mut one, message);
        assert!((1..=packet::MAX_PREFIX).contains(&(one.len() - before - message.len())));
    }
    assert!(packet::messages(&one).map(Result::unwrap).eq(messages.iter().map(Vec::as_slice)));
    read(&one);

    let whole = messages.concat();
    packet::seal(&mut one, &whole);
    assert_eq!(packet::messages(&one).map(Result::unwrap).collect::<Vec<_>>(), [&whole[..]]);
    read(&one);
}
