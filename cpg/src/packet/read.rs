//! Reading packets.

use std::iter::FusedIterator;
use std::mem;
use std::ops::Range;

use super::format::{Error, HEADER, HEADER_LEN, MAGIC, MAX_PREFIX, SEAL_LEN, SEALED, VERSION};

/// The flags that change the meaning of what follows, and that are not known.
const UNKNOWN_FLAGS: u8 = 0x0f & !SEALED;

/// True if these bytes begin with the [magic](MAGIC), and so are a packet, well formed or not.
///
/// ```
/// use cpg::packet;
///
/// assert!(packet::is_packet(b"\xc9PG\xb5\x01\0"));
/// assert!(!packet::is_packet(b"plain text"));
/// assert_eq!(packet::MAGIC, *b"\xc9PG\xb5");
/// ```
#[inline]
pub fn is_packet(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Checks the header and the seals, and returns the place of the frames.
#[inline]
pub(crate) fn frames(bytes: &[u8]) -> Result<Range<usize>, Error> {
    if bytes.starts_with(&HEADER) { Ok(HEADER_LEN..bytes.len()) } else { odd_frames(bytes) }
}

#[cold]
fn odd_frames(bytes: &[u8]) -> Result<Range<usize>, Error> {
    if !is_packet(bytes) {
        return Err(Error::Magic);
    }
    match bytes[MAGIC.len()..] {
        [version, ..] if version != VERSION => Err(Error::Version(version)),
        [_, flags, ..] if flags & UNKNOWN_FLAGS != 0 => Err(Error::Flags(flags)),
        [_, flags, ..] if flags & SEALED != 0 => sealed_frames(bytes),
        [_, _, ..] => Ok(HEADER_LEN..bytes.len()),
        _ => Err(Error::Header),
    }
}

fn sealed_frames(bytes: &[u8]) -> Result<Range<usize>, Error> {
    let frames = HEADER_LEN + SEAL_LEN..bytes.len().saturating_sub(SEAL_LEN);
    if frames.start > frames.end {
        return Err(Error::Header);
    }
    if bytes[HEADER_LEN..frames.start] == bytes[frames.end..] { Ok(frames) } else { Err(Error::Seal) }
}

/// Returns the start and the end of the first frame's message. `frames` must not be empty.
#[inline]
fn bounds(frames: &[u8]) -> Result<(usize, usize), Error> {
    match frames {
        [short @ ..0x80, after @ ..] if usize::from(*short) <= after.len() => {
            Ok((1, 1 + usize::from(*short)))
        }
        _ => long_bounds(frames),
    }
}

#[inline(never)]
fn long_bounds(frames: &[u8]) -> Result<(usize, usize), Error> {
    let mut len = 0;
    for (index, &byte) in frames.iter().take(MAX_PREFIX).enumerate() {
        // Of the last byte, only the three lowest bits are within the limit.
        if index == MAX_PREFIX - 1 && byte > 0x07 {
            break;
        }
        len |= usize::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            let left = frames.len() - index - 1;
            let message = (index + 1, index + 1 + len);
            return if len <= left { Ok(message) } else { Err(Error::Message { len, left }) };
        }
    }
    Err(if frames.len() < MAX_PREFIX { Error::Prefix } else { Error::Length })
}

/// An iterator over the messages of a packet, which can be changed in place. The first error is the last item.
///
/// ```
/// use cpg::packet::{self, Frames};
///
/// let mut bytes = Vec::new();
/// packet::begin(&mut bytes);
/// packet::push(&mut bytes, b"one");
/// packet::push(&mut bytes, b"two");
/// let mut frames = Frames::new(&mut bytes)?;
/// frames.next().unwrap()?.make_ascii_uppercase();
/// assert_eq!(frames.next().unwrap()?, b"two");
/// assert_eq!(bytes[packet::HEADER_LEN..], *b"\x03ONE\x03two");
/// # Ok::<(), packet::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct Frames<'a> {
    unread: &'a mut [u8],
    failed: bool,
}

impl<'a> Frames<'a> {
    /// Returns the messages of this packet.
    ///
    /// # Errors
    /// The error of a header that cannot be read, or of a seal that is not whole.
    #[inline]
    pub fn new(packet: &'a mut [u8]) -> Result<Self, Error> {
        let frames = frames(packet)?;
        Ok(Self::resume(&mut packet[frames]))
    }

    /// Returns the messages of the rest of a packet, which must begin with a frame.
    #[inline]
    pub(crate) fn resume(rest: &'a mut [u8]) -> Self {
        Self { unread: rest, failed: false }
    }

    /// Returns the bytes that have not been read. They begin with a frame, after an error with the frame that cannot be read.
    #[inline]
    pub(crate) fn rest(&self) -> &[u8] {
        self.unread
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<&'a mut [u8], Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.unread.is_empty() || self.failed {
            return None;
        }
        match bounds(self.unread) {
            Ok((start, end)) => {
                let (frame, rest) = mem::take(&mut self.unread).split_at_mut(end);
                self.unread = rest;
                Some(Ok(&mut frame[start..]))
            }
            Err(malformed) => {
                self.failed = true;
                Some(Err(malformed))
            }
        }
    }
}

impl FusedIterator for Frames<'_> {}

/// Returns the messages of a packet, without copying them. An error in the header or the seal is the first item.
#[inline]
pub fn messages(packet: &[u8]) -> Messages<'_> {
    match frames(packet) {
        Ok(frames) => Messages { unread: &packet[frames], error: None, failed: false },
        Err(malformed) => Messages { unread: packet, error: Some(malformed), failed: false },
    }
}

/// An iterator over the messages of a packet, from [`messages`]. The first error is the last item.
///
/// ```
/// use cpg::packet::{self, Error, Messages};
///
/// // Good up to the second message, whose length reaches beyond the end.
/// let mut messages: Messages<'_> = packet::messages(b"\xc9PG\xb5\x01\0\x02hi\x09ho");
/// assert_eq!(messages.next(), Some(Ok(&b"hi"[..])));
/// assert_eq!(messages.next(), Some(Err(Error::Message { len: 9, left: 2 })));
/// assert_eq!((messages.rest(), messages.next()), (&b"\x09ho"[..], None));
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Messages<'a> {
    unread: &'a [u8],
    /// The error of the header or the seal, until it has been returned.
    error: Option<Error>,
    failed: bool,
}

impl<'a> Messages<'a> {
    /// Returns the bytes that have not been read.
    ///
    /// They begin with a frame. After an error they begin with the frame that cannot be read, or are the whole packet if its header
    /// or seal is wrong.
    pub fn rest(&self) -> &'a [u8] {
        self.unread
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<&'a [u8], Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let found = match self.error {
            None if self.unread.is_empty() => return None,
            None => bounds(self.unread),
            Some(malformed) => Err(malformed),
        };
        match found {
            Ok((start, end)) => {
                let (frame, rest) = self.unread.split_at(end);
                self.unread = rest;
                Some(Ok(&frame[start..]))
            }
            Err(malformed) => {
                self.failed = true;
                Some(Err(malformed))
            }
        }
    }
}

impl FusedIterator for Messages<'_> {}
