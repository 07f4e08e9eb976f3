//! The options of a connection.

use std::time::{Duration, Instant};

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
    /// None is [`TIMEOUT`].
    request_timeout: Option<Duration>,
    waits_for_daemon: bool,
}

/// The time limit of a request where the program sets none: longer than a ring takes to form with corosync's default timeouts.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than any program runs, and within what clocks can say.
const YEARS: Duration = Duration::from_secs(1 << 30);

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

    /// Also trusts a corosync daemon that runs as this user ([B19](crate::facts#b19)): the number, as this process's user
    /// namespace has it.
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

    /// Lets this connection be made though 47 handles are open ([A13](crate::facts#a13)).
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

    /// Sets the time limit of each request that waits for the daemon: 10 seconds unless it is set, none with [`Duration::MAX`].
    ///
    /// It holds for each connection that the options are used for, and wherever no deadline is given: for connecting, joining and
    /// leaving, for questions to the [`Daemon`](crate::Daemon), for the members of a group, for closing, and for zero-copy
    /// buffers. A message above the atomic size has a millisecond more for each kibibyte.
    ///
    /// A daemon that is paused or starved answers no request, and libcpg waits for it without a limit
    /// ([B16](crate::facts#b16)). When the time is over the call returns [`Error::TimedOut`](crate::Error::TimedOut), and a
    /// thread of this crate goes on waiting for the answer. The
    /// membership stands meanwhile: events are dispatched, short messages are sent or queued. Another request waits for its own
    /// time, and then is [`Error::CallOutstanding`](crate::Error::CallOutstanding). When the daemon answers, requests are made
    /// as before; when it dies, that is a loss like any other.
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

    /// Returns the end of the time limit of a request that begins now.
    pub(crate) fn deadline(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.timeout()).unwrap_or(now + YEARS)
    }

    /// Waits for a daemon that is not there yet, when connecting and when joining in one step: until the deadline, and where none
    /// is given for ever.
    ///
    /// Without it a connect without a daemon fails at once. With it, it is tried again with pauses of 20 to 500 milliseconds
    /// while waiting can mend what is wrong, which is what [`Reconnect`](crate::Reconnect) waits for; a daemon that dies again
    /// before the group is joined is waited for too. Other errors are returned at once.
    ///
    /// ```no_run
    /// use std::time::{Duration, Instant};
    /// use cpg::{ConnectOptions, Group, Reconnect, Session};
    ///
    /// let wait = ConnectOptions::new().wait_for_daemon();
    /// let soon = Instant::now() + Duration::from_secs(60);
    /// let group: Group = wait.join_until("ledger", soon)?;
    /// // For ever, and again after each loss.
    /// let session = Session::options().connect_options(wait).reconnect(Reconnect::new()).join("chat")?;
    /// # Ok::<(), cpg::Error>(())
    /// ```
    pub fn wait_for_daemon(self) -> Self {
        Self { waits_for_daemon: true, ..self }
    }

    pub(crate) fn waits_for_daemon(&self) -> bool {
        self.waits_for_daemon
    }

    /// The same without [`more_handles`](Self::more_handles), whose contract is about one connection.
    pub(crate) fn again(self) -> Self {
        Self { more_handles: false, ..self }
    }
}
