//! The numbers of the format, and the errors of a packet.

use thiserror::Error;

/// The bytes that a packet begins with.
pub const MAGIC: [u8; 4] = [0xc9, b'P', b'G', 0xb5];

/// The version that this crate writes and reads.
pub const VERSION: u8 = 1;

/// The number of bytes before the first frame.
pub const HEADER_LEN: usize = 6;

/// The number of bytes of a seal. A sealed packet has its seal twice: after the header, and at the end.
pub const SEAL_LEN: usize = 8;

/// The length of the longest varint.
pub const MAX_PREFIX: usize = 5;

/// The length of the longest message that a frame can hold.
pub const MAX_MESSAGE: usize = 0x7fff_ffff;

/// The flag of a sealed packet.
pub(super) const SEALED: u8 = 0x01;

pub(super) const HEADER: [u8; HEADER_LEN] = header(0);

pub(super) const SEALED_HEADER: [u8; HEADER_LEN] = header(SEALED);

const fn header(flags: u8) -> [u8; HEADER_LEN] {
    [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION, flags]
}

/// The error of a packet that breaks the format.
///
/// ```
/// use cpg::packet::{self, Error};
///
/// let first = |bytes| packet::messages(bytes).next();
/// assert_eq!(first(b"plain text"), Some(Err(Error::Magic)));
/// assert_eq!(first(b"\xc9PG\xb5\x02\0"), Some(Err(Error::Version(2))));
/// assert_eq!(first(b"\xc9PG\xb5\x01\0\x02h"), Some(Err(Error::Message { len: 2, left: 1 })));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Error {
    /// The message begins with the [magic](MAGIC), but came to a session that does not [coalesce](crate::SessionOptions::coalesce).
    ///
    /// The packet itself may be good, and [`messages`](super::messages) may be able to read it. Or it is a plain message that begins
    /// with these four bytes by chance; then [`bytes`](crate::MalformedPacket::bytes) is that message.
    #[error(
        "a packet in a session that does not coalesce: coalesce in all sessions of the group, or in none"
    )]
    Unexpected,
    /// The bytes do not begin with the [magic](MAGIC), so they are not a packet.
    #[error("not a packet: it does not begin with the magic")]
    Magic,
    /// The packet ends before the first frame could begin, or is sealed and has no room for its seals.
    #[error("the packet ends in its header")]
    Header,
    /// The packet is of a version that this crate does not know.
    #[error("a packet of version {0}: only version {VERSION} is known")]
    Version(u8),
    /// The packet has a flag that this crate does not know and must not ignore.
    #[error("a packet with flags {0:#04x}: a flag that must be understood is not known")]
    Flags(u8),
    /// The packet is sealed, and the bytes at its end are not its seal: a part of it is missing ([B31](crate::facts#b31)).
    #[error("the packet does not end with its seal: a part of it is missing")]
    Seal,
    /// The packet ends in the length of a message.
    #[error("the packet ends in the length of a message")]
    Prefix,
    /// The length of a message has more than [`MAX_PREFIX`] bytes, or is more than [`MAX_MESSAGE`].
    #[error("the length of a message is too large")]
    Length,
    /// The packet ends in the middle of a message.
    #[error("the packet ends in a message: {left} bytes of {len}")]
    Message {
        /// The length that the message should have.
        len: usize,
        /// The number of its bytes that are there.
        left: usize,
    },
}
