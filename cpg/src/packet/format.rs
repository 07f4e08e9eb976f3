//! The numbers of the format, and what can be wrong with a packet.

use thiserror::Error;

/// The bytes that a packet begins with.
pub const MAGIC: [u8; 4] = [0xc9, b'P', b'G', 0xb5];

/// The version that is written and read here.
pub const VERSION: u8 = 1;

/// The length of what comes before the first frame.
pub const HEADER_LEN: usize = 6;

/// The length of the longest varint.
pub const MAX_PREFIX: usize = 5;

/// The length of the longest message that a frame can hold.
pub const MAX_MESSAGE: usize = 0x7fff_ffff;

pub(super) const HEADER: [u8; HEADER_LEN] = [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION, 0];

/// A place where a packet is not as the format has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Error {
    /// It begins with the [magic](MAGIC), and came to a session that does not
    /// [coalesce](crate::SessionOptions::coalesce).
    ///
    /// Nothing need be wrong with it: [`messages`](super::messages) may read it. It may also be a plain message that begins
    /// with these four bytes by chance, which [`bytes`](crate::MalformedPacket::bytes) then are.
    #[error(
        "a packet in a session that does not coalesce: coalesce in all sessions of the group, or in none"
    )]
    Unexpected,
    /// It does not begin with the [magic](MAGIC): it is no packet.
    #[error("no packet: it does not begin with the magic")]
    Magic,
    /// It ends before the first frame could begin.
    #[error("the packet ends in its header")]
    Header,
    /// It is of a version that is not known here.
    #[error("a packet of version {0}: only version {VERSION} is known")]
    Version(u8),
    /// It has a flag that is not known here and must not be ignored.
    #[error("a packet with flags {0:#04x}: not all that must be understood are known")]
    Flags(u8),
    /// It ends in the length of a message.
    #[error("the packet ends in the length of a message")]
    Prefix,
    /// The length of a message has more than [`MAX_PREFIX`] bytes, or is more than [`MAX_MESSAGE`].
    #[error("the length of a message is too large")]
    Length,
    /// It ends before a message does.
    #[error("the packet ends in a message: {left} bytes of {len}")]
    Message {
        /// The length that the message should have.
        len: usize,
        /// The bytes of it that are there.
        left: usize,
    },
}
