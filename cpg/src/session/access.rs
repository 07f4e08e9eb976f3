//! The connection of a session, as far as requests can be made on it, and who has it.

#[cfg(cpg_model)]
use shuttle::sync::MutexGuard;
use std::sync::{Arc, PoisonError};
#[cfg(not(cpg_model))]
use std::sync::{Condvar, MutexGuard};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::ffi::call::Requests;
use crate::guarantee::Guarantee;
use crate::handle::daemon::Daemon;
use crate::os::lock::Lock;
#[cfg(cpg_model)]
use crate::os::model::Condvar;
use crate::os::patience::Patience;

/// A connection that has joined, as far as requests can be made on it.
#[derive(Debug)]
pub(super) struct Joined {
    daemon: Daemon,
    /// Which membership it is of.
    generation: u64,
    /// The daemon has been told of the leave, and would lose what is sent without a word ([B1](crate::facts#b1)).
    told: bool,
}

impl Joined {
    pub(super) fn new(daemon: Daemon, generation: u64) -> Self {
        Self { daemon, generation, told: false }
    }

    #[inline]
    pub(super) fn requests(&self) -> &Requests {
        self.daemon.requests()
    }

    /// True if a message of this length goes out in parts, each of which waits for the daemon ([B16](crate::facts#b16)).
    #[inline]
    fn parts(&self, len: usize) -> bool {
        len > self.requests().max_atomic()
    }

    /// Sends a message in one piece.
    #[inline]
    fn send(&self, bytes: &[u8]) -> Result<()> {
        if self.told {
            return Err(Error::Left);
        }
        self.requests().mcast(Guarantee::Agreed, &[std::io::IoSlice::new(bytes)], None)
    }

    /// Sends a message in parts, each of which waits for the daemon: on a thread of this crate.
    pub(super) fn send_parts(&self, bytes: &[u8]) -> Result<()> {
        if self.told {
            return Err(Error::Left);
        }
        self.requests().mcast_here(Guarantee::Agreed, bytes)
    }

    /// The daemon is told of the leave: nothing is sent any more.
    pub(super) fn tell(&mut self) {
        self.told = true;
    }

    pub(super) fn into_daemon(self) -> Daemon {
        self.daemon
    }
}

/// The connection of a session, which one at a time has ([A4](crate::facts#a4)).
///
/// Its lock is held for moments: by a message in one piece, which waits for nobody ([B16](crate::facts#b16)), and to
/// [lend](Lent) the connection to whoever waits for the daemon with it.
#[derive(Debug)]
pub(super) struct Access {
    place: Lock<Place>,
    /// The connection is back, or is not expected back.
    back: Condvar,
}

/// Where the connection is.
#[derive(Debug)]
enum Place {
    Here(Joined),
    /// Lent to whoever makes a request of that membership.
    Lent {
        generation: u64,
    },
    /// There is no membership: the queue knows why. Whoever still has a connection closes it.
    Gone,
}

/// What a connection does with a message of the queue.
pub(super) enum Taken {
    /// It was sent, or refused.
    Sent(Result<()>),
    /// It goes out in parts, by whoever has the connection now.
    Parts(Lent),
    /// Another has the connection, and flushes the queue afterwards.
    Busy,
}

impl Access {
    pub(super) fn new(joined: Joined) -> Self {
        Self { place: Lock::new(Place::Here(joined)), back: Condvar::new() }
    }

    /// Sends a message if it goes out in one piece, and lends the connection if it does not. Without a connection the message is
    /// refused: while the session is away the queue sends none, so it has been left.
    #[inline]
    pub(super) fn send(self: &Arc<Self>, bytes: &[u8]) -> Taken {
        let mut place = match self.place.lock() {
            Ok(place) => place,
            Err(error) => return Taken::Sent(Err(error)),
        };
        match &*place {
            // A request has the half that makes requests.
            Place::Here(joined) if joined.requests().busy().is_some() => Taken::Busy,
            Place::Here(joined) if joined.parts(bytes.len()) => {
                self.lend(&mut place).map_or(Taken::Busy, Taken::Parts)
            }
            Place::Here(joined) => Taken::Sent(joined.send(bytes)),
            Place::Lent { .. } => Taken::Busy,
            Place::Gone => Taken::Sent(Err(Error::Left)),
        }
    }

    /// Waits for the connection, and looks at it; `None` if there is none.
    ///
    /// # Errors
    /// A message in parts has it for longer.
    pub(super) fn look<R>(
        &self,
        patience: &Patience<'_>,
        look: impl FnOnce(&mut Joined) -> R,
    ) -> Result<Option<R>> {
        match &mut *self.wait(patience.deadline())? {
            Place::Here(joined) => Ok(Some(look(joined))),
            Place::Lent { .. } => Err(Error::CallOutstanding),
            Place::Gone => Ok(None),
        }
    }

    /// Takes the connection for good. Waits until then for whoever has it, who closes it otherwise.
    pub(super) fn take(&self, until: Instant) -> Option<Joined> {
        self.take_from(self.wait(Some(until)).ok()?)
    }

    /// As [`take`](Self::take), without waiting.
    pub(super) fn take_now(&self) -> Option<Joined> {
        self.take_from(self.place.lock().ok()?)
    }

    /// Waits until then for whoever has the connection; true if one had it, and has given it back.
    pub(super) fn has_come_back(&self, until: Instant) -> bool {
        let is_lent = |place: &Place| matches!(place, Place::Lent { .. });
        let was_lent = self.place.lock().is_ok_and(|place| is_lent(&place));
        was_lent && self.wait(Some(until)).is_ok_and(|place| !is_lent(&place))
    }

    /// Goes on with another connection.
    pub(super) fn replace(&self, joined: Joined) -> Result<()> {
        let before = std::mem::replace(&mut *self.place.lock()?, Place::Here(joined));
        self.back.notify_all();
        // It may wait for the daemon.
        drop(before);
        Ok(())
    }

    /// Waits until nobody has the connection, or until then.
    fn wait(&self, until: Option<Instant>) -> Result<MutexGuard<'_, Place>> {
        let mut place = self.place.lock()?;
        while let Place::Lent { .. } = *place {
            let Some(until) = until else {
                place = self.back.wait(place).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            place = self.back.wait_timeout(place, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(place)
    }

    fn lend(self: &Arc<Self>, place: &mut Place) -> Option<Lent> {
        let Place::Here(Joined { generation, .. }) = *place else { return None };
        match std::mem::replace(place, Place::Lent { generation }) {
            Place::Here(joined) => Some(Lent { access: Arc::clone(self), joined: Some(joined) }),
            _ => None,
        }
    }

    fn take_from(&self, mut place: MutexGuard<'_, Place>) -> Option<Joined> {
        let before = std::mem::replace(&mut *place, Place::Gone);
        drop(place);
        self.back.notify_all();
        match before {
            Place::Here(joined) => Some(joined),
            Place::Lent { .. } | Place::Gone => None,
        }
    }
}

/// A connection that one has for the length of a request, on whatever thread. It goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    access: Arc<Access>,
    joined: Option<Joined>,
}

const LENT: &str = "given back by give_back and by drop alone";

impl Lent {
    pub(super) fn joined(&self) -> &Joined {
        self.joined.as_ref().expect(LENT)
    }

    /// Gives the connection back. If its session goes on without it, that is closed by dropping what this returns, which waits
    /// for the daemon ([B16](crate::facts#b16)).
    #[must_use = "what is dropped at once is closed under the locks that are held"]
    pub(super) fn give_back(mut self) -> Option<Joined> {
        self.back()
    }

    fn back(&mut self) -> Option<Joined> {
        let joined = self.joined.take()?;
        // A child of the process has a copy, and closes nothing.
        let Ok(mut place) = self.access.place.lock() else { return Some(joined) };
        match *place {
            Place::Lent { generation } if generation == joined.generation => *place = Place::Here(joined),
            _ => return Some(joined),
        }
        drop(place);
        self.access.back.notify_all();
        None
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        drop(self.back());
    }
}
