//! The ring of nodes under a group.

use std::fmt;

use crate::member::{Member, NodeId};

/// The identity of a ring of totem, the protocol under corosync. A new ring forms each time that nodes come or go.
///
/// ```
/// use cpg::{NodeId, RingId};
///
/// let ring = RingId::new(42, NodeId::new(1));
/// assert_eq!((ring.seq(), ring.node()), (42, NodeId::new(1)));
/// assert_eq!(ring.to_string(), "1.2a");
/// ```
///
/// Rings are compared and ordered by sequence number, then by node. The sequence number grows on each node from one ring to the next.
/// corosync's quorum library and the cluster's lock manager (DLM) call it the ring sequence.
#[doc(alias = "cpg_ring_id")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingId {
    seq: u64,
    node: NodeId,
}

impl RingId {
    /// Makes the id of the ring with this sequence number and this representative node.
    pub const fn new(seq: u64, node: NodeId) -> Self {
        Self { seq, node }
    }

    /// Returns the sequence number of the ring.
    pub const fn seq(self) -> u64 {
        self.seq
    }

    /// Returns the node that represents the ring: the lowest of its members.
    pub const fn node(self) -> NodeId {
        self.node
    }
}

/// Prints `NODE.SEQ` in hexadecimal, as corosync's own tools do (`CS_PRI_RING_ID`).
impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:x}.{:x}", self.node.get(), self.seq))
    }
}

/// A new ring: the nodes on which corosync runs now, as far as this node can see.
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
///
/// The event comes after the [views](crate::View) of the groups that the same change has touched. At this moment ring and view belong
/// together. [`TotemEvents`] says what comes before the first view of a group.
///
/// # Ghosts
///
/// The ring is right about nodes, but a view can be wrong. If a daemon joins the ring, and dies after it has told the others
/// its members but before all daemons have agreed, its members stay in the member lists of all others until the ring changes
/// again, and then go with [`ProcDown`](crate::Reason::ProcDown) ([B26](crate::facts#b26)). [`ghosts`](Self::ghosts) finds
/// them. It does not find a member without a process on a node that is there ([B3](crate::facts#b3), [B4](crate::facts#b4)).
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
///         ring.ghosts(&members).for_each(|ghost| eprintln!("{ghost} is a member, but its node is not there"));
///         Break(ring.into_owned())
///     }
///     _ => Continue(()),
/// })?;
/// // The same with a ring that was kept.
/// let ring: OwnedRing = ended.broke().unwrap();
/// let ghosts: Vec<Member> = ring.ghosts(&members).collect();
/// members.retain(|member| !ghosts.contains(member));
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_totem_confchg_fn_t")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring<'a> {
    pub(crate) id: RingId,
    pub(crate) members: &'a [NodeId],
}

impl<'a> Ring<'a> {
    /// Returns the identity of the ring.
    pub fn id(&self) -> RingId {
        self.id
    }

    /// Returns the nodes of the ring.
    pub fn members(&self) -> &'a [NodeId] {
        self.members
    }

    /// Returns the ghosts among `members`: the members whose node is not in this ring.
    ///
    /// `members` is the list of a view, or a list from the daemon. Use the last view before this event, and later views until
    /// one reports [`NodeUp`](crate::Reason::NodeUp) or [`NodeDown`](crate::Reason::NodeDown): that view belongs to the next
    /// ring, whose event follows.
    ///
    /// corosync up to 3.1.10 has ghosts ([B26](crate::facts#b26);
    /// [corosync 828](https://github.com/corosync/corosync/issues/828), mended upstream in July 2026, but in no release when this was
    /// written). With a daemon that has no ghosts the result is empty.
    pub fn ghosts<'m>(&self, members: &'m [Member]) -> impl Iterator<Item = Member> + use<'a, 'm> {
        let nodes = self.members;
        members.iter().filter(move |member| !nodes.contains(&member.node())).copied()
    }

    /// Copies the ring into an owned ring, which can be kept.
    pub fn into_owned(self) -> OwnedRing {
        OwnedRing { id: self.id, members: self.members.to_vec() }
    }
}

/// A [`Ring`] that owns its list.
///
/// ```
/// use cpg::{Member, NodeId, OwnedRing, RingId};
///
/// let [one, two] = [1, 2].map(NodeId::new);
/// let ring = OwnedRing::new(RingId::new(42, one), [one]);
/// assert_eq!((ring.id().seq(), ring.members()), (42, &[one][..]));
/// let members = [Member::new(one, 4711), Member::new(two, 4711)];
/// assert!(ring.ghosts(&members).eq([members[1]]));
/// assert_eq!(ring.as_ring().into_owned(), ring);
/// ```
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

    /// Returns the identity of the ring.
    pub fn id(&self) -> RingId {
        self.id
    }

    /// Returns the nodes of the ring.
    pub fn members(&self) -> &[NodeId] {
        &self.members
    }

    /// Returns the ghosts among `members`; see [`Ring::ghosts`](crate::Ring::ghosts).
    pub fn ghosts<'r>(&'r self, members: &'r [Member]) -> impl Iterator<Item = Member> + use<'r> {
        self.as_ring().ghosts(members)
    }
}

/// The choice of [ring events](crate::Event::TotemConfChg) that a handle gets.
///
/// ```no_run
/// use cpg::{ConnectOptions, Event, Limits, TotemEvents};
///
/// let mut group = ConnectOptions::new().totem_events(TotemEvents::InitialAndChanges).join("ledger")?;
/// let mut rings = 0;
/// while rings == 0 {
///     group.dispatch(Limits::one(), |_, event| {
///         if let Event::TotemConfChg(ring) = event {
///             println!("nodes: {:?}", ring.members());
///             rings += 1;
///         }
///     })?;
/// }
/// group.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// The daemon sends ring events also to a handle that has not joined. If a [`Handle`](crate::Handle) is connected for a while before it
/// joins, its [`Group`](crate::Group) can get a ring event before the first view, as a C program can.
///
/// In a [`Session`](crate::Session) the first event of a membership is always its view, also when the session
/// [comes back](crate::Reconnect). A ring event that comes earlier waits for the view. If several come earlier, only the last is
/// delivered, because the other rings ended before the membership began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TotemEvents {
    /// No ring events, as with the older `cpg_initialize`.
    None,
    /// An event for each new ring.
    #[default]
    Changes,
    /// An event for each new ring, and one for the current ring at about the time of the join: in a [`Group`](crate::Group)
    /// usually after the first view, sometimes before it.
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
