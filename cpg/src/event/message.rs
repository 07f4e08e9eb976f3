//! A message that was delivered.

use std::fmt;

use crate::group_name::GroupName;
use crate::member::Member;

/// A message that was delivered.
///
/// ```no_run
/// use cpg::{Event, Group, Limits, Message, OwnedMessage};
///
/// /// Converts the number in a message from a node with the other byte order, in place.
/// fn number(message: &mut Message<'_>) -> Option<u32> {
///     message.payload_mut().reverse();
///     message.payload().try_into().ok().map(u32::from_ne_bytes)
/// }
///
/// let mut group = Group::join("ledger")?;
/// group.send(&42_u32.swap_bytes().to_ne_bytes())?;
/// let (mut numbers, mut kept) = (Vec::new(), Vec::<OwnedMessage>::new());
/// while kept.is_empty() {
///     group.dispatch(Limits::one(), |_, event| {
///         if let Event::Deliver(mut message) = event {
///             assert!(!message.is_packed());
///             numbers.extend(number(&mut message));
///             kept.push(message.into_owned());
///         }
///     })?;
/// }
/// assert_eq!(numbers, [42]);
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_deliver_fn_t")]
#[derive(PartialEq, Eq)]
pub struct Message<'a> {
    pub(crate) group: &'a GroupName,
    pub(crate) sender: Member,
    pub(crate) payload: &'a mut [u8],
    pub(crate) packed: bool,
}

impl Message<'_> {
    /// Returns the group to which the message was sent.
    pub fn group(&self) -> &GroupName {
        self.group
    }

    /// Returns the sender. Its [`reason`](Member::reason) is [`Reason::Undefined`](crate::Reason::Undefined).
    pub fn sender(&self) -> Member {
        self.sender
    }

    /// Returns the bytes of the message.
    pub fn payload(&self) -> &[u8] {
        self.payload
    }

    /// Returns the bytes of the message, which may be changed in place.
    ///
    /// corosync's header allows this, so that a receiver can convert the byte order of the sender. No other member sees the
    /// change.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.payload
    }

    /// True if the message came in a [packet](crate::packet).
    ///
    /// In a session that [coalesces](crate::SessionOptions::coalesce) false means that the sender does not coalesce; its message is
    /// delivered whole. In other sessions and in a [`Group`](crate::Group) the result is always false.
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// Copies the message into an owned message, which can be kept.
    pub fn into_owned(self) -> OwnedMessage {
        OwnedMessage {
            group: self.group.clone(),
            sender: self.sender,
            payload: self.payload.to_vec(),
            packed: self.packed,
        }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("group", self.group)
            .field("sender", &self.sender)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("packed", &self.packed)
            .finish()
    }
}

/// A [`Message`] that owns its bytes.
///
/// ```no_run
/// use cpg::{Group, OwnedEvent, OwnedMessage};
///
/// let mut group = Group::join("ledger")?;
/// group.send(b"+5 alice")?;
/// let mut message: OwnedMessage = loop {
///     if let OwnedEvent::Deliver(message) = group.recv()? {
///         break message;
///     }
/// };
/// println!("{} to {}, packed: {}", message.sender(), message.group(), message.is_packed());
/// message.as_message().payload_mut()[0] = b'-';
/// assert_eq!(message.into_payload(), b"-5 alice");
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedMessage {
    pub(crate) group: GroupName,
    pub(crate) sender: Member,
    pub(crate) payload: Vec<u8>,
    pub(crate) packed: bool,
}

impl OwnedMessage {
    /// Makes a message that did not come in a packet, for [tests](crate::OwnedEvent#tests-without-a-cluster).
    pub fn new(group: GroupName, sender: Member, payload: impl Into<Vec<u8>>) -> Self {
        Self { group, sender, payload: payload.into(), packed: false }
    }

    /// Borrows the message. The borrow is mutable, because [`Message::payload_mut`](crate::Message::payload_mut) changes the message
    /// in place.
    pub fn as_message(&mut self) -> Message<'_> {
        Message { group: &self.group, sender: self.sender, payload: &mut self.payload, packed: self.packed }
    }

    /// Returns the group to which the message was sent.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// Returns the sender.
    pub fn sender(&self) -> Member {
        self.sender
    }

    /// Returns the bytes of the message.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// True if the message came in a packet; see [`Message::is_packed`](crate::Message::is_packed).
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// Returns the bytes of the message, without a copy.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }
}

impl fmt::Debug for OwnedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedMessage")
            .field("group", &self.group)
            .field("sender", &self.sender)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("packed", &self.packed)
            .finish()
    }
}
