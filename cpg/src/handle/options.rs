//! How to connect.

use crate::error::Result;
use crate::ffi::raw::Connection;
use crate::handle::handle::Handle;
use crate::session::flow::Flow;
use crate::session::reconnect::Reconnect;

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

/// Options of a connection, and of the membership that it turns into.
///
/// ```no_run
/// use cpg::{Connect, Flow, GroupName, Reconnect, TotemEvents};
///
/// let how = Connect::new()
///     .totem_events(TotemEvents::InitialAndChanges)
///     .flow(Flow::coalesced())
///     .reconnect(Reconnect::new());
/// let group = how.open()?.join(&GroupName::new("ledger")?)?;
/// group.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[must_use = "nothing is connected before open"]
pub struct Connect {
    pub(crate) totem: TotemEvents,
    pub(crate) flow: Flow,
    pub(crate) reconnect: Option<Reconnect>,
    pub(crate) more_handles: bool,
}

impl Connect {
    /// The options of [`Handle::connect`]: an event for each new ring, and 47 handles in a process at most.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which events about the ring the handle gets.
    pub fn totem_events(self, totem: TotemEvents) -> Self {
        Self { totem, ..self }
    }

    /// How much may be under way, and whether messages travel in packets.
    pub fn flow(self, flow: Flow) -> Self {
        Self { flow, ..self }
    }

    /// Has a group that is joined with the handle come back by itself when it has lost the daemon.
    pub fn reconnect(self, how: Reconnect) -> Self {
        Self { reconnect: Some(how), ..self }
    }

    /// Connects to the corosync daemon of this machine.
    ///
    /// A paused daemon makes this wait until it goes on (B16), and the making and closing of other handles with it.
    ///
    /// # Errors
    /// [`CsError::Library`](crate::CsError::Library) if there is no daemon, [`Access`](crate::CsError::Access) if this user
    /// may not talk to it, [`NotExist`](crate::CsError::NotExist) if its shared memory cannot be seen from here,
    /// [`NoMemory`](crate::CsError::NoMemory) if there is none, [`TryAgain`](crate::CsError::TryAgain) while the daemon is
    /// starting, which [`Group::join`](crate::Group::join) waits out.
    /// [`Error::TooManyHandles`](crate::Error::TooManyHandles) for the 48th handle of the process, and
    /// [`Error::NoDescriptors`](crate::Error::NoDescriptors).
    #[doc(alias = "cpg_initialize")]
    #[doc(alias = "cpg_model_initialize")]
    #[doc(alias = "CPG_MODEL_V1")]
    pub fn open(self) -> Result<Handle> {
        Connection::open(self).map(|connection| Handle::new(connection, self))
    }
}
