//! Writing packets.

use std::fmt;
use std::io::IoSlice;
use std::ops::Deref;

use super::format::{HEADER, HEADER_LEN, MAX_MESSAGE, MAX_PREFIX};

/// Clears `packet` and writes the header: a packet with no messages.
#[inline]
pub fn begin(packet: &mut Vec<u8>) {
    packet.clear();
    packet.extend_from_slice(&HEADER);
}

/// Appends a message to a packet.
///
/// # Panics
/// With a message longer than [`MAX_MESSAGE`].
#[inline]
pub fn push(packet: &mut Vec<u8>, message: &[u8]) {
    push_prefix(packet, message.len());
    packet.extend_from_slice(message);
}

/// Appends a message that lies in several pieces, whose lengths add up to `total`.
///
/// ```
/// use std::io::IoSlice;
/// use cpg::packet;
///
/// let mut bytes = Vec::new();
/// packet::begin(&mut bytes);
/// packet::push_slices(&mut bytes, &[IoSlice::new(b"+5 "), IoSlice::new(b"alice")], 8);
/// assert_eq!(packet::messages(&bytes).collect::<Result<Vec<_>, _>>()?, [b"+5 alice"]);
/// # Ok::<(), packet::Error>(())
/// ```
///
/// # Panics
/// With a message longer than [`MAX_MESSAGE`], and when the pieces do not add up.
#[inline]
pub fn push_slices(packet: &mut Vec<u8>, message: &[IoSlice<'_>], total: usize) {
    match message {
        [whole] if whole.len() == total => push(packet, whole),
        pieces => push_pieces(packet, pieces, total),
    }
}

fn push_pieces(packet: &mut Vec<u8>, pieces: &[IoSlice<'_>], total: usize) {
    push_prefix(packet, total);
    let start = packet.len();
    for piece in pieces {
        packet.extend_from_slice(piece);
    }
    assert_eq!(packet.len() - start, total, "the length of a message in pieces");
}

/// Writes the length of a message, and makes room for the message and no more: a packet that was allocated as
/// large as it may become is not allocated again.
#[inline]
fn push_prefix(packet: &mut Vec<u8>, len: usize) {
    if let Ok(short @ ..0x80) = u8::try_from(len) {
        packet.reserve(1 + len);
        packet.push(short);
    } else {
        push_long_prefix(packet, len);
    }
}

#[inline(never)]
fn push_long_prefix(packet: &mut Vec<u8>, len: usize) {
    let mut prefix = [0; MAX_PREFIX];
    let used = write_prefix(&mut prefix, len);
    packet.reserve(used + len);
    packet.extend_from_slice(&prefix[..used]);
}

/// Writes the shortest varint; says how long it is.
fn write_prefix(prefix: &mut [u8; MAX_PREFIX], len: usize) -> usize {
    let used = prefix_len(len);
    *prefix = padded_prefix(len);
    prefix[used - 1] &= 0x7f;
    used
}

/// The varint of the full length.
fn padded_prefix(len: usize) -> [u8; MAX_PREFIX] {
    assert!(len <= MAX_MESSAGE, "a message of {len} bytes is too long for a packet");
    let mut left = len;
    let mut prefix = [0; MAX_PREFIX];
    for byte in &mut prefix {
        *byte = left.to_le_bytes()[0] | 0x80;
        left >>= 7;
    }
    prefix[MAX_PREFIX - 1] &= 0x7f;
    prefix
}

/// The length of the shortest varint.
#[inline]
const fn prefix_len(len: usize) -> usize {
    match len {
        ..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        0x20_0000..0x1000_0000 => 4,
        _ => 5,
    }
}

/// How many bytes [`push`] appends for a message of `len` bytes.
///
/// ```
/// use cpg::packet;
///
/// assert_eq!([0, 127, 128].map(packet::frame_len), [1, 128, 130]);
/// assert_eq!(packet::frame_len(packet::MAX_MESSAGE), packet::MAX_MESSAGE + packet::MAX_PREFIX);
/// ```
#[inline]
pub const fn frame_len(len: usize) -> usize {
    prefix_len(len) + len
}

/// What comes before the message in a packet of one message: with it in front, the message needs no copy.
///
/// ```
/// use cpg::packet;
///
/// let message = b"hi";
/// let bytes = [&packet::head(message.len())[..], message].concat();
/// assert_eq!(packet::messages(&bytes).next(), Some(Ok(&message[..])));
/// ```
///
/// # Panics
/// When `len`, the length of the message, is more than [`MAX_MESSAGE`].
#[inline]
pub fn head(len: usize) -> Head {
    let mut prefix = [0; MAX_PREFIX];
    let used = write_prefix(&mut prefix, len);
    Head { bytes: join(prefix), len: HEADER_LEN + used }
}

/// As [`head`], of the same length for every message: for a buffer that is filled in before the length is
/// known.
///
/// ```
/// use cpg::packet;
///
/// // Room for the head, and the message behind it.
/// let mut buffer = vec![0; packet::HEADER_LEN + packet::MAX_PREFIX];
/// buffer.extend(b"hi");
/// let head = packet::padded_head(2);
/// buffer[..head.len()].copy_from_slice(&head);
/// assert_eq!(packet::messages(&buffer).next(), Some(Ok(&b"hi"[..])));
/// ```
///
/// # Panics
/// As [`head`].
#[inline]
pub fn padded_head(len: usize) -> [u8; HEADER_LEN + MAX_PREFIX] {
    join(padded_prefix(len))
}

fn join(prefix: [u8; MAX_PREFIX]) -> [u8; HEADER_LEN + MAX_PREFIX] {
    let mut bytes = [0; HEADER_LEN + MAX_PREFIX];
    bytes[..HEADER_LEN].copy_from_slice(&HEADER);
    bytes[HEADER_LEN..].copy_from_slice(&prefix);
    bytes
}

/// The bytes that [`head`] makes.
///
/// ```
/// use cpg::packet::{self, Head};
///
/// let head: Head = packet::head(300);
/// assert_eq!(*head, *b"\xc9PG\xb5\x01\0\xac\x02");
/// ```
#[derive(Clone, Copy)]
pub struct Head {
    bytes: [u8; HEADER_LEN + MAX_PREFIX],
    len: usize,
}

impl Deref for Head {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Head {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({:02x?})", &**self)
    }
}
