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
/// // The same options for many sessions, with one deadline for each join.
/// let options = SessionOptions::new().coalesce().flow(Flow::new().window_size(256 << 10));
/// assert_eq!(options, SessionOptions::new().flow(Flow::coalesced().window_size(256 << 10)));
/// let deadline = Instant::now() + Duration::from_secs(60);
/// let first = options.join_until("first", deadline)?;
/// // The handle is connected already. It comes back in the error if the join fails.
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
    /// Connects and joins in one step, also if the daemon is just starting. Gives up after 10 seconds.
    /// [`SessionOptions::join_until`] takes another deadline, and [`options`](Self::options) has everything else that can be
    /// chosen.
    ///
    /// # Errors
    /// Those of [`SessionOptions::join`].
    #[doc(alias = "cpg_join")]
    pub fn join(name: impl IntoGroupName) -> Result<Self> {
        Self::options().join(name)
    }

    /// Returns the default options of a session. A method of the options then joins.
    pub fn options() -> SessionOptions {
        SessionOptions::new()
    }
}

impl SessionOptions {
    /// Makes the default options: no packets, and no reconnecting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the options of the session's connection. They hold for the first connection, and for each later one if the session
    /// [reconnects](Self::reconnect). They include the [time limit](ConnectOptions::request_timeout) of requests to the daemon.
    /// They also decide if the first join [waits for a daemon](ConnectOptions::wait_for_daemon) that is not running yet.
    pub fn connect_options(self, connect: ConnectOptions) -> Self {
        Self { connect, ..self }
    }

    /// Sets the sizes of the queue, of the window and of packets. [`Flow::coalesced`] also makes messages travel in packets, as
    /// [`coalesce`](Self::coalesce) does.
    pub fn flow(self, flow: Flow) -> Self {
        Self { flow: self.flow.replaced_by(flow), ..self }
    }

    /// Puts small messages that wait at the same time together into [packets](crate::packet). The order in which `coalesce` and
    /// [`flow`](Self::flow) are called does not matter. Sizes that `flow` does not set have the defaults for packets.
    ///
    /// **All sessions of a group should make the same choice.** Where they are mixed:
    ///
    /// - A session that does not coalesce gets each packet as [`Event::Malformed`](crate::Event::Malformed), with the error
    ///   [`Unexpected`](crate::packet::Error::Unexpected).
    /// - A session that coalesces gets plain messages as they are; [`Message::is_packed`](crate::Message::is_packed) is false for
    ///   them.
    ///
    /// A plain message that begins with the four bytes of [`packet::MAGIC`](crate::packet::MAGIC) is taken for a packet. Text never
    /// begins with these bytes. If plain messages may begin with any bytes, the program handles
    /// [`Event::Malformed`](crate::Event::Malformed) with the error `Unexpected` as a message whose payload is
    /// [`MalformedPacket::bytes`](crate::MalformedPacket::bytes). A session that coalesces can send any bytes.
    pub fn coalesce(self) -> Self {
        Self { flow: self.flow.with_packets(), ..self }
    }

    /// Makes the session reconnect and join again by itself when it has lost the daemon.
    pub fn reconnect(self, how: Reconnect) -> Self {
        Self { reconnect: Some(how), ..self }
    }

    /// Connects and joins within the [time limit](ConnectOptions::request_timeout) of the connection, which is 10 seconds by
    /// default. With [`wait_for_daemon`](ConnectOptions::wait_for_daemon) it waits for a daemon without a limit.
    /// [`join_until`](Self::join_until) takes a deadline.
    ///
    /// # Errors
    /// Those of [`ConnectOptions::join`]. [`Error::Io`] if the process cannot open two more descriptors (three if the session
    /// reconnects).
    #[doc(alias = "cpg_join")]
    pub fn join(self, name: impl IntoGroupName) -> Result<Session> {
        self.join_by(name, &self.connect.patience())
    }

    /// Connects and joins as [`join`](Self::join) does, until the deadline. If the daemon is just starting, it waits for the
    /// daemon.
    ///
    /// # Errors
    /// Those of [`join`](Self::join).
    #[doc(alias = "cpg_join")]
    pub fn join_until(self, name: impl IntoGroupName, deadline: Instant) -> Result<Session> {
        self.join_by(name, &deadline.into())
    }

    /// Returns the patience of a join without a deadline.
    #[cfg(feature = "tokio")]
    pub(crate) fn patience(&self) -> Patience<'static> {
        self.connect.patience()
    }

    /// Connects and joins as [`join`](Self::join) does, while the patience lasts.
    pub(crate) fn join_by(self, name: impl IntoGroupName, patience: &Patience<'_>) -> Result<Session> {
        let name = name.into_group_name()?;
        let (handle, me) = self.connect.member_by(&name, patience, None)?;
        self.begin(handle, name, me)
    }

    /// Joins on a handle that is already connected, within the handle's [time limit](ConnectOptions::request_timeout).
    ///
    /// # Errors
    /// Those of [`Handle::join`] and of [`join`](Self::join).
    #[doc(alias = "cpg_join")]
    pub fn join_on(self, handle: Handle, name: impl IntoGroupName) -> Result<Session, JoinError> {
        let deadline = handle.requests().deadline();
        self.join_on_until(handle, name, deadline)
    }

    /// Joins on a handle as [`join_on`](Self::join_on) does, until the deadline.
    ///
    /// # Errors
    /// Those of [`join_on`](Self::join_on).
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

    /// Makes a session of a handle that has joined as the member `me`.
    pub(super) fn begin(self, handle: Handle, name: GroupName, me: Member) -> Result<Session> {
        let Self { connect, flow, reconnect } = self;
        let comeback = match reconnect {
            // The safety contract of `more_handles` covers only the connection that the program made.
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
