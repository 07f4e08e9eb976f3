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
//!   whole. Sessions of this crate mark it ([`is_packed`](crate::Message::is_packed) is false).
//! - A program that does **not coalesce** should not take what begins with the magic for a message. A session of this crate
//!   then gives [`Event::Malformed`](crate::Event::Malformed) with [`Error::Unexpected`] and all of the bytes; a
//!   [`Group`](crate::Group) knows nothing of packets, and hears them as messages.
//! - So **plain messages should not begin with the magic**. No UTF-8 text does, and of random bytes one message in four
//!   thousand million. One that does is not lost: it is in that event, whole, and for all plain sessions alike.
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
//! # Ok::<(), packet::Error>(())
//! ```
//!
//! Nothing here needs a cluster, or allocates, but for the growth of the `Vec` that a packet is written to.

pub(crate) mod format;
pub(crate) mod read;
pub(crate) mod write;

pub use format::{Error, HEADER_LEN, MAGIC, MAX_MESSAGE, MAX_PREFIX, VERSION};
pub use read::{Frames, Messages, is_packet, messages};
pub use write::{begin, push};

#[cfg(test)]
mod tests;
