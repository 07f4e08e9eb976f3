//! Writing packets.

use std::hash::{BuildHasher as _, RandomState};
use std::io::IoSlice;

use super::format::{HEADER, HEADER_LEN, MAX_MESSAGE, MAX_PREFIX, SEAL_LEN, SEALED_HEADER};

/// Clears `packet` and writes a header: the result is a packet without messages.
#[inline]
pub fn begin(packet: &mut Vec<u8>) {
    packet.clear();
    packet.extend_from_slice(&HEADER);
}

/// Appends a message to a packet.
///
/// ```
/// use cpg::packet;
///
/// let mut bytes = Vec::new();
/// packet::begin(&mut bytes);
/// packet::push(&mut bytes, b"hi");
/// let (header, frame) = bytes.split_at(packet::HEADER_LEN);
/// assert_eq!((&header[..4], header[4], frame), (&packet::MAGIC[..], packet::VERSION, &b"\x02hi"[..]));
/// // The most bytes that a packet adds to a message that travels alone, and the longest message.
/// assert_eq!(packet::HEADER_LEN + packet::MAX_PREFIX, 11);
/// assert_eq!(packet::MAX_MESSAGE, 0x7fff_ffff);
/// ```
///
/// # Panics
/// If the message is longer than [`MAX_MESSAGE`].
#[inline]
pub fn push(packet: &mut Vec<u8>, message: &[u8]) {
    push_prefix(packet, message.len());
    packet.extend_from_slice(message);
}

/// Clears `packet`, and writes a [sealed](super#seals) packet with this message.
///
/// ```
/// use cpg::packet::{self, Error, HEADER_LEN, SEAL_LEN};
///
/// let mut bytes = Vec::new();
/// packet::seal(&mut bytes, b"a long message");
/// assert_eq!(packet::messages(&bytes).next(), Some(Ok(&b"a long message"[..])));
///
/// // What libcpg delivers if a part in the middle is missing: the right length, and other bytes at the end.
/// let len = bytes.len();
/// bytes.drain(HEADER_LEN + SEAL_LEN + 4..HEADER_LEN + SEAL_LEN + 8);
/// bytes.resize(len, 0);
/// assert_eq!(packet::messages(&bytes).next(), Some(Err(Error::Seal)));
/// ```
///
/// # Panics
/// If the message is longer than [`MAX_MESSAGE`].
pub fn seal(packet: &mut Vec<u8>, message: &[u8]) {
    seal_slices(packet, &[IoSlice::new(message)], message.len());
}

/// Does what [`seal`] does, with a message in several pieces, whose lengths add up to `total`.
///
/// # Panics
/// If the message is longer than [`MAX_MESSAGE`], or if the lengths do not add up.
pub(crate) fn seal_slices(packet: &mut Vec<u8>, message: &[IoSlice<'_>], total: usize) {
    // Memory that libcpg delivers in place of a missing part does not have this number, unless it was used for an earlier attempt to
    // send this packet.
    let seal: [u8; SEAL_LEN] = RandomState::new().hash_one(total).to_ne_bytes();
    packet.clear();
    packet.reserve(sealed_len(total));
    packet.extend_from_slice(&SEALED_HEADER);
    packet.extend_from_slice(&seal);
    push_slices(packet, message, total);
    packet.extend_from_slice(&seal);
}

/// Returns the length of a sealed packet with a message of `len` bytes.
pub(crate) const fn sealed_len(len: usize) -> usize {
    HEADER_LEN + SEAL_LEN + frame_len(len) + SEAL_LEN
}

/// Appends a message in several pieces, whose lengths add up to `total`.
///
/// # Panics
/// If the message is longer than [`MAX_MESSAGE`], or if the lengths do not add up.
#[inline]
pub(crate) fn push_slices(packet: &mut Vec<u8>, message: &[IoSlice<'_>], total: usize) {
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

/// Writes the length of a message, and makes room for exactly the message: a packet that was allocated at its full size is not
/// allocated again.
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

/// Writes the shortest varint, and returns its length.
fn write_prefix(prefix: &mut [u8; MAX_PREFIX], len: usize) -> usize {
    assert!(len <= MAX_MESSAGE, "a message of {len} bytes is too long for a packet");
    let used = prefix_len(len);
    let mut left = len;
    for byte in &mut prefix[..used] {
        *byte = left.to_le_bytes()[0] | 0x80;
        left >>= 7;
    }
    prefix[used - 1] &= 0x7f;
    used
}

/// Returns the length of the shortest varint.
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

/// Returns the number of bytes that [`push`] appends for a message of `len` bytes.
#[inline]
pub(crate) const fn frame_len(len: usize) -> usize {
    prefix_len(len) + len
}
