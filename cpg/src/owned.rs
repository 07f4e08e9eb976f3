//! Events that outlive the call that delivered them.

use crate::event::{ConfChg, Malformed};
use crate::name::GroupName;
use crate::packet;
use crate::reconnect::{Comeback, Lost};
use crate::types::{Member, NodeId, RingId};
use crate::undelivered::Undelivered;

/// An [`Event`](crate::Event) that owns what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnedEvent {
    /// A message was delivered.
    Deliver(Message),
    /// Members joined or left the group.
    ConfChg(View),
    /// Nodes joined or left the cluster.
    TotemConfChg(Ring),
    /// A packet cannot be read.
    Malformed(MalformedPacket),
    /// A message of this member was not delivered.
    Undelivered(Undelivered),
    /// The membership has ended with the connection.
    Lost(Lost),
    /// The group has come back.
    Rejoined(Comeback),
}

/// A message that owns its bytes.
///
/// ```no_run
/// use cpg::{Group, Message, OwnedEvent};
///
/// let mut group = Group::join("ledger")?;
/// group.send(b"+5 alice")?;
/// let message: Message = loop {
///     if let OwnedEvent::Deliver(message) = group.recv()? {
///         break message;
///     }
/// };
/// println!("{} to {}, packed: {}", message.sender(), message.group(), message.is_packed());
/// assert_eq!(message.into_payload(), b"+5 alice");
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub(crate) group: GroupName,
    pub(crate) sender: Member,
    pub(crate) payload: Vec<u8>,
    pub(crate) packed: bool,
}

impl Message {
    /// The group that it was sent to.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// Who sent it.
    pub fn sender(&self) -> Member {
        self.sender
    }

    /// The bytes of the message.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether it came in a packet; see [`Deliver::is_packed`](crate::Deliver::is_packed).
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// The bytes of the message, without a copy.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("group", &self.group)
            .field("sender", &self.sender)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("packed", &self.packed)
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
    pub(crate) reason: packet::Malformed,
}

impl MalformedPacket {
    /// The same, borrowed: all that a [`Malformed`] can be asked.
    pub fn as_malformed(&self) -> Malformed<'_> {
        Malformed { group: &self.group, sender: self.sender, bytes: &self.bytes, reason: self.reason }
    }
}

impl std::fmt::Debug for MalformedPacket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_malformed().fmt(f)
    }
}

/// A membership that can be kept: who is in a group, and what the last change was.
///
/// See [`ConfChg`] for what the lists mean.
///
/// ```no_run
/// use cpg::{Group, Member, NodeId, OwnedEvent, View};
///
/// let mut group = Group::join("ledger")?;
/// let mut current: Option<View> = None;
/// while current.is_none() {
///     if let OwnedEvent::ConfChg(view) = group.recv()? {
///         current = Some(view);
///     }
/// }
/// let view = current.unwrap();
/// assert!(view.is_first() && view.includes_me() && view.joined().contains(&group.me()));
/// assert!(view.left().is_empty() && view.contains(group.me()));
/// assert!(view.on_node(group.me().node()).any(|member| member == group.me()));
/// assert!(!view.contains(Member::new(NodeId::new(99), 1)));
/// println!("{}: {:?}, {:?} leads", view.group(), view.members(), view.as_confchg().lowest());
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub(crate) group: GroupName,
    pub(crate) members: Vec<Member>,
    pub(crate) left: Vec<Member>,
    pub(crate) joined: Vec<Member>,
    pub(crate) me: Member,
}

impl View {
    /// The same view, borrowed: all that a [`ConfChg`] can be asked.
    pub fn as_confchg(&self) -> ConfChg<'_> {
        ConfChg {
            group: &self.group,
            members: &self.members,
            left: &self.left,
            joined: &self.joined,
            me: self.me,
        }
    }

    /// The group.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// Everybody who is in the group, by node and pid.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Who left with the last change.
    pub fn left(&self) -> &[Member] {
        &self.left
    }

    /// Who joined with the last change.
    pub fn joined(&self) -> &[Member] {
        &self.joined
    }

    /// Whether this member is in the group.
    pub fn includes_me(&self) -> bool {
        self.as_confchg().includes_me()
    }

    /// Whether this is the view that this member joined with: its first.
    pub fn is_first(&self) -> bool {
        self.as_confchg().is_first()
    }

    /// Whether `member` is in the group.
    pub fn contains(&self, member: Member) -> bool {
        self.as_confchg().contains(member)
    }

    /// The member with the lowest node, and on it the lowest pid.
    pub fn lowest(&self) -> Option<Member> {
        self.as_confchg().lowest()
    }

    /// The members on one node.
    pub fn on_node(&self, node: NodeId) -> impl Iterator<Item = Member> + use<'_> {
        self.as_confchg().on_node(node)
    }
}

/// A ring that can be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    pub(crate) id: RingId,
    pub(crate) members: Vec<NodeId>,
}

impl Ring {
    /// Which ring it is.
    pub fn id(&self) -> RingId {
        self.id
    }

    /// The nodes of the ring.
    pub fn members(&self) -> &[NodeId] {
        &self.members
    }
}
