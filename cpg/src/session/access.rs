//! The connection of a session, and the requests that can be made on it.

use std::io::IoSlice;

use crate::error::{Error, Result};
use crate::ffi::call::Requests;
use crate::guarantee::Guarantee;
use crate::handle::daemon::Daemon;
use crate::os::lock::Lock;
use crate::session::outbox::Handed;

/// A connection that has joined: the part on which requests are made.
#[derive(Debug)]
pub(super) struct Joined {
    daemon: Daemon,
    /// True if the daemon has been told of the leave. It would then lose a message without an error ([B1](crate::facts#b1)).
    told: bool,
}

impl Joined {
    pub(super) fn new(daemon: Daemon) -> Self {
        Self { daemon, told: false }
    }

    #[inline]
    pub(super) fn requests(&self) -> &Requests {
        self.daemon.requests()
    }

    /// True if a message of this length goes out in parts, each of which waits for the daemon ([B16](crate::facts#b16)).
    #[inline]
    pub(super) fn parts(&self, len: usize) -> bool {
        len > self.requests().max_atomic()
    }

    /// Sends a message in one piece.
    #[inline]
    pub(super) fn send(&self, bytes: &[u8]) -> Result<()> {
        self.requests().mcast(Guarantee::Agreed, &[IoSlice::new(bytes)], None)
    }

    /// Records that the daemon is told of the leave. Nothing is sent from now on.
    pub(super) fn tell(&mut self) {
        self.told = true;
    }

    pub(super) fn into_daemon(self) -> Daemon {
        self.daemon
    }
}

/// The place of a session's connection.
///
/// The lock is held only for moments: while a message is sent in one piece, which waits for nobody ([B16](crate::facts#b16)), and
/// while a request begins. The thread of the request then has the half that makes requests ([A4](crate::facts#a4)), and not the
/// lock.
#[derive(Debug)]
pub(super) struct Access {
    /// `None` while there is no membership; the queue knows the reason. A thread that still makes a request of the last
    /// membership closes its connection afterwards.
    place: Lock<Option<Joined>>,
}

impl Access {
    pub(super) fn new(joined: Joined) -> Self {
        Self { place: Lock::new(Some(joined)) }
    }

    /// Sends a message by calling `send`, unless a request is being made. Refuses the message if there is no connection. That
    /// happens only after a leave, because the queue sends nothing while the next membership is sought.
    #[inline]
    pub(super) fn send(&self, send: impl FnOnce(&Joined) -> Handed) -> Handed {
        let place = match self.place.lock() {
            Ok(place) => place,
            Err(error) => return Handed::Refused(error),
        };
        match &*place {
            Some(joined) if joined.requests().busy().is_some() => Handed::Busy,
            Some(joined) if !joined.told => send(joined),
            Some(_) | None => Handed::Refused(Error::Left),
        }
    }

    /// Calls `look` with the connection, for a short time. `None` if there is no connection.
    pub(super) fn look<R>(&self, look: impl FnOnce(&mut Joined) -> R) -> Result<Option<R>> {
        Ok(self.place.lock()?.as_mut().map(look))
    }

    /// Takes the connection for good.
    pub(super) fn take(&self) -> Option<Joined> {
        self.place.lock().ok()?.take()
    }

    /// Goes on with another connection.
    pub(super) fn replace(&self, joined: Joined) -> Result<()> {
        let before = self.place.lock()?.replace(joined);
        // Dropped after the lock, because dropping it may wait for the daemon.
        drop(before);
        Ok(())
    }
}
