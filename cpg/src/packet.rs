//! Packets: how the messages of a coalescing group travel, byte for byte.
//!
//! A plain message of a group is one message of CPG. In a group that coalesces, every message of CPG is a
//! **packet**, and a packet holds any number of the group's messages. This page is all that a program in
//! another language needs to be a member of such a group.
//!
//! # The bytes
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | the magic: `c9 50 47 b5` |
//! | 4 | 1 | the version: `01` |
//! | 5 | 1 | flags: `00` |
//! | 6 | to the end | frames, one after the other, with nothing between or after them |
//!
//! A **frame** is one message:
//!
//! | bytes | what |
//! |---|---|
//! | 1 to 5 | the length of the message, a varint |
//! | as many as the length says | the message |
//!
//! A **varint** (unsigned LEB128) is a number in groups of seven bits, the lowest first, each in a byte whose
//! highest bit says that another one follows. It has at most 5 bytes, and a value of at most 2³¹ − 1, which
//! is `ff ff ff ff 07`. It need not be the shortest: `03`, `83 00` and `83 80 80 80 00` are all 3.
//!
//! This packet holds the three messages `hi`, an empty one, and 130 times `2a`:
//!
//! ```text
//! c9 50 47 b5  01  00          magic, version, flags
//! 02  68 69                    2 bytes: "hi"
//! 00                           0 bytes
//! 82 01  2a 2a 2a … 2a         130 = 2 + 1 × 128 bytes
//! ```
//!
//! # Rules
//!
//! - A **sender** puts every message into a packet, also one that travels alone, and one that looks like a
//!   packet itself. It writes the version and the flags of the table. A message is in one packet, whole.
//! - A **reader** hands over the messages of a packet in their order, then those of the next packet. A
//!   message can be empty. A packet without frames is valid, and holds no message.
//! - What does not begin with the magic comes from a program that does not coalesce, and is one message,
//!   whole. No UTF-8 text begins with the magic.
//! - A packet of **another version** cannot be read: nothing after the version is where this page says.
//! - Of the **flags**, the low four bits say that the frames are not to be read as this page says. A reader
//!   that does not know one of them that is set cannot read the packet. The high four bits are hints: a
//!   reader ignores those it does not know.
//! - A packet is **malformed** from the first place on where this page is not followed: a header that ends
//!   early, a varint that ends early or is too large, a length that reaches beyond the end. The messages
//!   before that place are good.
//!
//! # Here
//!
//! ```
//! use cpg::packet;
//!
//! let mut packet = Vec::new();
//! packet::begin(&mut packet);
//! packet::push(&mut packet, b"hi");
//! packet::push(&mut packet, b"");
//! packet::push(&mut packet, &[0x2a; 130]);
//!
//! // The example from above.
//! let mut bytes = vec![0xc9, 0x50, 0x47, 0xb5, 0x01, 0x00];
//! bytes.extend([0x02, 0x68, 0x69]);
//! bytes.extend([0x00]);
//! bytes.extend([0x82, 0x01]);
//! bytes.extend([0x2a; 130]);
//! assert_eq!(packet, bytes);
//!
//! let mut lengths = Vec::new();
//! for message in packet::messages(&packet) {
//!     lengths.push(message?.len());
//! }
//! assert_eq!(lengths, [2, 0, 130]);
//! # Ok::<(), packet::Malformed>(())
//! ```
//!
//! Nothing here needs a cluster, or allocates, but for the growth of the `Vec` that a packet is written to.

mod read;
mod write;

pub use read::{Frames, Messages, check_header, is_packet, messages};
pub use write::{Head, begin, frame_len, head, padded_head, push, push_slices};

/// What a packet begins with.
pub const MAGIC: [u8; 4] = [0xc9, b'P', b'G', 0xb5];

/// The version that is written and read here.
pub const VERSION: u8 = 1;

/// The length of what comes before the first frame.
pub const HEADER_LEN: usize = 6;

/// The length of the longest varint.
pub const MAX_PREFIX: usize = 5;

/// The length of the longest message that a frame can hold.
pub const MAX_MESSAGE: usize = 0x7fff_ffff;

const HEADER: [u8; HEADER_LEN] = [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION, 0];

/// What is wrong with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
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
        /// How much of it there is.
        left: usize,
    },
}
