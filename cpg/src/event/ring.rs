//! A new ring of nodes.

use std::fmt;

use crate::member::NodeId;

/// Which ring of totem, the protocol under corosync, is running: a new one is formed each time that nodes
/// come or go.
///
/// Order and equality are those of the pair. The sequence number grows from one ring to the next on a node,
/// and is the number that quorum and DLM know as the ring sequence.
///
/// ```
/// use cpg::{NodeId, RingId};
///
/// let ring = RingId { seq: 42, node: NodeId::new(1) };
/// assert_eq!(ring.to_string(), "1.2a");
/// ```
#[doc(alias = "cpg_ring_id")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingId {
    /// Sequence number of the ring.
    pub seq: u64,
    /// The node that represents the ring: the lowest of its members.
    pub node: NodeId,
}

/// `NODE.SEQ` in hexadecimal, as corosync's own tools print it (`CS_PRI_RING_ID`).
impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:x}.{:x}", self.node.get(), self.seq))
    }
}

/// A new ring: the nodes that corosync runs on now, as far as this one sees.
///
/// It comes after the [`ConfChg`](crate::ConfChg) of the groups that the same change touched.
///
/// ```no_run
/// use std::ops::ControlFlow::{Break, Continue};
/// use cpg::{Connect, Event, Ring, RingId, TotemEvents};
///
/// let mut group = Connect::new().totem_events(TotemEvents::InitialAndChanges).join("ledger")?;
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

/// Which [`TotemConfChg`](crate::TotemConfChg) events a handle gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
        assert_eq!(RingId { seq: 0x1a, node: NodeId::new(10) }.to_string(), "a.1a");
    }
}
