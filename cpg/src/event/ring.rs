//! A new ring of nodes.

use std::fmt;

use crate::member::{Member, NodeId};

/// The identity of a ring of totem, the protocol under corosync: a new ring is formed each time that nodes come or go.
///
/// Order and equality are those of the pair. The sequence number grows from one ring to the next on a node,
/// and is the number that quorum and DLM know as the ring sequence.
///
/// ```
/// use cpg::{NodeId, RingId};
///
/// let ring = RingId::new(42, NodeId::new(1));
/// assert_eq!((ring.seq(), ring.node()), (42, NodeId::new(1)));
/// assert_eq!(ring.to_string(), "1.2a");
/// ```
#[doc(alias = "cpg_ring_id")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingId {
    seq: u64,
    node: NodeId,
}

impl RingId {
    /// Makes the id of the ring with this sequence number that this node represents.
    pub const fn new(seq: u64, node: NodeId) -> Self {
        Self { seq, node }
    }

    /// The sequence number of the ring.
    pub const fn seq(self) -> u64 {
        self.seq
    }

    /// The node that represents the ring: the lowest of its members.
    pub const fn node(self) -> NodeId {
        self.node
    }
}

/// `NODE.SEQ` in hexadecimal, as corosync's own tools print it (`CS_PRI_RING_ID`).
impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:x}.{:x}", self.node.get(), self.seq))
    }
}

/// A new ring: the nodes that corosync runs on now, as far as this one sees.
///
/// It comes after the [views](crate::View) of the groups that the same change touched, so that this is the moment at which
/// ring and view belong together. Before the first view of a group, see [`TotemEvents`].
///
/// # Ghosts
///
/// The ring is the truth about nodes, and a view is not always: a member whose daemon joined the ring and died before its services
/// had agreed stays in the member lists of all the others, for ever (B26). [`ghosts`](Self::ghosts) tells them.
///
/// ```no_run
/// use std::ops::ControlFlow::{Break, Continue};
/// use cpg::{ConnectOptions, Event, Limits, Member, OwnedRing, TotemEvents};
///
/// let mut group = ConnectOptions::new().totem_events(TotemEvents::InitialAndChanges).join("ledger")?;
/// let mut members: Vec<Member> = Vec::new();
/// let ended = group.run(Limits::forever(), |_, event| match event {
///     Event::ConfChg(view) => {
///         members = view.members().to_vec();
///         Continue(())
///     }
///     Event::TotemConfChg(ring) => {
///         ring.ghosts(&members).for_each(|ghost| eprintln!("{ghost} is in the group, and its node is not there"));
///         Break(ring.into_owned())
///     }
///     _ => Continue(()),
/// })?;
/// // The same of a ring that is kept.
/// let ring: OwnedRing = ended.broke().unwrap();
/// let ghosts: Vec<Member> = ring.ghosts(&members).collect();
/// members.retain(|member| !ghosts.contains(member));
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// # Example
///
/// ```no_run
/// use std::ops::ControlFlow::{Break, Continue};
/// use cpg::{ConnectOptions, Event, Limits, OwnedRing, Ring, RingId, TotemEvents};
///
/// fn print(ring: Ring<'_>) {
///     let id: RingId = ring.id();
///     println!("ring {id}, sequence {}: {:?}", id.seq(), ring.members());
/// }
///
/// let mut group = ConnectOptions::new().totem_events(TotemEvents::InitialAndChanges).join("ledger")?;
/// let ended = group.run(Limits::forever(), |_, event| match event {
///     Event::TotemConfChg(ring) => Break(ring.into_owned()),
///     _ => Continue(()),
/// })?;
/// let ring: OwnedRing = ended.broke().unwrap();
/// print(ring.as_ring());
/// assert_eq!(ring.as_ring().members(), ring.members());
/// println!("{} represents it", ring.id().node());
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_totem_confchg_fn_t")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring<'a> {
    pub(crate) id: RingId,
    pub(crate) members: &'a [NodeId],
}

impl<'a> Ring<'a> {
    /// The identity of the ring.
    pub fn id(&self) -> RingId {
        self.id
    }

    /// The nodes of the ring.
    pub fn members(&self) -> &'a [NodeId] {
        self.members
    }

    /// The ghosts among `members`, which are those of a view or what the daemon has listed: members whose node is not in this
    /// ring.
    ///
    /// Ask with the view that was there when this event came, and with those that follow until a node comes or goes. A view in which
    /// members [come with their node](crate::Reason::NodeUp) belongs to the ring that is told next.
    ///
    /// corosync up to 3.1.10 has ghosts
    /// ([corosync 828](https://github.com/corosync/corosync/issues/828), mended upstream in July 2026, in no release when this was
    /// written; B26). With a daemon that has none this yields nothing.
    pub fn ghosts<'m>(&self, members: &'m [Member]) -> impl Iterator<Item = Member> + use<'a, 'm> {
        let nodes = self.members;
        members.iter().filter(move |member| !nodes.contains(&member.node())).copied()
    }

    /// Copies the ring into one that can be kept.
    pub fn into_owned(self) -> OwnedRing {
        OwnedRing { id: self.id, members: self.members.to_vec() }
    }
}

/// A [`Ring`] that owns its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRing {
    pub(crate) id: RingId,
    pub(crate) members: Vec<NodeId>,
}

impl OwnedRing {
    /// Makes a ring of these nodes, for [tests](crate::OwnedEvent#tests-without-a-cluster).
    pub fn new(id: RingId, members: impl Into<Vec<NodeId>>) -> Self {
        Self { id, members: members.into() }
    }

    /// Borrows the ring.
    pub fn as_ring(&self) -> Ring<'_> {
        Ring { id: self.id, members: &self.members }
    }

    /// The identity of the ring.
    pub fn id(&self) -> RingId {
        self.id
    }

    /// The nodes of the ring.
    pub fn members(&self) -> &[NodeId] {
        &self.members
    }

    /// As [`Ring::ghosts`](crate::Ring::ghosts).
    pub fn ghosts<'r>(&'r self, members: &'r [Member]) -> impl Iterator<Item = Member> + use<'r> {
        self.as_ring().ghosts(members)
    }
}

/// The [rings](crate::Event::TotemConfChg) that a handle hears of.
///
/// The daemon sends them to a handle whether it has joined or not. A [`Handle`](crate::Handle) that is connected for a while before it
/// joins can have a ring in store, and its [`Group`](crate::Group) gets that before the first view, as a C program does. In a
/// [`Session`](crate::Session) a ring that comes before the first view waits for it, also when the session comes
/// [back](crate::Reconnect): the first event of a membership is its view. Of several only the last comes, since the others were over
/// before the membership began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TotemEvents {
    /// None: the handle of the older `cpg_initialize`.
    None,
    /// One for each new ring.
    #[default]
    Changes,
    /// One for each new ring, and with the own join one for the ring that is there.
    #[doc(alias = "CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF")]
    InitialAndChanges,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ghosts_are_the_members_whose_node_is_not_in_the_ring() {
        let nodes = [1, 3].map(NodeId::new);
        let ring = Ring { id: RingId::new(1, nodes[0]), members: &nodes };
        let members =
            [(1, 7), (2, 7), (3, 1), (2, 8), (4, 7)].map(|(node, pid)| Member::new(NodeId::new(node), pid));
        let ghosts = [members[1], members[3], members[4]];
        assert!(ring.ghosts(&members).eq(ghosts));
        assert!(ring.into_owned().ghosts(&members).eq(ghosts));
        assert_eq!(ring.ghosts(&members[..1]).count(), 0);
    }

    #[test]
    fn rings_print_as_corosync_prints_them() {
        assert_eq!(RingId::new(0x1a, NodeId::new(10)).to_string(), "a.1a");
    }
}
