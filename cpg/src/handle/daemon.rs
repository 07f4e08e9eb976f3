//! Questions to the daemon.

use std::time::Instant;

use crate::error::{Error, Result};
use crate::ffi::call::Requests;
use crate::ffi::iteration::{Entry, Kind};
use crate::ffi::requests::RequestHalf;
use crate::flow_control::FlowControl;
use crate::group_name::{GroupName, IntoGroupName};
use crate::handle::backoff::{Pauses, retry};
use crate::handle::process::Process;
use crate::member::{Member, NodeId};
use crate::os::patience::Patience;

/// The daemon of this node, which answers questions about nodes, groups and members.
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
///
/// A [`Handle`](crate::Handle) dereferences to a `Daemon`, and [`Group::daemon`](crate::Group::daemon) returns one.
///
/// Each request waits for the daemon's answer, up to the [time limit](crate::ConnectOptions::request_timeout) of the connection
/// ([B16](crate::facts#b16)). A thread of this crate makes the request, so that the caller can go on without an answer when the
/// time is over. Under flow control the daemon refuses requests with [`CsError::TryAgain`](crate::CsError::TryAgain).
#[derive(Debug)]
pub struct Daemon {
    requests: Requests,
}

impl Daemon {
    pub(super) fn new(requests: Requests) -> Self {
        Self { requests }
    }

    #[inline]
    pub(crate) fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Closes the handle, unless its other half keeps it open, and returns the result of closing.
    pub(crate) fn close(self, patience: &Patience<'_>) -> Result<()> {
        self.requests.close(patience)
    }

    /// Returns true if the daemon answers a question before the deadline. False means that the daemon is paused, starved, or
    /// under flow control all the time.
    ///
    /// This method is for the loop of a watchdog. The first call starts a thread, which the connection keeps, so later calls
    /// start no thread. If an earlier request is still outstanding, the method waits for the answer to that request instead of
    /// making another. If the deadline has passed already, an answer that has come in the meantime still counts.
    ///
    /// ```no_run
    /// use std::time::{Duration, Instant};
    /// use cpg::Handle;
    ///
    /// let daemon = Handle::connect()?;
    /// while daemon.answers_until(Instant::now() + Duration::from_secs(2))? {
    ///     // Here the watchdog is told that all is well.
    ///     std::thread::sleep(Duration::from_secs(1));
    ///     # if true { return Ok(()) }
    /// }
    /// eprintln!("corosync has not answered for 2 seconds");
    /// # Ok::<(), cpg::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_connection_lost`] if the daemon has gone, which is noticed at once, and [`Error::Io`] if no thread can be
    /// started.
    #[doc(alias = "cpg_local_get")]
    pub fn answers_until(&self, deadline: Instant) -> Result<bool> {
        let (requests, patience) = (&self.requests, Patience::from(deadline));
        requests.keep_worker();
        let answered = match requests.busy() {
            Some(busy) => busy.wait("cpg_local_get", &patience),
            None => retry(&patience, Pauses::REQUEST, || {
                requests.ask_by("cpg_local_get", &patience, RequestHalf::local_get).map(drop)
            }),
        };
        match answered {
            Ok(()) => Ok(true),
            Err(error) if error.is_retryable() || matches!(error, Error::TimedOut { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the node that this machine is. This is a request to the daemon.
    ///
    /// # Errors
    /// - An error for which [`Error::is_connection_lost`] is true, if the daemon has gone.
    /// - A [retryable](Error::is_retryable) error under flow control.
    /// - [`Error::TimedOut`] when the [time limit](crate::ConnectOptions::request_timeout) is over.
    /// - [`Error::CallOutstanding`] while an earlier request has not been answered.
    /// - [`Error::Io`] if no thread can be started.
    #[doc(alias = "cpg_local_get")]
    pub fn local_node(&self) -> Result<NodeId> {
        self.requests.ask("cpg_local_get", &self.requests.patience(), RequestHalf::local_get)
    }

    /// Returns the length in bytes of the longest message that is sent in one piece: a mebibyte less a kibibyte.
    ///
    /// A longer message is sent in parts, and delivered whole or not at all ([B8](crate::facts#b8)).
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.requests.max_atomic()
    }

    /// Returns libcpg's state of flow control, which is always [`FlowControl::Disabled`] ([B12](crate::facts#b12)). The daemon
    /// is not asked.
    ///
    /// # Errors
    /// [`Error::Forked`] if the parent of this process made the handle.
    #[doc(alias = "cpg_flow_control_state_get")]
    pub fn flow_control(&self) -> Result<FlowControl> {
        self.requests.flow_control()
    }

    /// Returns the names of all groups, each name once, as the daemon of this node knew them at one moment. In a partition
    /// these are the groups of this part of the cluster.
    ///
    /// A list is read entry by entry. If the daemon dies meanwhile, that can wait forever inside libcpg
    /// ([A19](crate::facts#a19)). So a separate thread reads each list, on a separate connection to the daemon, and the caller
    /// can leave that thread behind.
    ///
    /// - A list costs a thread, a connection ([A13](crate::facts#a13)), and two requests per entry.
    /// - The process reads one list at a time. A list holds up no sends, no dispatches and no other requests.
    /// - The [time limit](crate::ConnectOptions::request_timeout) is for the whole list. Under flow control the first request
    ///   of a list is refused at once. Later requests of the same list are retried, for up to 10 seconds.
    /// - If the daemon is killed at the wrong moment, the thread, its connection (3 MiB) and one of the 47 handles of the
    ///   process are never given back.
    ///
    /// The connection is made in the network namespace of the calling thread, so the list comes from the daemon of that
    /// namespace.
    ///
    /// # Errors
    /// - Those of a request, as for [`local_node`](Self::local_node).
    /// - Those of [connecting](crate::ConnectOptions::connect). If the connection would be the 48th of the process, this is
    ///   [`Error::TooManyHandles`].
    /// - [`Error::NoList`] if the connection for the list is lost, and the connection of this handle still works.
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "cpg_iteration_next")]
    #[doc(alias = "cpg_iteration_finalize")]
    #[doc(alias = "cpg_iteration_handle_t")]
    #[doc(alias = "cpg_iteration_type_t")]
    #[doc(alias = "CPG_ITERATION_NAME_ONLY")]
    pub fn groups(&self) -> Result<Vec<GroupName>> {
        Ok(self.list(Kind::Names)?.into_iter().map(|(group, _)| group).collect())
    }

    /// Returns the processes of all groups, as the daemon of this node knew them at one moment.
    ///
    /// The costs and the time limit are those of [`groups`](Self::groups).
    ///
    /// # Errors
    /// Those of [`groups`](Self::groups).
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "cpg_iteration_next")]
    #[doc(alias = "cpg_iteration_finalize")]
    #[doc(alias = "CPG_ITERATION_ALL")]
    pub fn processes(&self) -> Result<Vec<Process>> {
        self.list_processes(Kind::All)
    }

    /// Returns all processes of one group, as of one moment.
    ///
    /// The costs and the time limit are those of [`groups`](Self::groups).
    ///
    /// # Errors
    /// Those of [`groups`](Self::groups), and [`Error::InvalidName`] if `group` is not a valid name.
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "cpg_iteration_next")]
    #[doc(alias = "cpg_iteration_finalize")]
    #[doc(alias = "CPG_ITERATION_ONE_GROUP")]
    pub fn processes_of(&self, group: impl IntoGroupName) -> Result<Vec<Process>> {
        self.list_processes(Kind::OneGroup(group.into_group_name()?))
    }

    fn list(&self, kind: Kind) -> Result<Vec<Entry>> {
        self.requests.beside()?.all(kind, &self.requests.patience())
    }

    fn list_processes(&self, kind: Kind) -> Result<Vec<Process>> {
        let entries = self.list(kind)?.into_iter();
        Ok(entries.map(|(group, member)| Process::new(group, member)).collect())
    }

    /// Returns all members of a group, also of a group that this process has not joined. The list is empty if there is no such
    /// group.
    ///
    /// The members are read one by one, at the cost of [`processes_of`](Self::processes_of). The C function
    /// `cpg_membership_get` makes one request instead, but a group of more than 384 members ends the daemon then, because its
    /// reply has room for no more (`exec/cpg.c`). [`Link::members`](crate::Link::members) makes that request for groups that
    /// are known to be small.
    ///
    /// # Errors
    /// Those of [`processes_of`](Self::processes_of).
    #[doc(alias = "cpg_membership_get")]
    pub fn members_of(&self, group: impl IntoGroupName) -> Result<Vec<Member>> {
        self.requests.beside()?.members(&group.into_group_name()?, &self.requests.patience())
    }
}
