//! The options of a connection.

use crate::event::ring::TotemEvents;

/// The options of a connection.
///
/// ```no_run
/// use cpg::{ConnectOptions, TotemEvents};
///
/// let group = ConnectOptions::new().totem_events(TotemEvents::InitialAndChanges).join("ledger")?;
/// group.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "nothing is connected before open or join"]
pub struct ConnectOptions {
    pub(super) totem: TotemEvents,
    pub(super) more_handles: bool,
    pub(super) daemon_uid: Option<u32>,
}

impl ConnectOptions {
    /// Makes the options of [`Handle::connect`](crate::Handle::connect): an event for each new ring, and 47 handles in a process
    /// at most.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the events about the ring that the handle gets.
    pub fn totem_events(self, totem: TotemEvents) -> Self {
        Self { totem, ..self }
    }

    /// Also trusts a corosync daemon that runs as this user (B19): the number, as this process's user namespace has it.
    ///
    /// Without it a connection to a daemon is refused unless root or the effective user of this process runs it. One
    /// user can be named: of several calls the last counts. It is for each connection that the options are used for, also those of a session
    /// that [reconnects](crate::Reconnect).
    ///
    /// In a user namespace without the daemon's user the number is the overflow number (65534, see `user_namespaces(7)`), which
    /// stands for every user outside: allow it only where nobody else can listen in this network namespace.
    ///
    /// ```no_run
    /// use cpg::{ConnectOptions, Error};
    ///
    /// // A daemon that runs as the user with the number 989.
    /// let group = match ConnectOptions::new().allow_daemon_uid(989).join("ledger") {
    ///     Err(Error::UntrustedDaemon { uid, .. }) => panic!("{uid} listens as corosync"),
    ///     joined => joined?,
    /// };
    /// group.leave()?;
    /// # Ok::<(), cpg::Error>(())
    /// ```
    pub fn allow_daemon_uid(self, uid: u32) -> Self {
        Self { daemon_uid: Some(uid), ..self }
    }

    /// Lets this connection be made though 47 handles are open (A13).
    ///
    /// libcpg keeps its handles in a table that moves with the 48th handle, and with every 16th after that, while
    /// other threads read it without a lock.
    ///
    /// # Safety
    /// No other thread of the process may be in any function of libcpg while [`connect`](Self::connect) runs on the result:
    /// neither through this crate (a send, a dispatch, a request of any handle) nor through other code.
    ///
    /// ```no_run
    /// use cpg::{ConnectOptions, Handle};
    ///
    /// let handles = (0..47).map(|_| Handle::connect()).collect::<cpg::Result<Vec<_>>>()?;
    /// assert!(matches!(Handle::connect(), Err(cpg::Error::TooManyHandles { open: 47 })));
    /// // SAFETY: this is the only thread that uses libcpg.
    /// let one_more = unsafe { ConnectOptions::new().more_handles() }.connect()?;
    /// # drop((handles, one_more));
    /// # Ok::<(), cpg::Error>(())
    /// ```
    pub unsafe fn more_handles(self) -> Self {
        Self { more_handles: true, ..self }
    }

    /// The same without [`more_handles`](Self::more_handles), whose contract is about one connection.
    pub(crate) fn again(self) -> Self {
        Self { more_handles: false, ..self }
    }
}
