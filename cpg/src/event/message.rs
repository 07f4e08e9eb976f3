//! A message.

use std::fmt;

use crate::group_name::GroupName;
use crate::member::Member;

/// A message.
///
/// ```no_run
/// use cpg::{Event, Group, Limits, Message, OwnedMessage};
///
/// /// The number in a message of a node with the other byte order, in place.
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
    /// The group that it was sent to.
    pub fn group(&self) -> &GroupName {
        self.group
    }

    /// The sender; its [`reason`](Member::reason) is undefined.
    pub fn sender(&self) -> Member {
        self.sender
    }

    /// The bytes of the message.
    pub fn payload(&self) -> &[u8] {
        self.payload
    }

    /// The bytes of the message, to be changed in place: corosync's header allows it, so that a receiver can
    /// convert the byte order of its sender. The buffer is this member's own.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.payload
    }

    /// True if it came in a [packet](crate::packet). In a session that [coalesces](crate::SessionOptions::coalesce) a message
    /// that did not is from a member that does not coalesce, and is handed over whole. In a [`Group`](crate::Group) and in other
    /// sessions no message does.
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// Copies the message into one that can be kept.
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
    /// Makes a message that came by itself and not in a packet, for [tests](crate::OwnedEvent#tests-without-a-cluster).
    pub fn new(group: GroupName, sender: Member, payload: impl Into<Vec<u8>>) -> Self {
        Self { group, sender, payload: payload.into(), packed: false }
    }

    /// Borrows the message, mutably since [`Message::payload_mut`](crate::Message::payload_mut) changes it in place.
    pub fn as_message(&mut self) -> Message<'_> {
        Message { group: &self.group, sender: self.sender, payload: &mut self.payload, packed: self.packed }
    }

    /// The group that it was sent to.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// The sender.
    pub fn sender(&self) -> Member {
        self.sender
    }

    /// The bytes of the message.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// True if it came in a packet; see [`Message::is_packed`](crate::Message::is_packed).
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// The bytes of the message, without a copy.
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
