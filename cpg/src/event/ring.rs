//! A new ring of nodes.

use std::fmt;

use crate::member::NodeId;

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
/// It comes after the [views](crate::View) of the groups that the same change touched.
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
#[derive(Debug, Clone, Copy)]
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
}

/// The [rings](crate::Event::TotemConfChg) that a handle hears of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TotemEvents {
    /// None: the handle of the older `cpg_initialize`.
    None,
    /// One for each new ring.
    #[default]
    Changes,
    /// One for each new ring, and after the own join one for the ring that is there.
    #[doc(alias = "CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF")]
    InitialAndChanges,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_print_as_corosync_prints_them() {
        assert_eq!(RingId::new(0x1a, NodeId::new(10)).to_string(), "a.1a");
    }
}
