//! Questions to the daemon.

use crate::error::Result;
use crate::ffi::iteration::Kind;
use crate::ffi::requests::RequestHalf;
use crate::flow_control::FlowControl;
use crate::group_name::{GroupName, IntoGroupName};
use crate::handle::process::Process;
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
/// println!("node {}: {:?}", daemon.local_node()?, daemon.members_of("chat")?);
/// println!("{} bytes at once, flow control {:?}", daemon.max_atomic_message_size(), daemon.flow_control()?);
/// for name in daemon.groups()? {
///     println!("{name}: {} processes", daemon.processes_of(&name)?.len());
/// }
/// for process in daemon.processes()? {
///     println!("{process:?}");
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

    /// Asks for the node that this machine is.
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

    /// Returns libcpg's state of flow control, which is always [`FlowControl::Disabled`] (B12). It does not ask the daemon.
    ///
    /// # Errors
    /// If the handle belongs to the parent of this process.
    #[doc(alias = "cpg_flow_control_state_get")]
    pub fn flow_control(&self) -> Result<FlowControl> {
        self.half.flow_control()
    }

    /// The names of all groups in the cluster, each once, as of one moment.
    ///
    /// Lists are read entry by entry, which for a daemon that dies meanwhile can wait for ever inside libcpg (A19). So
    /// each is read by a thread that can be left behind, on a connection of its own to the daemon, one list at a time in the
    /// process: it costs a thread and a connection (A13), and two requests per entry. It waits for the daemon's answers without a
    /// limit while the daemon lives (B16), and holds no lock meanwhile that sends, requests or dispatches of the process need. A
    /// daemon that is killed at the wrong moment keeps that thread, the connection (3 MiB) and one of the 47 handles of the
    /// process for good.
    ///
    /// The connection is made by the calling thread: to the daemon of its network namespace.
    ///
    /// # Errors
    /// Those of a request and of [connecting](crate::ConnectOptions::connect); for the 48th connection that is
    /// [`Error::TooManyHandles`](crate::Error::TooManyHandles). [`Error::NoList`](crate::Error::NoList) if the connection for the
    /// list is lost and this one stands, and [`Error::Io`](crate::Error::Io). Flow control refuses a list at its beginning,
    /// and holds it up for 10 seconds at most after that.
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "cpg_iteration_next")]
    #[doc(alias = "cpg_iteration_finalize")]
    #[doc(alias = "cpg_iteration_handle_t")]
    #[doc(alias = "cpg_iteration_type_t")]
    #[doc(alias = "CPG_ITERATION_NAME_ONLY")]
    pub fn groups(&self) -> Result<Vec<GroupName>> {
        Ok(self.half.list(Kind::Names)?.into_iter().map(|(group, _)| group).collect())
    }

    /// The processes of all groups in the cluster, as of one moment.
    ///
    /// It costs and waits as [`groups`](Self::groups) does.
    ///
    /// # Errors
    /// As [`groups`](Self::groups).
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "cpg_iteration_next")]
    #[doc(alias = "cpg_iteration_finalize")]
    #[doc(alias = "CPG_ITERATION_ALL")]
    pub fn processes(&self) -> Result<Vec<Process>> {
        self.list_processes(Kind::All)
    }

    /// The processes of one group, however many there are, as of one moment.
    ///
    /// It costs and waits as [`groups`](Self::groups) does.
    ///
    /// # Errors
    /// As [`groups`](Self::groups), and [`Error::InvalidName`](crate::Error::InvalidName) for what is no name.
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "cpg_iteration_next")]
    #[doc(alias = "cpg_iteration_finalize")]
    #[doc(alias = "CPG_ITERATION_ONE_GROUP")]
    pub fn processes_of(&self, group: impl IntoGroupName) -> Result<Vec<Process>> {
        self.list_processes(Kind::OneGroup(group.into_group_name()?))
    }

    fn list_processes(&self, kind: Kind) -> Result<Vec<Process>> {
        let entries = self.half.list(kind)?.into_iter();
        Ok(entries.map(|(group, member)| Process::new(group, member)).collect())
    }

    /// The members of a group, joined or not, however many there are; none if there is no such group.
    ///
    /// They are read one by one, as [`processes_of`](Self::processes_of) does it, and at the same cost. `cpg_membership_get` asks
    /// once, but a group of more than 384 then ends the daemon, whose reply has room for no more (`exec/cpg.c`); it is used where
    /// a group is known to be small, by [`Link::members`](crate::Link::members).
    ///
    /// # Errors
    /// As [`processes_of`](Self::processes_of).
    #[doc(alias = "cpg_membership_get")]
    pub fn members_of(&self, group: impl IntoGroupName) -> Result<Vec<Member>> {
        self.half.all_members(&group.into_group_name()?)
    }
}
