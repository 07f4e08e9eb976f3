//! A connection that has not joined a group.

use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

use crate::dispatch::limits::Limits;
use crate::dispatch::plain::Plain;
use crate::dispatch::run::{Progress, run};
use crate::error::{Error, Result};
use crate::event::event::Event;
use crate::event::ring::Ring;
use crate::ffi::connection::connect;
use crate::ffi::events::EventHalf;
use crate::ffi::options::ConnectOptions;
use crate::handle::backoff::{Pauses, retry, retry_if};
use crate::handle::daemon::Daemon;
use crate::member::{Member, NodeId};
use crate::os::patience::Patience;

/// A connection to corosync, which can ask about nodes and groups, and can [join](Self::join) one group.
///
/// ```no_run
/// use cpg::{GroupName, Handle};
///
/// let handle = Handle::connect()?;
/// println!("node {}, {} bytes at once", handle.local_node()?, handle.max_atomic_message_size());
/// println!("flow control: {:?}", handle.flow_control()?);
/// for group in handle.groups()? {
///     println!("{group}: {:?}", handle.members_of(&group)?);
/// }
/// handle.close()?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// A handle dereferences to [`Daemon`], which has the methods for questions. Each question waits for the daemon's answer, up to
/// the [time limit](ConnectOptions::request_timeout) of the connection ([B16](crate::facts#b16)). Under flow control the daemon
/// refuses questions with [`CsError::TryAgain`](crate::CsError::TryAgain).
///
/// A handle can move to another thread, but two threads cannot use it at once ([A4](crate::facts#a4), [A5](crate::facts#a5)):
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<cpg::Handle>();
/// ```
///
/// Dropping a handle closes it, and waits for the daemon for half a second at most. After that a thread of this crate closes it
/// when the daemon answers. In a child of the process that connected, every call is refused and dropping does nothing
/// ([A7](crate::facts#a7)).
#[doc(alias = "cpg_handle_t")]
#[derive(Debug)]
pub struct Handle {
    daemon: Daemon,
    events: EventHalf,
}

impl Handle {
    /// Splits the handle into its two halves.
    pub(crate) fn into_halves(self) -> (Daemon, EventHalf) {
        (self.daemon, self.events)
    }

    /// Connects to the corosync daemon of this machine. If the daemon is paused or is just starting, waits for it for up to 10
    /// seconds. [`ConnectOptions`] has options, and its [`connect_until`](ConnectOptions::connect_until) takes a deadline.
    ///
    /// # Errors
    /// Those of [`ConnectOptions::connect_until`].
    #[doc(alias = "cpg_initialize")]
    #[doc(alias = "cpg_model_initialize")]
    pub fn connect() -> Result<Self> {
        ConnectOptions::new().connect()
    }

    /// Handles the events of a handle that has not joined: changes of the ring.
    ///
    /// The daemon sends them to every handle, and they wait in its memory until they are dispatched ([B14](crate::facts#b14)),
    /// even with [`TotemEvents::None`](crate::TotemEvents::None), where a dispatch drops them. So a handle that stays open for
    /// long should be dispatched now and then. Events that still wait when the handle joins come to the group before its first
    /// view. The result is the same as for [`Group::dispatch`](crate::Group::dispatch).
    ///
    /// # Panics
    /// Those of [`Group::dispatch`](crate::Group::dispatch).
    ///
    /// # Errors
    /// Those of [`Group::dispatch`](crate::Group::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn dispatch(
        &mut self,
        limits: Limits<'_>,
        mut handler: impl FnMut(&Daemon, Ring<'_>),
    ) -> Result<usize> {
        let Self { daemon, events } = self;
        let (nobody, progress) = (Member::new(NodeId::new(0), 0), Progress::new(limits));
        let take = |event: Event<'_>| {
            progress.count();
            if let Event::TotemConfChg(ring) = event {
                handler(daemon, ring);
            }
        };
        run(&mut Plain { events, me: nobody, counted: None, take }, &progress)?;
        Ok(progress.handled())
    }

    /// Closes the connection, as dropping the handle does, and returns the result. Waits for the daemon's answer up to the
    /// [time limit](ConnectOptions::request_timeout) of the connection.
    ///
    /// # Errors
    /// The daemon's answer, if that is an error. Without an answer, [`Error::TimedOut`] or [`Error::CallOutstanding`]. The
    /// handle is gone in any case.
    #[doc(alias = "cpg_finalize")]
    pub fn close(self) -> Result<()> {
        let patience = self.requests().patience();
        drop(self.events);
        self.daemon.close(&patience)
    }
}

impl ConnectOptions {
    /// Connects to the corosync daemon of this machine.
    ///
    /// If the daemon is paused or is just starting, waits for it up to the [time limit](Self::request_timeout), which is 10
    /// seconds. With [`wait_for_daemon`](Self::wait_for_daemon) it also waits for a daemon that is not running, without a
    /// limit. [`connect_until`](Self::connect_until) takes a deadline.
    ///
    /// # Errors
    /// Those of [`connect_until`](Self::connect_until).
    #[doc(alias = "cpg_initialize")]
    #[doc(alias = "cpg_model_initialize")]
    #[doc(alias = "cpg_model_t")]
    #[doc(alias = "cpg_model_data_t")]
    #[doc(alias = "CPG_MODEL_V1")]
    pub fn connect(self) -> Result<Handle> {
        self.connect_by(&self.patience())
    }

    /// Connects to the corosync daemon of this machine, with a deadline. If the deadline has passed already, makes a single
    /// attempt.
    ///
    /// Retries temporary failures until the deadline: a daemon that is not ready yet, and an attempt that a signal interrupted
    /// ([B20](crate::facts#b20)). Meanwhile other threads that connect or close wait, up to their own deadlines
    /// ([A12](crate::facts#a12)).
    ///
    /// ```no_run
    /// use std::time::{Duration, Instant};
    /// use cpg::{ConnectOptions, Handle};
    ///
    /// let soon = Instant::now() + Duration::from_millis(200);
    /// match ConnectOptions::new().connect_until(soon) {
    ///     Ok(handle) => println!("node {}", handle.local_node()?),
    ///     Err(error) if error.is_retryable() => eprintln!("corosync is still starting"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok::<(), cpg::Error>(())
    /// ```
    ///
    /// # Errors
    /// | error | condition |
    /// |---|---|
    /// | [`CsError::Library`](crate::CsError::Library) | no daemon is there |
    /// | [`CsError::Access`](crate::CsError::Access) | this user may not talk to the daemon |
    /// | [`CsError::NotExist`](crate::CsError::NotExist) | this process does not see the daemon's shared memory |
    /// | [`CsError::NoMemory`](crate::CsError::NoMemory), [`NoSpace`](crate::CsError::NoSpace) | memory, or shared memory, is short |
    /// | [`CsError::TryAgain`](crate::CsError::TryAgain) | the daemon was still starting at the deadline |
    /// | [`Error::UntrustedDaemon`] | another user listens as the daemon ([B19](crate::facts#b19)) |
    /// | [`Error::DatagramIpc`] | the daemon is configured with `qb_ipc_type: socket` ([B18](crate::facts#b18)) |
    /// | [`Error::TooManyHandles`] | the process has 47 handles already |
    /// | [`Error::NoDescriptors`] | too few file descriptors are left |
    /// | [`Error::Io`] | no thread can be started |
    /// | [`Error::TimedOut`] | the daemon accepts no connection, as when it is paused, or other threads that connect or close do not finish |
    ///
    /// The [table of codes](crate::guide::codes) has the other codes of libcpg.
    #[doc(alias = "cpg_initialize")]
    #[doc(alias = "cpg_model_initialize")]
    pub fn connect_until(self, deadline: Instant) -> Result<Handle> {
        self.connect_by(&deadline.into())
    }

    /// Returns the patience of connecting and joining when the caller gives no deadline.
    pub(crate) fn patience(&self) -> Patience<'static> {
        if self.waits_for_daemon() { Patience::FOREVER } else { self.deadline().into() }
    }

    /// Connects, while the patience lasts.
    pub(crate) fn connect_by(self, patience: &Patience<'_>) -> Result<Handle> {
        if !self.waits_for_daemon() {
            return retry(patience, Pauses::REQUEST, || self.open(patience));
        }
        retry_if(patience, Pauses::DAEMON, Error::passes, || self.open(&patience.at_most(self.timeout())))
    }

    /// Makes one attempt to connect.
    pub(crate) fn open(self, patience: &Patience<'_>) -> Result<Handle> {
        let (requests, events) = connect(self, patience)?;
        Ok(Handle { daemon: Daemon::new(requests), events })
    }
}

impl Deref for Handle {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

/// The descriptor to wait on in an event loop. It is non-blocking and close-on-exec.
///
/// The descriptor is readable (level-triggered) while events wait, and when the daemon has gone. In that case the next dispatch
/// returns the error. Only wait on it, because it is libcpg's own socket; see [`Group`](crate::Group#impl-AsFd-for-Group).
impl AsFd for Handle {
    #[doc(alias = "cpg_fd_get")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl AsRawFd for Handle {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
