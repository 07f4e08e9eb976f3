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

/// The daemon of this node, for questions about nodes, groups and members.
///
/// A [`Handle`](crate::Handle) dereferences to it, and a [`Group`](crate::Group::daemon) gives it.
///
/// Each request waits for the daemon's answer, up to the [time limit](crate::ConnectOptions::request_timeout) of the connection
/// ([B16](crate::facts#b16)), and is made by a thread that can be left behind; under flow control it is refused with
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

    /// Closes the handle, unless its other half keeps it open, and says how that went.
    pub(crate) fn close(self, patience: &Patience<'_>) -> Result<()> {
        self.requests.close(patience)
    }

    /// Returns true if the daemon answers a question before the deadline, and false if it does not: it is paused, starved, or
    /// under flow control all the time.
    ///
    /// It is made for the loop of a watchdog: the first call starts a thread, which the connection then keeps, so that no further
    /// call starts one. While an earlier request is outstanding its answer is waited for. One that has passed still
    /// sees an answer that has come.
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
    /// The connection is lost, which is noticed at once; there is no thread to be had.
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

    /// Asks for the node that this machine is.
    ///
    /// # Errors
    /// Those of a request: the connection is lost, flow control refuses it for now, [`Error::TimedOut`] when its
    /// [time limit](crate::ConnectOptions::request_timeout) is over, [`Error::CallOutstanding`] while an earlier one has not been
    /// answered, and [`Error::Io`] where no thread is to be had.
    #[doc(alias = "cpg_local_get")]
    pub fn local_node(&self) -> Result<NodeId> {
        self.requests.ask("cpg_local_get", &self.requests.patience(), RequestHalf::local_get)
    }

    /// The longest message, in bytes, that is sent in one piece: a mebibyte less a kibibyte.
    ///
    /// Longer ones are sent in parts, and are delivered whole or not at all ([B8](crate::facts#b8)).
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.requests.max_atomic()
    }

    /// Returns libcpg's state of flow control, which is always [`FlowControl::Disabled`] ([B12](crate::facts#b12)). It does not
    /// ask the daemon.
    ///
    /// # Errors
    /// If the handle belongs to the parent of this process.
    #[doc(alias = "cpg_flow_control_state_get")]
    pub fn flow_control(&self) -> Result<FlowControl> {
        self.requests.flow_control()
    }

    /// The names of all groups in the cluster, each once, as of one moment.
    ///
    /// Lists are read entry by entry, which for a daemon that dies meanwhile can wait for ever inside libcpg
    /// ([A19](crate::facts#a19)). So each is read by a thread that can be left behind, on a connection of its own to the
    /// daemon, one list at a time in the
    /// process: it costs a thread and a connection ([A13](crate::facts#a13)), and two requests per entry. The
    /// [time limit](crate::ConnectOptions::request_timeout) is that of the whole list, and no lock is held meanwhile that sends,
    /// requests or dispatches of the process need. A daemon that is killed at the wrong moment keeps that thread, the connection (3 MiB) and one of the 47 handles of the
    /// process for good.
    ///
    /// The connection is made by the calling thread: to the daemon of its network namespace.
    ///
    /// # Errors
    /// Those of a request and of [connecting](crate::ConnectOptions::connect); for the 48th connection that is
    /// [`Error::TooManyHandles`]. [`Error::NoList`] if the connection for the
    /// list is lost and this one stands, and [`Error::Io`]. Flow control refuses a list at its beginning,
    /// and holds it up for 10 seconds at most after that.
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "cpg_iteration_next")]
    #[doc(alias = "cpg_iteration_finalize")]
    #[doc(alias = "cpg_iteration_handle_t")]
    #[doc(alias = "cpg_iteration_type_t")]
    #[doc(alias = "CPG_ITERATION_NAME_ONLY")]
    pub fn groups(&self) -> Result<Vec<GroupName>> {
        Ok(self.list(Kind::Names)?.into_iter().map(|(group, _)| group).collect())
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
    /// As [`groups`](Self::groups), and [`Error::InvalidName`] for what is no name.
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
        self.requests.beside()?.members(&group.into_group_name()?, &self.requests.patience())
    }
}
