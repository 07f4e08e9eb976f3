//! A connection that has not joined a group.

use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

use crate::dispatch::limits::Limits;
use crate::dispatch::plain::Plain;
use crate::dispatch::run::{Progress, run};
use crate::error::Result;
use crate::event::event::Event;
use crate::event::ring::Ring;
use crate::ffi::connection::connect;
use crate::ffi::events::EventHalf;
use crate::ffi::options::ConnectOptions;
use crate::handle::daemon::Daemon;
use crate::member::{Member, NodeId};

/// A connection to corosync: what is known of nodes and groups can be asked, as of the [`Daemon`] that it dereferences to, and
/// one group can be [joined](Self::join).
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
    daemon: Daemon,
    events: EventHalf,
}

impl Handle {
    /// Takes the handle apart.
    pub(crate) fn into_halves(self) -> (Daemon, EventHalf) {
        (self.daemon, self.events)
    }

    /// Connects to the corosync daemon of this machine; [`ConnectOptions`] has the options.
    ///
    /// # Errors
    /// Those of [`ConnectOptions::open`].
    pub fn connect() -> Result<Self> {
        ConnectOptions::new().open()
    }

    /// Handles the events of a handle that is in no group: changes of the ring.
    ///
    /// They come to every handle that asked for [`TotemEvents`](crate::TotemEvents), and wait in the daemon's memory until
    /// they are dispatched (B14). Those that wait when the handle joins come to the group before its first view. See [`Group::dispatch`](crate::Group::dispatch) for what it returns.
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

    /// Closes the connection, as dropping it does, and says how that went.
    ///
    /// # Errors
    /// What the daemon answered; the handle is gone in any case.
    #[doc(alias = "cpg_finalize")]
    pub fn close(self) -> Result<()> {
        drop(self.events);
        self.daemon.close()
    }
}

impl ConnectOptions {
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
        self.open_by(None)
    }

    /// As [`open`](Self::open); other threads that connect or close are waited for until the deadline.
    pub(crate) fn open_by(self, deadline: Option<Instant>) -> Result<Handle> {
        let (half, events) = connect(self, deadline)?;
        Ok(Handle { daemon: Daemon { half }, events })
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
