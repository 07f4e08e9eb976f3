//! The options of a session, and joining with them.

use std::os::fd::AsFd as _;
use std::time::Instant;

use crate::dispatch::waker::Waker;
use crate::error::{Error, Result};
use crate::ffi::options::ConnectOptions;
use crate::group::join::JoinError;
use crate::group_name::{GroupName, IntoGroupName};
use crate::handle::handle::Handle;
use crate::member::Member;
use crate::os::patience::Patience;
use crate::os::readiness::Readiness;
use crate::session::flow::Flow;
use crate::session::incoming::{Comeback, Incoming};
use crate::session::receiver::Receiver;
use crate::session::reconnect::Reconnect;
use crate::session::sender::Sender;
use crate::session::session::Session;
use crate::session::shared::Shared;

/// The options of a [`Session`], from [`Session::options`](crate::Session::options).
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use cpg::{ConnectOptions, Flow, Handle, Reconnect, Session, SessionOptions, TotemEvents};
///
/// let session = Session::options()
///     .connect_options(ConnectOptions::new().totem_events(TotemEvents::InitialAndChanges))
///     .coalesce()
///     .reconnect(Reconnect::new())
///     .join("ledger")?;
/// session.leave()?;
///
/// // The same options for many sessions, each with a deadline of its own.
/// let options = SessionOptions::new().coalesce().flow(Flow::new().window_size(256 << 10));
/// assert_eq!(options, SessionOptions::new().flow(Flow::coalesced().window_size(256 << 10)));
/// let deadline = Instant::now() + Duration::from_secs(60);
/// let first = options.join_until("first", deadline)?;
/// // On handles that are connected, and that are given back when a join fails.
/// let second = options.join_on(Handle::connect()?, "second")?;
/// let third = options.join_on_until(Handle::connect()?, "third", deadline)?;
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "nothing is joined before join"]
pub struct SessionOptions {
    connect: ConnectOptions,
    flow: Flow,
    reconnect: Option<Reconnect>,
}

impl Session {
    /// Connects and joins in one step, for up to 10 seconds, also to a daemon that is just starting. [`options`](Self::options)
    /// has more, and [`SessionOptions::join_until`] another deadline.
    ///
    /// # Errors
    /// As [`SessionOptions::join`].
    #[doc(alias = "cpg_join")]
    pub fn join(name: impl IntoGroupName) -> Result<Self> {
        Self::options().join(name)
    }

    /// Makes the options of a session, which then joins.
    pub fn options() -> SessionOptions {
        SessionOptions::new()
    }
}

impl SessionOptions {
    /// Makes the options of a session without packets that does not reconnect.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the options of its connection: of the first one, and of each further one if it [reconnects](Self::reconnect). The [time
    /// limit](ConnectOptions::request_timeout) of what waits for the daemon is among them, and whether the first join [waits for a
    /// daemon](ConnectOptions::wait_for_daemon) that is not there yet.
    pub fn connect_options(self, connect: ConnectOptions) -> Self {
        Self { connect, ..self }
    }

    /// Sets how much may be under way. A [`Flow::coalesced`] also has the messages travel in packets, as
    /// [`coalesce`](Self::coalesce) does.
    pub fn flow(self, flow: Flow) -> Self {
        Self { flow: self.flow.replaced_by(flow), ..self }
    }

    /// Has small messages that wait together travel together, in [packets](crate::packet). Sizes that [`flow`](Self::flow) sets
    /// hold in any order of the two; those that it does not set are the defaults for packets.
    ///
    /// **All sessions of a group coalesce, or none does.** One that does not gets each packet of the others as
    /// [`Event::Malformed`](crate::Event::Malformed), with the error
    /// [`Unexpected`](crate::packet::Error::Unexpected). One that does gets plain messages of the others as they are, marked
    /// by [`Message::is_packed`](crate::Message::is_packed).
    ///
    /// A plain message that begins with the four bytes of [`packet::MAGIC`](crate::packet::MAGIC) is taken for a packet. Text
    /// never does. A session that does not coalesce, and whose messages may begin with any bytes, takes
    /// [`MalformedPacket::bytes`](crate::MalformedPacket::bytes) for the message where the error is `Unexpected`; one that
    /// coalesces can send anything.
    pub fn coalesce(self) -> Self {
        Self { flow: self.flow.with_packets(), ..self }
    }

    /// Has the session come back by itself when it has lost the daemon.
    pub fn reconnect(self, how: Reconnect) -> Self {
        Self { reconnect: Some(how), ..self }
    }

    /// Connects and joins, within the [time limit](ConnectOptions::request_timeout) of its connection, which is 10 seconds; with
    /// [`wait_for_daemon`](ConnectOptions::wait_for_daemon) it waits for one without an end. [`join_until`](Self::join_until) takes a
    /// deadline.
    ///
    /// # Errors
    /// As [`ConnectOptions::join`], and [`Error::Io`] without two descriptors more: three if it reconnects.
    #[doc(alias = "cpg_join")]
    pub fn join(self, name: impl IntoGroupName) -> Result<Session> {
        self.join_by(name, &self.connect.patience())
    }

    /// As [`join`](Self::join), with another deadline. A daemon that is just starting is waited for.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    #[doc(alias = "cpg_join")]
    pub fn join_until(self, name: impl IntoGroupName, deadline: Instant) -> Result<Session> {
        self.join_by(name, &deadline.into())
    }

    /// Returns the patience of joining where no deadline is given.
    #[cfg(feature = "tokio")]
    pub(crate) fn patience(&self) -> Patience<'static> {
        self.connect.patience()
    }

    /// As [`join`](Self::join), while the patience lasts.
    pub(crate) fn join_by(self, name: impl IntoGroupName, patience: &Patience<'_>) -> Result<Session> {
        let name = name.into_group_name()?;
        let (handle, me) = self.connect.member_by(&name, patience, None)?;
        self.begin(handle, name, me)
    }

    /// Joins on a handle that is connected, within its [time limit](ConnectOptions::request_timeout).
    ///
    /// # Errors
    /// As [`Handle::join`], and as [`join`](Self::join).
    #[doc(alias = "cpg_join")]
    pub fn join_on(self, handle: Handle, name: impl IntoGroupName) -> Result<Session, JoinError> {
        let deadline = handle.requests().deadline();
        self.join_on_until(handle, name, deadline)
    }

    /// As [`join_on`](Self::join_on), with another deadline.
    ///
    /// # Errors
    /// As [`join_on`](Self::join_on).
    #[doc(alias = "cpg_join")]
    pub fn join_on_until(
        self,
        handle: Handle,
        name: impl IntoGroupName,
        deadline: Instant,
    ) -> Result<Session, JoinError> {
        let name = match name.into_group_name().map_err(Error::from) {
            Ok(name) => name,
            Err(error) => return Err(JoinError::with_handle(error, handle)),
        };
        let (handle, me) = handle.into_member(&name, &deadline.into(), None)?;
        self.begin(handle, name, me).map_err(JoinError::without_handle)
    }

    /// Makes a session of a handle that has joined, and is the member `me`.
    pub(super) fn begin(self, handle: Handle, name: GroupName, me: Member) -> Result<Session> {
        let Self { connect, flow, reconnect } = self;
        let comeback = match reconnect {
            // Its contract is about the connection that the program made.
            Some(policy) => Some(Comeback { connect: connect.again(), policy, bell: Waker::new()? }),
            None => None,
        };
        let (daemon, events) = handle.into_halves();
        let readiness = match &comeback {
            Some(Comeback { bell, .. }) => Readiness::new(&[events.as_fd(), bell.as_fd()])?,
            None => Readiness::new(&[events.as_fd()])?,
        };
        let keep = reconnect.map(|policy| policy.keep);
        let sender = Sender::new(Shared::new(daemon, name, me, flow, keep, readiness));
        Ok(Session::new(Receiver::new(sender, Incoming::new(events, me, comeback))))
    }
}
