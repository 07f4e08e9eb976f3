//! Writing packets.

use std::io::IoSlice;

use super::format::{HEADER, MAX_MESSAGE, MAX_PREFIX};

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
