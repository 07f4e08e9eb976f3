//! Events about what did not become a message.

use std::borrow::Cow;
use std::fmt;

use crate::cause::Cause;
use crate::error::Error;
use crate::name::GroupName;
use crate::packet;
use crate::queue::Returned;
use crate::types::Member;

/// A packet, or the rest of one, that is not as [`packet`] says.
#[derive(Clone, PartialEq, Eq)]
pub struct Malformed<'a> {
    group: GroupName,
    sender: Member,
    bytes: Cow<'a, [u8]>,
    reason: packet::Malformed,
}

impl<'a> Malformed<'a> {
    pub(crate) fn new(group: &GroupName, sender: Member, bytes: &'a [u8], reason: packet::Malformed) -> Self {
        Self { group: group.clone(), sender, bytes: Cow::Borrowed(bytes), reason }
    }

    /// The group that it was sent to.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// Who sent it.
    pub fn sender(&self) -> Member {
        self.sender
    }

    /// What could not be read: all of the packet, or what is left after the messages that could.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is wrong with it.
    pub fn reason(&self) -> packet::Malformed {
        self.reason
    }

    /// A copy that can be kept.
    pub fn to_owned(&self) -> Malformed<'static> {
        Malformed {
            group: self.group.clone(),
            sender: self.sender,
            bytes: Cow::Owned(self.bytes.to_vec()),
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
#[derive(Clone, PartialEq, Eq)]
pub struct Undelivered {
    payload: Vec<u8>,
    sent: bool,
    cause: Cause,
}

impl Undelivered {
    /// The bytes of the message.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The bytes of the message, without a copy.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }

    /// Whether the daemon had taken it. Such a message may have reached other members, when the connection was lost before the
    /// own delivery; one that it had not taken has reached nobody.
    pub fn was_sent(&self) -> bool {
        self.sent
    }

    /// Why it was not delivered.
    pub fn error(&self) -> Error {
        self.cause.into()
    }
}

impl From<Returned> for Undelivered {
    fn from(Returned { payload, sent, cause, .. }: Returned) -> Self {
        Self { payload, sent, cause }
    }
}

impl fmt::Debug for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undelivered")
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("sent", &self.sent)
            .field("cause", &self.cause)
            .finish()
    }
}
