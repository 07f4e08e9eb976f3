//! The options of a connection.

use std::time::{Duration, Instant};

use crate::event::ring::TotemEvents;

/// The options of a connection to the daemon.
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
    /// `None` means [`TIMEOUT`].
    request_timeout: Option<Duration>,
    waits_for_daemon: bool,
}

/// The time limit of a request if the program sets none. It is longer than a ring takes to form with corosync's default timeouts.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A time longer than any program runs, and within the range of the clocks.
const YEARS: Duration = Duration::from_secs(1 << 30);

impl ConnectOptions {
    /// Makes the default options: an event for each new ring, and at most 47 handles in a process.
    pub fn new() -> Self {
        Self::default()
    }

    /// Selects the events about the ring that the handle gets.
    pub fn totem_events(self, totem: TotemEvents) -> Self {
        Self { totem, ..self }
    }

    /// Also trusts a daemon that runs as this user ([B19](crate::facts#b19)). The number is that of the user in the user
    /// namespace of this process.
    ///
    /// Without this option, a connection is refused unless the daemon runs as root or as the effective user of this process. The
    /// option names one user; a later call replaces an earlier one. It holds for each connection that is made with these options,
    /// including those of a session that [reconnects](crate::Reconnect).
    ///
    /// If the daemon's user has no number in this user namespace, the number is the overflow number (65534, see
    /// `user_namespaces(7)`). It stands for every user outside of the namespace. Allow it only if no other user can listen in
    /// this network namespace.
    ///
    /// ```no_run
    /// use cpg::{ConnectOptions, Error};
    ///
    /// // This daemon runs as the user with the number 989.
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

    /// Allows this connection even if 47 handles are open ([A13](crate::facts#a13)).
    ///
    /// libcpg keeps its handles in a table. The table moves in memory with the 48th handle, and with every 16th after that, while
    /// other threads read it without a lock.
    ///
    /// # Safety
    /// While [`connect`](Self::connect) runs with these options, no other thread of the process may be in any function of libcpg:
    /// not through this crate (a send, a dispatch, or a request of any handle), and not through other code.
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

    /// Sets the time limit of each request that waits for the daemon. The default is 10 seconds. [`Duration::MAX`] means no
    /// limit.
    ///
    /// Each connection that is made with these options uses the limit in every call that takes no deadline: connecting,
    /// joining, leaving and closing, questions to the [`Daemon`](crate::Daemon), the members of a group, and zero-copy buffers.
    /// A message above the atomic size gets one more millisecond per KiB.
    ///
    /// A daemon that is paused or starved answers no request, and libcpg waits for it without a limit ([B16](crate::facts#b16)).
    /// When the time limit has passed, the call returns [`Error::TimedOut`](crate::Error::TimedOut), and a thread of this crate
    /// goes on waiting for the answer. **The membership continues meanwhile**: events are dispatched, and short messages are
    /// sent or queued. Another request waits for its own time limit, and then returns
    /// [`Error::CallOutstanding`](crate::Error::CallOutstanding). When the daemon answers, requests work as before. If the
    /// daemon dies, the connection is lost, as at any other time.
    ///
    /// ```no_run
    /// use std::time::{Duration, Instant};
    /// use cpg::{ConnectOptions, Error};
    ///
    /// let group = ConnectOptions::new().request_timeout(Duration::from_secs(2)).join("ledger")?;
    /// match group.members() {
    ///     Err(Error::TimedOut { .. }) => eprintln!("corosync does not answer"),
    ///     members => println!("{:?}", members?),
    /// }
    /// # Ok::<(), cpg::Error>(())
    /// ```
    pub fn request_timeout(self, timeout: Duration) -> Self {
        Self { request_timeout: Some(timeout), ..self }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.request_timeout.unwrap_or(TIMEOUT)
    }

    /// Returns the deadline of a request that begins now.
    pub(crate) fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.timeout()).unwrap_or(now + YEARS)
    }

    /// Makes connecting and joining wait for a daemon that is not running yet. The wait ends at the deadline; if the call has no
    /// deadline, the wait has no limit.
    ///
    /// Without this option, connecting fails at once if no daemon runs. With it, the call tries again, with pauses of 20 to 500
    /// milliseconds, while waiting can help; [`Reconnect`](crate::Reconnect) has the list of errors for which it cannot help. If
    /// the daemon dies again before the group is joined, the call waits for it again. An error for which waiting cannot help is
    /// returned at once.
    ///
    /// ```no_run
    /// use std::time::{Duration, Instant};
    /// use cpg::{ConnectOptions, Group, Reconnect, Session};
    ///
    /// let wait = ConnectOptions::new().wait_for_daemon();
    /// let soon = Instant::now() + Duration::from_secs(60);
    /// let group: Group = wait.join_until("ledger", soon)?;
    /// // Without a limit, and again after each loss.
    /// let session = Session::options().connect_options(wait).reconnect(Reconnect::new()).join("chat")?;
    /// # Ok::<(), cpg::Error>(())
    /// ```
    pub fn wait_for_daemon(self) -> Self {
        Self { waits_for_daemon: true, ..self }
    }

    pub(crate) fn waits_for_daemon(&self) -> bool {
        self.waits_for_daemon
    }

    /// Returns the same options without [`more_handles`](Self::more_handles), whose safety contract covers one connection only.
    pub(crate) fn again(self) -> Self {
        Self { more_handles: false, ..self }
    }
}
