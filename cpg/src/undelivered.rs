//! Events about what did not become a message.

use std::fmt;

use crate::error::Error;
use crate::name::GroupName;
use crate::owned::MalformedPacket;
use crate::packet;
use crate::queue::Returned;
use crate::types::Member;

/// A packet, or the rest of one, that is not as [`packet`] says.
#[derive(Clone, Copy)]
pub struct Malformed<'a> {
    pub(crate) group: &'a GroupName,
    pub(crate) sender: Member,
    pub(crate) bytes: &'a [u8],
    pub(crate) reason: packet::Malformed,
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
    pub fn reason(&self) -> packet::Malformed {
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

/// A message of this member that was accepted and will not be delivered, handed back.
///
/// They come in the order in which they were sent, before the dispatch that found out why returns its error.
///
/// ```
/// use cpg::{Event, Undelivered};
///
/// /// Messages that may be sent again; those that others may have got are another matter.
/// fn again(event: Event<'_>, unsent: &mut Vec<Vec<u8>>) {
///     let Event::Undelivered(undelivered) = event else { return };
///     let undelivered: Undelivered = undelivered;
///     eprintln!("{} bytes: {}", undelivered.payload().len(), undelivered.error());
///     if !undelivered.was_sent() {
///         unsent.push(undelivered.into_payload());
///     }
/// }
/// # let _: fn(Event<'_>, &mut Vec<Vec<u8>>) = again;
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Undelivered(
    // An event is moved about for each message, and these are rare.
    Box<Returned>,
);

impl Undelivered {
    /// The bytes of the message.
    pub fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    /// The bytes of the message, without a copy.
    pub fn into_payload(self) -> Vec<u8> {
        self.0.payload
    }

    /// Whether the daemon had taken it. Such a message may have reached other members, when the connection was lost before the
    /// own delivery; one that it had not taken has reached nobody.
    pub fn was_sent(&self) -> bool {
        self.0.sent
    }

    /// Why it was not delivered.
    pub fn error(&self) -> Error {
        self.0.cause.into()
    }
}

impl From<Returned> for Undelivered {
    fn from(message: Returned) -> Self {
        Self(Box::new(message))
    }
}

impl fmt::Debug for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undelivered")
            .field("payload", &format_args!("{} bytes", self.0.payload.len()))
            .field("sent", &self.0.sent)
            .field("cause", &self.0.cause)
            .finish()
    }
}
