//! The connection of a session, as far as requests can be made on it.

use std::io::IoSlice;

use crate::error::{Error, Result};
use crate::ffi::call::Requests;
use crate::guarantee::Guarantee;
use crate::handle::daemon::Daemon;
use crate::os::lock::Lock;
use crate::session::outbox::Handed;

/// A connection that has joined, as far as requests can be made on it.
#[derive(Debug)]
pub(super) struct Joined {
    daemon: Daemon,
    /// The daemon has been told of the leave, and would lose what is sent without a word ([B1](crate::facts#b1)).
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

    /// The daemon is told of the leave: nothing is sent any more.
    pub(super) fn tell(&mut self) {
        self.told = true;
    }

    pub(super) fn into_daemon(self) -> Daemon {
        self.daemon
    }
}

/// The place of a session's connection.
///
/// Its lock is held for moments: by a message in one piece, which waits for nobody ([B16](crate::facts#b16)), and while a
/// request begins, whose thread then has the half that makes requests ([A4](crate::facts#a4)).
#[derive(Debug)]
pub(super) struct Access {
    /// None while there is no membership: the queue knows why. A thread that still makes a request of the last one closes its
    /// connection afterwards.
    place: Lock<Option<Joined>>,
}

impl Access {
    pub(super) fn new(joined: Joined) -> Self {
        Self { place: Lock::new(Some(joined)) }
    }

    /// Has a message sent, unless a request is being made. Without a connection the message is refused: while the session is away
    /// the queue sends none, so it has been left.
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

    /// Looks at the connection, which takes a moment; `None` if there is none.
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
        // It may wait for the daemon.
        drop(before);
        Ok(())
    }
}
