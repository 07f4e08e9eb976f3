//! A connection that has not joined a group.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::dispatch::limits::{Dispatch, Work as _};
use crate::dispatch::source::Source;
use crate::error::Result;
use crate::event::event::Event;
use crate::event::ring::TotemConfChg;
use crate::ffi::raw::{Connection, Events, Kind};
use crate::ffi::trampoline;
use crate::flow_control::FlowControl;
use crate::group_name::GroupName;
use crate::handle::listing::{Groups, Processes};
use crate::handle::options::Connect;
use crate::member::{Member, NodeId};

/// A connection to corosync: what is known of nodes and groups can be asked, and one group can be
/// [joined](Self::join).
///
/// Each request waits for the daemon's answer without a limit (B16); under flow control it is refused with
/// [`CsError::TryAgain`](crate::CsError::TryAgain). A handle can move to another thread, and cannot be used by two at once
/// (A4, A5):
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<cpg::Handle>();
/// ```
///
/// Dropping it closes it. In a child of the process that connected, every call is refused and dropping does nothing (A7).
///
/// ```no_run
/// use cpg::{GroupName, Handle};
///
/// let handle = Handle::connect()?;
/// println!("node {}, {} bytes at once", handle.local_node()?, handle.max_atomic_message_size());
/// println!("flow control: {:?}", handle.flow_control()?);
/// for group in handle.groups()? {
///     let group = group?;
///     println!("{group}: {:?}", handle.members_of(&group)?);
/// }
/// handle.close()?;
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_handle_t")]
#[derive(Debug)]
pub struct Handle {
    connection: Connection,
    events: Events,
    how: Connect,
}

impl Handle {
    pub(crate) fn new(connection: Connection, how: Connect) -> Self {
        let events = connection.events();
        Self { connection, events, how }
    }

    /// The options that it was made with.
    pub(crate) fn how(&self) -> Connect {
        self.how
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Connects to the corosync daemon of this machine; [`Connect`] has the options.
    ///
    /// # Errors
    /// Those of [`Connect::open`].
    pub fn connect() -> Result<Self> {
        Connect::new().open()
    }

    /// The node that this machine is.
    ///
    /// # Errors
    /// Those of a request: the connection is lost, or flow control refuses it for now.
    #[doc(alias = "cpg_local_get")]
    pub fn local_node(&self) -> Result<NodeId> {
        self.connection.local_get()
    }

    /// The longest message, in bytes, that is sent in one piece: a mebibyte less a kibibyte.
    ///
    /// Longer ones are sent in parts, and are delivered whole or not at all (B8).
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.connection.max_atomic()
    }

    /// What libcpg says of flow control, which is always [`FlowControl::Disabled`] (B12).
    ///
    /// # Errors
    /// If the handle belongs to the parent of this process.
    #[doc(alias = "cpg_flow_control_state_get")]
    pub fn flow_control(&self) -> Result<FlowControl> {
        self.connection.flow_control()
    }

    /// The names of all groups in the cluster, each once.
    ///
    /// # Errors
    /// Those of a request, and [`Error::TooManyIterations`](crate::Error::TooManyIterations).
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "CPG_ITERATION_NAME_ONLY")]
    pub fn groups(&self) -> Result<Groups<'_>> {
        Groups::open(&self.connection)
    }

    /// The processes of all groups in the cluster.
    ///
    /// # Errors
    /// As [`groups`](Self::groups).
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "CPG_ITERATION_ALL")]
    pub fn processes(&self) -> Result<Processes<'_>> {
        Processes::open(&self.connection, Kind::All)
    }

    /// The processes of one group, one by one: however many there are.
    ///
    /// # Errors
    /// As [`groups`](Self::groups).
    #[doc(alias = "cpg_iteration_initialize")]
    #[doc(alias = "CPG_ITERATION_ONE_GROUP")]
    pub fn processes_of(&self, group: &GroupName) -> Result<Processes<'_>> {
        Processes::open(&self.connection, Kind::OneGroup(group))
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
        self.connection.members(group)
    }

    /// Handles the events of a handle that is in no group: changes of the ring.
    ///
    /// They come to every handle that asked for [`TotemEvents`](crate::TotemEvents), and wait in the daemon's memory until
    /// they are dispatched (B14). See [`Group::dispatch`](crate::Group::dispatch) for what it returns.
    ///
    /// # Panics
    /// As [`Group::dispatch`](crate::Group::dispatch).
    ///
    /// # Errors
    /// As [`Group::dispatch`](crate::Group::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn dispatch(
        &mut self,
        how: Dispatch,
        mut handler: impl FnMut(&Handle, TotemConfChg<'_>),
    ) -> Result<usize> {
        let nobody = Member::new(NodeId::new(0), 0);
        let (this, count, handler) = (&*self, Cell::new(0), RefCell::new(&mut handler));
        let take = |event: Event<'_>| {
            count.set(count.get() + 1);
            if let Event::TotemConfChg(change) = event {
                (handler.borrow_mut())(this, change);
            }
        };
        trampoline::with(&this.events, nobody, &take, &|| Ok(()), |pump| {
            how.run(&Source::plain(pump, &count))
        })
    }

    /// Closes the connection, as dropping it does, and says how that went.
    ///
    /// # Errors
    /// What the daemon answered; the handle is gone in any case.
    #[doc(alias = "cpg_finalize")]
    pub fn close(self) -> Result<()> {
        drop(self.events);
        self.connection.close()
    }
}

/// The descriptor to wait on in an event loop, non-blocking and close-on-exec.
///
/// It is readable (level-triggered) while events wait, and when the daemon has gone, which the next dispatch then says.
impl AsFd for Handle {
    #[doc(alias = "cpg_fd_get")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

impl AsRawFd for Handle {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
