//! A packet that cannot be read.

use std::fmt;

use crate::group_name::GroupName;
use crate::member::Member;
use crate::packet::format;

/// A packet, or the rest of one, that is not as [`packet`](crate::packet) says.
#[derive(Clone, Copy)]
pub struct Malformed<'a> {
    pub(crate) group: &'a GroupName,
    pub(crate) sender: Member,
    pub(crate) bytes: &'a [u8],
    pub(crate) reason: format::Malformed,
}

impl<'a> Malformed<'a> {
    /// The group that it was sent to.
    pub fn group(&self) -> &'a GroupName {
        self.group
    }

    /// Who sent it.
    pub fn sender(&self) -> Member {
        self.sender
    }

    /// What could not be read: all of the packet, or what is left after the messages that could.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What is wrong with it.
    pub fn reason(&self) -> format::Malformed {
        self.reason
    }

    /// A copy that can be kept.
    pub fn to_packet(&self) -> MalformedPacket {
        MalformedPacket {
            group: self.group.clone(),
            sender: self.sender,
            bytes: self.bytes.to_vec(),
            reason: self.reason,
        }
    }
}

impl fmt::Debug for Malformed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Malformed")
            .field("group", &self.group)
            .field("sender", &self.sender)
            .field("bytes", &format_args!("{} bytes", self.bytes.len()))
            .field("reason", &self.reason)
            .finish()
    }
}

/// A packet that cannot be read, or the rest of one, with its bytes; see [`Malformed`](crate::Malformed).
///
/// ```
/// use cpg::{Malformed, MalformedPacket, OwnedEvent};
///
/// fn complain(malformed: Malformed<'_>) {
///     let (group, sender, reason) = (malformed.group(), malformed.sender(), malformed.reason());
///     eprintln!("{sender} in {group}: {reason}, in {} bytes", malformed.bytes().len());
/// }
///
/// /// Keeps a packet that cannot be read, to be looked at.
/// fn keep(malformed: Malformed<'_>) -> MalformedPacket {
///     malformed.to_packet()
/// }
///
/// fn later(event: &OwnedEvent) {
///     if let OwnedEvent::Malformed(malformed_packet) = event {
///         let malformed_packet: &MalformedPacket = malformed_packet;
///         complain(malformed_packet.as_malformed());
///     }
/// }
/// # let _ = (keep as fn(Malformed<'_>) -> _, later as fn(&_));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MalformedPacket {
    pub(crate) group: GroupName,
    pub(crate) sender: Member,
    pub(crate) bytes: Vec<u8>,
    pub(crate) reason: format::Malformed,
}

impl MalformedPacket {
    /// The same, borrowed: all that a [`Malformed`] can be asked.
    pub fn as_malformed(&self) -> Malformed<'_> {
        Malformed { group: &self.group, sender: self.sender, bytes: &self.bytes, reason: self.reason }
    }
}

impl fmt::Debug for MalformedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_malformed().fmt(f)
    }
}
