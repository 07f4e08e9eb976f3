//! The options of a session, and joining with them.

use std::time::Instant;

use crate::error::Result;
use crate::ffi::options::ConnectOptions;
use crate::group_name::IntoGroupName;
use crate::os::patience::Patience;
use crate::session;
use crate::session::flow::Flow;
use crate::session::reconnect::Reconnect;
use crate::tokio::session::Session;
use crate::tokio::thread::{self, DropOff};

/// The options of a [`Session`], from [`Session::options`]. They are the same as
/// [`cpg::SessionOptions`](crate::SessionOptions).
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use cpg::tokio::{Session, SessionOptions};
/// use cpg::{ConnectOptions, Flow, Reconnect, TotemEvents};
///
/// # #[tokio::main]
/// # async fn main() -> cpg::Result<()> {
/// let session = Session::options().coalesce().reconnect(Reconnect::new()).join("ledger").await?;
/// session.leave().await?;
///
/// // The same options for many sessions.
/// let connect = ConnectOptions::new().totem_events(TotemEvents::None);
/// let options = SessionOptions::new().connect_options(connect).flow(Flow::new().window_size(256 << 10));
/// let first = options.join_until("first", Instant::now() + Duration::from_secs(60)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "nothing is joined before join"]
pub struct SessionOptions(session::options::SessionOptions);

impl From<session::options::SessionOptions> for SessionOptions {
    fn from(options: session::options::SessionOptions) -> Self {
        Self(options)
    }
}

impl Session {
    /// Connects and joins in at most 10 seconds. [`options`](Self::options) has options, and [`SessionOptions::join_until`]
    /// takes a deadline.
    ///
    /// # Errors
    /// Those of [`SessionOptions::join`].
    ///
    /// # Panics
    /// Those of [`SessionOptions::join`].
    #[doc(alias = "cpg_join")]
    pub async fn join(name: impl IntoGroupName) -> Result<Self> {
        Self::options().join(name).await
    }

    /// Returns the default options. [`SessionOptions::join`] then joins.
    pub fn options() -> SessionOptions {
        SessionOptions::new()
    }
}

impl SessionOptions {
    /// Makes the options of a session that uses no packets and does not reconnect.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the options of the connection: see
    /// [`cpg::SessionOptions::connect_options`](crate::SessionOptions::connect_options).
    pub fn connect_options(self, connect: ConnectOptions) -> Self {
        Self(self.0.connect_options(connect))
    }

    /// Sets the sizes of the queue: see [`cpg::SessionOptions::flow`](crate::SessionOptions::flow).
    pub fn flow(self, flow: Flow) -> Self {
        Self(self.0.flow(flow))
    }

    /// Puts messages together into packets: see [`cpg::SessionOptions::coalesce`](crate::SessionOptions::coalesce).
    pub fn coalesce(self) -> Self {
        Self(self.0.coalesce())
    }

    /// Reconnects after the daemon is lost: see [`cpg::SessionOptions::reconnect`](crate::SessionOptions::reconnect).
    pub fn reconnect(self, how: Reconnect) -> Self {
        Self(self.0.reconnect(how))
    }

    /// Connects and joins, with the time limit of [`cpg::SessionOptions::join`](crate::SessionOptions::join).
    /// [`join_until`](Self::join_until) takes a deadline.
    ///
    /// Cancelling: the thread that joins stops within a moment. If it has joined already, it leaves the group again. Until then
    /// this process cannot join the group anew ([B5](crate::facts#b5)).
    ///
    /// # Errors
    /// Those of [`cpg::SessionOptions::join`](crate::SessionOptions::join).
    ///
    /// # Panics
    /// Panics without a runtime that has its I/O driver enabled.
    #[doc(alias = "cpg_join")]
    pub async fn join(self, name: impl IntoGroupName) -> Result<Session> {
        self.join_by(name, None).await
    }

    /// Connects and joins, with a deadline.
    ///
    /// Cancelling: the same as for [`join`](Self::join).
    ///
    /// # Errors
    /// Those of [`join`](Self::join).
    ///
    /// # Panics
    /// Those of [`join`](Self::join).
    #[doc(alias = "cpg_join")]
    pub async fn join_until(self, name: impl IntoGroupName, deadline: Instant) -> Result<Session> {
        self.join_by(name, Some(deadline)).await
    }

    async fn join_by(self, name: impl IntoGroupName, deadline: Option<Instant>) -> Result<Session> {
        let (options, name) = (self.0, name.into_group_name()?);
        let join = move |wanted: &(dyn Fn() -> bool + Sync)| {
            let patience = deadline.map_or_else(|| options.patience(), Patience::from);
            options.join_by(name, &patience.while_wanted(wanted)).map(DropOff::new)
        };
        Session::new(thread::run(join).await?.into_inner())
    }
}
