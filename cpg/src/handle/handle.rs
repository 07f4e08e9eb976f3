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

/// A connection to corosync: what is known of nodes and groups can be asked, as of the [`Daemon`] that it dereferences to, and
/// one group can be [joined](Self::join).
///
/// Each request waits for the daemon's answer up to the [time limit](ConnectOptions::request_timeout) of the connection
/// ([B16](crate::facts#b16)); under flow control it is refused with [`CsError::TryAgain`](crate::CsError::TryAgain). A handle
/// can move to another thread, and cannot be used by two at once
/// ([A4](crate::facts#a4), [A5](crate::facts#a5)):
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<cpg::Handle>();
/// ```
///
/// Dropping it closes it, and waits for the daemon for half a second at most; after that a thread of this crate closes it, when the
/// daemon answers. In a child of the process that connected, every call is
/// refused and dropping does nothing ([A7](crate::facts#a7)).
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
#[doc(alias = "cpg_handle_t")]
#[derive(Debug)]
pub struct Handle {
    daemon: Daemon,
    events: EventHalf,
}

impl Handle {
    /// Takes the handle apart.
    pub(crate) fn into_halves(self) -> (Daemon, EventHalf) {
        (self.daemon, self.events)
    }

    /// Connects to the corosync daemon of this machine, and waits for up to 10 seconds for one that is paused or just
    /// starting. [`ConnectOptions`] has the options, and [`connect_until`](ConnectOptions::connect_until) another deadline.
    ///
    /// # Errors
    /// As [`ConnectOptions::connect_until`].
    #[doc(alias = "cpg_initialize")]
    #[doc(alias = "cpg_model_initialize")]
    pub fn connect() -> Result<Self> {
        ConnectOptions::new().connect()
    }

    /// Handles the events of a handle that is in no group: changes of the ring.
    ///
    /// They come to every handle that asked for [`TotemEvents`](crate::TotemEvents), and wait in the daemon's memory until
    /// they are dispatched ([B14](crate::facts#b14)). Those that wait when the handle joins come to the group before its first
    /// view. See [`Group::dispatch`](crate::Group::dispatch) for what it returns.
    ///
    /// # Panics
    /// As [`Group::dispatch`](crate::Group::dispatch).
    ///
    /// # Errors
    /// As [`Group::dispatch`](crate::Group::dispatch).
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

    /// Closes the connection, as dropping it does, and says how that went. It waits for the daemon's answer up to the
    /// [time limit](ConnectOptions::request_timeout) of the connection.
    ///
    /// # Errors
    /// The daemon's answer, if it is one, and [`Error::TimedOut`] or [`Error::CallOutstanding`] without an answer; the handle is gone in any case.
    #[doc(alias = "cpg_finalize")]
    pub fn close(self) -> Result<()> {
        let patience = self.requests().patience();
        drop(self.events);
        self.daemon.close(&patience)
    }
}

impl ConnectOptions {
    /// Connects to the corosync daemon of this machine, and waits for one that is paused or just starting up to the
    /// [time limit](Self::request_timeout), which is 10 seconds; with [`wait_for_daemon`](Self::wait_for_daemon) also for one that is
    /// not there, without an end. [`connect_until`](Self::connect_until) takes another deadline.
    ///
    /// # Errors
    /// As [`connect_until`](Self::connect_until).
    #[doc(alias = "cpg_initialize")]
    #[doc(alias = "cpg_model_initialize")]
    #[doc(alias = "cpg_model_t")]
    #[doc(alias = "cpg_model_data_t")]
    #[doc(alias = "CPG_MODEL_V1")]
    pub fn connect(self) -> Result<Handle> {
        self.connect_by(&self.patience())
    }

    /// As [`connect`](Self::connect), with another deadline. One that has passed makes a single attempt.
    ///
    /// What passes is tried again until the deadline: a daemon that is not ready yet, and an attempt that a signal has interrupted
    /// ([B20](crate::facts#b20)). Other threads that connect or close wait meanwhile, up to their own deadlines
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
    /// [`CsError::Library`](crate::CsError::Library) if there is no daemon, [`Access`](crate::CsError::Access) if this user
    /// may not talk to it, [`NotExist`](crate::CsError::NotExist) if its shared memory cannot be seen from here,
    /// [`NoMemory`](crate::CsError::NoMemory) or [`NoSpace`](crate::CsError::NoSpace) if that is short,
    /// [`TryAgain`](crate::CsError::TryAgain) if the daemon is still starting when the deadline passes, and the others of
    /// [the table](crate::guide::codes).
    /// [`Error::UntrustedDaemon`] if another user listens as the daemon ([B19](crate::facts#b19)),
    /// [`Error::DatagramIpc`] if the daemon is configured with `qb_ipc_type: socket` ([B18](crate::facts#b18)),
    /// [`Error::TooManyHandles`] for the 48th handle of the process,
    /// [`Error::NoDescriptors`], [`Error::Io`] without a thread to be had, and
    /// [`Error::TimedOut`] if the daemon takes no connection, as one that is paused, or other threads that
    /// connect or close do not come to an end.
    #[doc(alias = "cpg_initialize")]
    #[doc(alias = "cpg_model_initialize")]
    pub fn connect_until(self, deadline: Instant) -> Result<Handle> {
        self.connect_by(&deadline.into())
    }

    /// Returns the patience of connecting and joining where no deadline is given.
    pub(crate) fn patience(&self) -> Patience<'static> {
        if self.waits_for_daemon() { Patience::FOREVER } else { self.deadline().into() }
    }

    /// As [`connect`](Self::connect), while the patience lasts.
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

/// The descriptor to wait on in an event loop, non-blocking and close-on-exec.
///
/// It is readable (level-triggered) while events wait, and when the daemon has gone, which the next dispatch then says.
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
