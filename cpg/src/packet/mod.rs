//! Packets: the format in which the messages of a coalescing group travel, byte for byte.
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
//! // The example under "The bytes" below.
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
//! In a group that does not coalesce, each message is one message of CPG. In a group that coalesces, each message of CPG is a **packet**,
//! which holds any number of the group's messages. This page is all that a program in another language needs to be a
//! member of such a group. The functions of this module need no cluster, and allocate only when the `Vec` of a packet grows.
//!
//! # The bytes
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 4 | the magic: `c9 50 47 b5` |
//! | 4 | 1 | the version: `01` |
//! | 5 | 1 | flags: `00`, or `01` for a packet that is [sealed](#seals) |
//! | 6 | to the end | frames, one after the other, with nothing between or after them; in a sealed packet between two seals |
//!
//! A **frame** is one message:
//!
//! | bytes | content |
//! |---|---|
//! | 1 to 5 | the length of the message, as a varint |
//! | as many as the length says | the message |
//!
//! A **varint** (unsigned LEB128) is a number in groups of seven bits, the lowest group first. Each group is in a byte, whose highest bit
//! says that another byte follows. A varint has at most 5 bytes. Its value is at most 2³¹ − 1, which is `ff ff ff ff 07`. It
//! need not be the shortest: `03`, `83 00` and `83 80 80 80 00` are all 3.
//!
//! This packet holds three messages: `hi`, an empty one, and 130 times the byte `2a`:
//!
//! ```text
//! c9 50 47 b5  01  00          magic, version, flags
//! 02  68 69                    2 bytes: "hi"
//! 00                           0 bytes
//! 82 01  2a 2a 2a … 2a         130 = 2 + 1 × 128 bytes
//! ```
//!
//! # Seals
//!
//! A packet above the daemon's [atomic size](crate::Daemon::max_atomic_message_size) travels in parts, and libcpg can deliver it with its
//! length although a part in the middle is missing ([B31](crate::facts#b31)). Then the bytes at its end are not those that were sent.
//! Such a packet is **sealed**: a seal of 8 bytes, which the sender chooses at random for each packet, is before the first frame and again
//! after the last.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 6 | magic, version, and the flags `01` |
//! | 6 | 8 | the seal |
//! | 14 | to 8 bytes before the end | frames |
//! | 8 before the end | 8 | the seal again |
//!
//! # Rules
//!
//! - A **sender** puts every message into a packet, also a message that travels alone, and a message that looks like a packet
//!   itself. It writes the version and the flags of the table above. A message is never split over packets. It seals each packet above
//!   the atomic size, and may seal any other.
//! - A **reader** of a sealed packet compares the seals before it delivers the first message.
//! - A **reader** delivers the messages of a packet in their order, then those of the next packet. A message can be empty. A packet
//!   without frames is valid, and holds no message.
//! - A CPG message that does not begin with the magic comes from a program that does not coalesce. It is one message, whole. Sessions of
//!   this crate mark it ([`is_packed`](crate::Message::is_packed) is false).
//! - A program that does **not coalesce** should not deliver a CPG message that begins with the magic. A session of this crate gives
//!   [`Event::Malformed`](crate::Event::Malformed) instead, with [`Error::Unexpected`] and all of the bytes. A
//!   [`Group`](crate::Group) knows nothing of packets, and delivers them as messages.
//! - So **plain messages should not begin with the magic**. No UTF-8 text does. Of messages of random bytes one in four thousand
//!   million (2³²) does. Such a message is not lost: every session that does not coalesce gets all of its bytes, as
//!   [`Event::Malformed`](crate::Event::Malformed).
//! - A packet of **another version** cannot be read: after the version nothing is where this page says.
//! - Of the **flags**, the low four bits change the meaning of the frames. If one of these bits is set that a reader does not know,
//!   the reader cannot read the packet. (Only the lowest, `01`, is known so far.) The high four bits are hints: a reader ignores
//!   those that it does not know.
//! - A packet is **malformed** from the first place that breaks these rules to its end. The rules are broken by a header that
//!   ends early, seals that differ, a varint that ends early or is too large, or a length that reaches beyond the end of the frames. The
//!   messages before that place are good.

pub(crate) mod format;
pub(crate) mod read;
pub(crate) mod write;

pub use format::{Error, HEADER_LEN, MAGIC, MAX_MESSAGE, MAX_PREFIX, SEAL_LEN, VERSION};
pub use read::{Frames, Messages, is_packet, messages};
pub use write::{begin, push, seal};

#[cfg(test)]
mod tests;
