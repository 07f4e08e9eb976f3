//! A packet that cannot be read.

use std::fmt;

use crate::group_name::GroupName;
use crate::member::Member;
use crate::packet::format;

/// A packet that cannot be read, a long message of which a part is missing, or a packet in a session that does not coalesce.
///
/// ```no_run
/// use std::ops::ControlFlow::{Break, Continue};
/// use cpg::{Event, Limits, MalformedPacket, Session};
///
/// fn report(packet: MalformedPacket<'_>) {
///     eprintln!("{} bytes from {}: {}", packet.bytes().len(), packet.sender(), packet.error());
/// }
///
/// let mut session = Session::options().coalesce().join("ledger")?;
/// session.run(Limits::forever(), |_, event| match event {
///     Event::Malformed(packet) => {
///         report(packet);
///         Continue(())
///     }
///     Event::ConfChg(_) => Break(()),
///     _ => Continue(()),
/// })?;
/// session.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// If the beginning of a packet can be read, its messages are delivered first, and this event has the rest. The page of
/// [`packet`](crate::packet) has the format.
///
/// With the error [`Seal`](crate::packet::Error::Seal) corosync has lost a part of a message that other members may have whole
/// ([B31](crate::facts#b31)). A member that keeps the same state as others no longer has it then: let it leave, join again, and
/// [take the state](crate::guide::building#state-for-those-who-join) of another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MalformedPacket<'a> {
    pub(crate) group: &'a GroupName,
    pub(crate) sender: Member,
    pub(crate) bytes: &'a [u8],
    pub(crate) error: format::Error,
}

impl<'a> MalformedPacket<'a> {
    /// Returns the group to which the packet was sent.
    pub fn group(&self) -> &'a GroupName {
        self.group
    }

    /// Returns the sender of the packet.
    pub fn sender(&self) -> Member {
        self.sender
    }

    /// Returns the bytes that cannot be read: the whole packet, or the rest of it after the messages that can be read.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the error of reading the packet.
    pub fn error(&self) -> format::Error {
        self.error
    }

    /// Copies the packet into an owned packet, which can be kept.
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
/// /// Keeps a packet that cannot be read, to look at it later.
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
/// /// Returns the name and the contents of a file for the packet.
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
    /// Makes a packet that cannot be read because of this error, for [tests](crate::OwnedEvent#tests-without-a-cluster).
    pub fn new(group: GroupName, sender: Member, bytes: impl Into<Vec<u8>>, error: format::Error) -> Self {
        Self { group, sender, bytes: bytes.into(), error }
    }

    /// Borrows the packet.
    pub fn as_malformed_packet(&self) -> MalformedPacket<'_> {
        MalformedPacket { group: &self.group, sender: self.sender, bytes: &self.bytes, error: self.error }
    }

    /// Returns the group to which the packet was sent.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// Returns the sender of the packet.
    pub fn sender(&self) -> Member {
        self.sender
    }

    /// Returns the bytes that cannot be read; see [`MalformedPacket::bytes`](crate::MalformedPacket::bytes).
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes that cannot be read, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the error of reading the packet.
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
