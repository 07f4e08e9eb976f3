//! Questions to the daemon.

use crate::error::Result;
use crate::ffi::iteration::Kind;
use crate::ffi::requests::RequestHalf;
use crate::flow_control::FlowControl;
use crate::group_name::GroupName;
use crate::handle::listing::{Groups, Processes};
use crate::member::{Member, NodeId};

/// The daemon of this node, for questions about nodes, groups and members.
///
/// A [`Handle`](crate::Handle) dereferences to it, and a [`Group`](crate::Group::daemon) gives it.
///
/// Each request waits for the daemon's answer without a limit (B16); under flow control it is refused with
/// [`CsError::TryAgain`](crate::CsError::TryAgain).
///
/// ```no_run
/// use cpg::{Daemon, Group};
///
/// let group = Group::join("ledger")?;
/// let daemon: &Daemon = group.daemon();
/// println!("node {}: {:?}", daemon.local_node()?, daemon.members_of(group.name())?);
/// println!("{} bytes at once, flow control {:?}", daemon.max_atomic_message_size(), daemon.flow_control()?);
/// for name in daemon.groups()? {
///     let name = name?;
///     println!("{name}: {} processes", daemon.processes_of(&name)?.count());
/// }
/// for process in daemon.processes()? {
///     println!("{:?}", process?);
/// }
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug)]
pub struct Daemon {
    pub(super) half: RequestHalf,
}

impl Daemon {
    /// The half of the connection that makes the requests.
    #[inline]
    pub(crate) fn half(&self) -> &RequestHalf {
        &self.half
    }

    /// Closes the handle, unless its other half keeps it open, and says how that went.
    pub(crate) fn close(self) -> Result<()> {
        self.half.close()
    }

    /// The node that this machine is.
    ///
    /// # Errors
    /// Those of a request: the connection is lost, or flow control refuses it for now.
    #[doc(alias = "cpg_local_get")]
    pub fn local_node(&self) -> Result<NodeId> {
        self.half.local_get()
    }

    /// The longest message, in bytes, that is sent in one piece: a mebibyte less a kibibyte.
    ///
    /// Longer ones are sent in parts, and are delivered whole or not at all (B8).
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.half.max_atomic()
    }

    /// What libcpg says of flow control, which is always [`FlowControl::Disabled`] (B12).
    ///
    /// # Errors
    /// If the handle belongs to the parent of this process.
    #[doc(alias = "cpg_flow_control_state_get")]
    pub fn flow_control(&self) -> Result<FlowControl> {
        self.half.flow_control()
    }

    /// The names of all groups in the cluster, each once.
    ///
    /// # Errors
    /// Those of a request, and [`Error::TooManyIterations`](crate::Error::TooManyIterations).
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "CPG_ITERATION_NAME_ONLY")]
    pub fn groups(&self) -> Result<Groups<'_>> {
        Groups::open(&self.half)
    }

    /// The processes of all groups in the cluster.
    ///
    /// # Errors
    /// As [`groups`](Self::groups).
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "CPG_ITERATION_ALL")]
    pub fn processes(&self) -> Result<Processes<'_>> {
        Processes::open(&self.half, Kind::All)
    }

    /// The processes of one group, one by one: however many there are.
    ///
    /// # Errors
    /// As [`groups`](Self::groups).
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "CPG_ITERATION_ONE_GROUP")]
    pub fn processes_of(&self, group: &GroupName) -> Result<Processes<'_>> {
        Processes::open(&self.half, Kind::OneGroup(group))
    }

    /// The members of a group, joined or not, however many there are; none if there is no such group.
    ///
    /// They are read one by one, as [`processes_of`](Self::processes_of) does it. `cpg_membership_get` asks once, but a group of
    /// more than 384 then ends the daemon, whose reply has room for no more (`exec/cpg.c`); it is used where a group is
    /// known to be small, by [`Link::members`](crate::Link::members).
    ///
    /// # Errors
    /// As [`processes_of`](Self::processes_of).
    #[doc(alias = "cpg_membership_get")]
    pub fn members_of(&self, group: &GroupName) -> Result<Vec<Member>> {
        self.half.first_members(group, usize::MAX)
    }
}
