//! A packet that cannot be read.

use std::fmt;

use crate::group_name::GroupName;
use crate::member::Member;
use crate::packet::format;

/// A packet, or the rest of one, that is not as [`packet`](crate::packet) says; or a packet that came to a session which does not
/// coalesce.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MalformedPacket<'a> {
    pub(crate) group: &'a GroupName,
    pub(crate) sender: Member,
    pub(crate) bytes: &'a [u8],
    pub(crate) error: format::Error,
}

impl<'a> MalformedPacket<'a> {
    /// The group that it was sent to.
    pub fn group(&self) -> &'a GroupName {
        self.group
    }

    /// The sender.
    pub fn sender(&self) -> Member {
        self.sender
    }

    /// The bytes that could not be read: the whole packet, or the rest of it after the messages that could.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The error that reading it met.
    pub fn error(&self) -> format::Error {
        self.error
    }

    /// Copies the packet into one that can be kept.
    pub fn into_owned(self) -> OwnedMalformedPacket {
        OwnedMalformedPacket {
            group: self.group.clone(),
            sender: self.sender,
            bytes: self.bytes.to_vec(),
            error: self.error,
        }
    }
}

impl fmt::Debug for MalformedPacket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("MalformedPacket", *self, f)
    }
}

/// A [`MalformedPacket`] that owns its bytes.
///
/// ```
/// use cpg::{MalformedPacket, OwnedEvent, OwnedMalformedPacket};
///
/// fn complain(packet: MalformedPacket<'_>) {
///     let (group, sender, error) = (packet.group(), packet.sender(), packet.error());
///     eprintln!("{sender} in {group}: {error}, in {} bytes", packet.bytes().len());
/// }
///
/// /// Keeps a packet that cannot be read, to be looked at.
/// fn keep(packet: MalformedPacket<'_>) -> OwnedMalformedPacket {
///     packet.into_owned()
/// }
///
/// fn later(event: &OwnedEvent) {
///     if let OwnedEvent::Malformed(packet) = event {
///         complain(packet.as_malformed_packet());
///     }
/// }
///
/// /// The bytes, for a file.
/// fn dump(packet: OwnedMalformedPacket) -> (String, Vec<u8>) {
///     (format!("{}-{}-{}", packet.group(), packet.sender(), packet.error()), packet.into_bytes())
/// }
/// # let _ = (keep as fn(MalformedPacket<'_>) -> _, later as fn(&_), dump as fn(_) -> _);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedMalformedPacket {
    group: GroupName,
    sender: Member,
    bytes: Vec<u8>,
    error: format::Error,
}

impl OwnedMalformedPacket {
    /// Makes a packet that cannot be read for this reason, for [tests](crate::OwnedEvent#tests-without-a-cluster).
    pub fn new(group: GroupName, sender: Member, bytes: impl Into<Vec<u8>>, error: format::Error) -> Self {
        Self { group, sender, bytes: bytes.into(), error }
    }

    /// Borrows the packet.
    pub fn as_malformed_packet(&self) -> MalformedPacket<'_> {
        MalformedPacket { group: &self.group, sender: self.sender, bytes: &self.bytes, error: self.error }
    }

    /// The group that it was sent to.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// The sender.
    pub fn sender(&self) -> Member {
        self.sender
    }

    /// The bytes that could not be read; see [`MalformedPacket::bytes`](crate::MalformedPacket::bytes).
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes that could not be read, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The error that reading it met.
    pub fn error(&self) -> format::Error {
        self.error
    }
}

impl fmt::Debug for OwnedMalformedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("OwnedMalformedPacket", self.as_malformed_packet(), f)
    }
}

fn debug(name: &str, packet: MalformedPacket<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(name)
        .field("group", packet.group)
        .field("sender", &packet.sender)
        .field("bytes", &format_args!("{} bytes", packet.bytes.len()))
        .field("error", &packet.error)
        .finish()
}
