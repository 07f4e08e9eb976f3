//! What a group hears: messages and changes of membership, borrowed from libcpg for the length of a call.

use crate::name::GroupName;
use crate::owned::{Message, Ring, View};
use crate::types::{Member, NodeId, RingId};

pub use crate::reconnect::{Lost, Rejoined};
pub use crate::undelivered::{Malformed, Undelivered};

/// Something that happened in a group, in the order that all its members agree on.
///
/// The first three are what libcpg has, the others come to groups that ask for more of this crate: a plain group that is not
/// split gets none of them.
///
/// ```no_run
/// use cpg::{Dispatch, Event, Group, OwnedEvent};
///
/// let mut group = Group::join("ledger")?;
/// let mut kept: Vec<OwnedEvent> = Vec::new();
/// group.dispatch(Dispatch::One, |_, event: Event<'_>| kept.push(event.to_owned()))?;
/// assert!(matches!(&kept[..], [OwnedEvent::ConfChg(view)] if view.is_first()));
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message was delivered, own ones included.
    Deliver(Deliver<'a>),
    /// Members joined or left the group.
    ConfChg(ConfChg<'a>),
    /// Nodes joined or left the cluster, or this part of it.
    TotemConfChg(TotemConfChg<'a>),
    /// A [packet](crate::packet) cannot be read from here on. Only in a [coalesced](crate::Flow::coalesced) group.
    Malformed(Malformed<'a>),
    /// A message of this member was not delivered, and nothing will deliver it. Only in a [split](crate::Group::split) group.
    Undelivered(Undelivered),
    /// The membership has ended with the connection, and the group is on its way back. Only in a group that
    /// [reconnects](crate::Connect::reconnect).
    Lost(Lost),
    /// The group has come back, with this view as the first. Only in a group that [reconnects](crate::Connect::reconnect).
    Rejoined(Rejoined<'a>),
}

/// A message.
///
/// ```no_run
/// use cpg::{Deliver, Dispatch, Event, Group, Message};
///
/// /// The number in a message of a node with the other byte order, in place.
/// fn number(deliver: &mut Deliver<'_>) -> Option<u32> {
///     deliver.payload_mut().reverse();
///     deliver.payload().try_into().ok().map(u32::from_ne_bytes)
/// }
///
/// let mut group = Group::join("ledger")?;
/// group.send(&42_u32.swap_bytes().to_ne_bytes())?;
/// let (mut numbers, mut kept) = (Vec::new(), Vec::<Message>::new());
/// while kept.is_empty() {
///     group.dispatch(Dispatch::One, |_, event| {
///         if let Event::Deliver(mut deliver) = event {
///             assert!(!deliver.is_packed());
///             numbers.extend(number(&mut deliver));
///             kept.push(deliver.to_message());
///         }
///     })?;
/// }
/// assert_eq!(numbers, [42]);
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_deliver_fn_t")]
pub struct Deliver<'a> {
    pub(crate) group: &'a GroupName,
    pub(crate) sender: Member,
    pub(crate) payload: &'a mut [u8],
    pub(crate) packed: bool,
}

impl Deliver<'_> {
    /// The group that it was sent to.
    pub fn group(&self) -> &GroupName {
        self.group
    }

    /// Who sent it; its [`reason`](Member::reason) is undefined.
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

    /// Whether it came in a [packet](crate::packet). In a [coalesced](crate::Flow::coalesced) group one that did not is from a
    /// member that does not know of packets, and is handed over whole; in other groups none does.
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// A copy that can be kept.
    pub fn to_message(&self) -> Message {
        Message {
            group: self.group.clone(),
            sender: self.sender,
            payload: self.payload.to_vec(),
            packed: self.packed,
        }
    }
}

impl std::fmt::Debug for Deliver<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliver")
            .field("group", self.group)
            .field("sender", &self.sender)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("packed", &self.packed)
            .finish()
    }
}

/// A change of a group's membership, and the membership after it.
///
/// The member list is the truth, the lists of those who left and joined say what led to it. Without quorum both
/// sides of a partition go on, each with a view of its own, and after they merge a node can stand in the left
/// and in the joined list of neighbouring views (B15).
///
/// ```no_run
/// use cpg::{ConfChg, Event, Group, View};
///
/// fn print(conf_chg: ConfChg<'_>) {
///     for member in conf_chg.joined() {
///         println!("{member} joined {}: {}", conf_chg.group(), member.reason());
///     }
///     for member in conf_chg.left().iter().filter(|member| !conf_chg.contains(**member)) {
///         println!("{member} is gone: {}", member.reason());
///     }
/// }
///
/// let mut group = Group::join("ledger")?;
/// let view: View = group.run(|link, event| {
///     let Event::ConfChg(conf_chg) = event else { return std::ops::ControlFlow::Continue(()) };
///     print(conf_chg);
///     assert!(conf_chg.is_first() && conf_chg.includes_me());
///     assert!(conf_chg.on_node(link.me().node()).any(|member| member == link.me()));
///     std::ops::ControlFlow::Break(conf_chg.to_view())
/// })?;
/// println!("{:?} leads", view.lowest());
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_confchg_fn_t")]
#[derive(Debug, Clone, Copy)]
pub struct ConfChg<'a> {
    pub(crate) group: &'a GroupName,
    pub(crate) members: &'a [Member],
    pub(crate) left: &'a [Member],
    pub(crate) joined: &'a [Member],
    pub(crate) me: Member,
}

impl<'a> ConfChg<'a> {
    /// The group.
    pub fn group(&self) -> &'a GroupName {
        self.group
    }

    /// Everybody who is in the group now, by node and pid.
    pub fn members(&self) -> &'a [Member] {
        self.members
    }

    /// Who left, each with a [reason](Member::reason).
    pub fn left(&self) -> &'a [Member] {
        self.left
    }

    /// Who joined, each with a [reason](Member::reason).
    pub fn joined(&self) -> &'a [Member] {
        self.joined
    }

    /// Whether this member is in the group now.
    pub fn includes_me(&self) -> bool {
        self.contains(self.me)
    }

    /// Whether this is the view that this member joined with: its first.
    pub fn is_first(&self) -> bool {
        self.joined.contains(&self.me)
    }

    /// Whether `member` is in the group now.
    pub fn contains(&self, member: Member) -> bool {
        self.members.contains(&member)
    }

    /// The member with the lowest node, and on it the lowest pid: the same on all members of one view, and so
    /// a leader that needs no election.
    pub fn lowest(&self) -> Option<Member> {
        self.members.iter().min().copied()
    }

    /// The members on one node.
    pub fn on_node(&self, node: NodeId) -> impl Iterator<Item = Member> + use<'a> {
        self.members.iter().filter(move |member| member.node() == node).copied()
    }

    /// A copy that can be kept.
    pub fn to_view(&self) -> View {
        View {
            group: self.group.clone(),
            members: self.members.to_vec(),
            left: self.left.to_vec(),
            joined: self.joined.to_vec(),
            me: self.me,
        }
    }
}

/// A new ring: the nodes that corosync runs on now, as far as this one sees.
///
/// It comes after the [`ConfChg`] of the groups that the same change touched.
///
/// ```no_run
/// use std::ops::ControlFlow::{Break, Continue};
/// use cpg::{Connect, Event, GroupName, Ring, RingId, TotemEvents};
///
/// let handle = Connect::new().totem_events(TotemEvents::InitialAndChanges).open()?;
/// let mut group = handle.join(&GroupName::new("ledger")?)?;
/// let ring: Ring = group.run(|_, event| match event {
///     Event::TotemConfChg(totem_conf_chg) => {
///         println!("{} of {:?}", totem_conf_chg.ring_id(), totem_conf_chg.members());
///         Break(totem_conf_chg.to_ring())
///     }
///     _ => Continue(()),
/// })?;
/// let id: RingId = ring.id();
/// println!("ring {id}, sequence {}: {:?}", id.seq, ring.members());
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_totem_confchg_fn_t")]
#[derive(Debug, Clone, Copy)]
pub struct TotemConfChg<'a> {
    pub(crate) ring_id: RingId,
    pub(crate) members: &'a [NodeId],
}

impl<'a> TotemConfChg<'a> {
    /// Which ring it is.
    pub fn ring_id(&self) -> RingId {
        self.ring_id
    }

    /// The nodes of the ring.
    pub fn members(&self) -> &'a [NodeId] {
        self.members
    }

    /// A copy that can be kept.
    pub fn to_ring(&self) -> Ring {
        Ring { id: self.ring_id, members: self.members.to_vec() }
    }
}

impl Event<'_> {
    /// A copy that can be kept.
    pub fn to_owned(&self) -> crate::owned::OwnedEvent {
        use crate::owned::OwnedEvent;
        match self {
            Self::Deliver(message) => OwnedEvent::Deliver(message.to_message()),
            Self::ConfChg(change) => OwnedEvent::ConfChg(change.to_view()),
            Self::TotemConfChg(change) => OwnedEvent::TotemConfChg(change.to_ring()),
            Self::Malformed(packet) => OwnedEvent::Malformed(packet.to_packet()),
            Self::Undelivered(message) => OwnedEvent::Undelivered(message.clone()),
            Self::Lost(lost) => OwnedEvent::Lost(*lost),
            Self::Rejoined(back) => OwnedEvent::Rejoined(back.to_comeback()),
        }
    }
}
