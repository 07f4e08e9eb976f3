//! Who may make requests on a joined handle: its group alone, or the halves of a split one, in turn.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::name::GroupName;
use crate::raw::Connection;
use crate::trampoline::MEMBERS_MAX;

/// A joined handle, and whether it has been told to leave.
#[derive(Debug)]
pub(crate) struct Joined {
    handle: Handle,
    leaving: Cell<bool>,
}

impl Joined {
    /// Makes a request that sends, and refuses what libcpg would lose without a word (B1).
    fn send<R>(&self, call: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        if self.leaving.get() { Err(Error::Left) } else { call(self.handle.connection()) }
    }

    fn leave(&self, group: &GroupName) -> Result<()> {
        self.handle.connection().leave(group)?;
        self.leaving.set(true);
        Ok(())
    }
}

/// A joined handle that several threads use, one at a time.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<Inner>);

/// Closes a shared handle when it goes, whoever else has it.
#[derive(Debug)]
pub(crate) struct Closes(pub(crate) Shared);

impl Drop for Closes {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

#[derive(Debug)]
struct Inner {
    /// The process that shared it. A child of it may have a copy of the lock that nobody will give back (A7).
    owner: u32,
    /// None once it has left.
    joined: Mutex<Option<Joined>>,
    /// Whether who has the lock waits for the daemon, without a limit (B16).
    waits: AtomicBool,
}

impl Shared {
    fn new(joined: Joined) -> Self {
        let owner = std::process::id();
        Self(Arc::new(Inner { owner, joined: Mutex::new(Some(joined)), waits: AtomicBool::new(false) }))
    }

    /// The lock, if nobody has it.
    fn try_lock(&self) -> Result<Option<MutexGuard<'_, Option<Joined>>>> {
        let owner = self.0.owner;
        match self.0.joined.try_lock() {
            Ok(joined) => Ok(Some(joined)),
            Err(TryLockError::Poisoned(joined)) => Ok(Some(joined.into_inner())),
            Err(TryLockError::WouldBlock) if std::process::id() == owner => Ok(None),
            Err(TryLockError::WouldBlock) => Err(Error::Forked { owner }),
        }
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<Joined>>> {
        let free = self.try_lock()?;
        Ok(free.unwrap_or_else(|| self.0.joined.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The lock, as soon as it can be had without waiting for the daemon; refused as flow control is while another waits.
    fn lock_soon(&self) -> Result<MutexGuard<'_, Option<Joined>>> {
        loop {
            if let Some(joined) = self.try_lock()? {
                return Ok(joined);
            }
            if self.0.waits.load(Ordering::Acquire) {
                return Err(Error::cs("cpg_mcast_joined", cpg_sys::CS_ERR_TRY_AGAIN));
            }
            // Whoever has it copies a message and is about to give it back.
            std::thread::yield_now();
        }
    }

    fn with<R>(joined: Option<&Joined>, call: impl FnOnce(&Joined) -> Result<R>) -> Result<R> {
        joined.map_or(Err(Error::Left), call)
    }

    /// Makes a request that sends.
    pub(crate) fn send<R>(&self, call: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        Self::with(self.lock()?.as_ref(), |joined| joined.send(call))
    }

    /// Makes a request that sends and does not wait, nor for others that do: that is refused as flow control is.
    pub(crate) fn send_soon<R>(&self, call: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        Self::with(self.lock_soon()?.as_ref(), |joined| joined.send(call))
    }

    /// Makes a request that waits for the daemon.
    pub(crate) fn wait<R>(&self, call: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        self.waiting(|joined| call(joined.handle.connection()))
    }

    /// Counts the members of a group, up to one more than there is room for.
    pub(crate) fn count(&self, group: &GroupName) -> Result<usize> {
        self.wait(|connection| count(connection, group))
    }

    /// Makes a request that sends and waits for the daemon.
    pub(crate) fn send_waiting<R>(&self, call: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        self.waiting(|joined| joined.send(call))
    }

    /// Leaves; no send follows it.
    pub(crate) fn leave(&self, group: &GroupName) -> Result<()> {
        self.waiting(|joined| joined.leave(group))
    }

    fn waiting<R>(&self, call: impl FnOnce(&Joined) -> Result<R>) -> Result<R> {
        let joined = self.lock()?;
        self.0.waits.store(true, Ordering::Release);
        let result = Self::with(joined.as_ref(), call);
        self.0.waits.store(false, Ordering::Release);
        result
    }

    /// The handle, which nobody else can use from now on.
    pub(crate) fn take(&self) -> Option<Handle> {
        self.lock().ok()?.take().map(|joined| joined.handle)
    }
}

fn count(connection: &Connection, group: &GroupName) -> Result<usize> {
    Ok(connection.first_members(group, MEMBERS_MAX + 1)?.len())
}

/// The way of a [`Link`](crate::Link) to make requests.
#[derive(Debug)]
pub(crate) enum Requests {
    /// Without a lock: the value is not `Sync`.
    Own(Joined),
    /// With one.
    Shared(Shared),
    /// With one, and without waiting for the daemon.
    #[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "for executors"))]
    Soon(Shared),
}

impl Requests {
    pub(crate) fn own(handle: Handle) -> Self {
        Self::Own(Joined { handle, leaving: Cell::new(false) })
    }

    /// Makes a request that waits for the daemon.
    pub(crate) fn wait<R>(
        &self,
        name: &'static str,
        call: impl FnOnce(&Connection) -> Result<R>,
    ) -> Result<R> {
        match self {
            Self::Own(joined) => call(joined.handle.connection()),
            Self::Shared(shared) => shared.wait(call),
            Self::Soon(_) => Err(Error::Waits { call: name }),
        }
    }

    /// Makes a request that sends without waiting.
    pub(crate) fn send<R>(&self, call: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        match self {
            Self::Own(joined) => joined.send(call),
            Self::Shared(shared) => shared.send(call),
            Self::Soon(shared) => shared.send_soon(call),
        }
    }

    /// Makes a request that sends and waits for the daemon.
    pub(crate) fn send_waiting<R>(
        &self,
        name: &'static str,
        call: impl FnOnce(&Connection) -> Result<R>,
    ) -> Result<R> {
        match self {
            Self::Own(joined) => joined.send(call),
            Self::Shared(shared) => shared.send_waiting(call),
            Self::Soon(_) => Err(Error::Waits { call: name }),
        }
    }

    /// Counts the members of a group, up to one more than there is room for, however long it takes: before the next event of a
    /// full group is taken (A8).
    pub(crate) fn count(&self, group: &GroupName) -> Result<usize> {
        match self {
            Self::Own(joined) => count(joined.handle.connection(), group),
            Self::Shared(shared) | Self::Soon(shared) => shared.count(group),
        }
    }

    /// Leaves; no send follows it.
    pub(crate) fn leave(&self, group: &GroupName) -> Result<()> {
        match self {
            Self::Own(joined) => joined.leave(group),
            Self::Shared(shared) | Self::Soon(shared) => shared.leave(group),
        }
    }

    /// The handle, which nobody else can use from now on.
    pub(crate) fn into_handle(self) -> Option<Handle> {
        match self {
            Self::Own(joined) => Some(joined.handle),
            Self::Shared(shared) | Self::Soon(shared) => shared.take(),
        }
    }

    /// The same for several threads.
    pub(crate) fn share(self) -> Shared {
        match self {
            Self::Own(joined) => Shared::new(joined),
            Self::Shared(shared) | Self::Soon(shared) => shared,
        }
    }

    /// What is shared, if it is.
    pub(crate) fn shared(&self) -> Option<Shared> {
        match self {
            Self::Own(_) => None,
            Self::Shared(shared) | Self::Soon(shared) => Some(shared.clone()),
        }
    }

    /// The handle, where it is the group's alone.
    pub(crate) fn handle(&self) -> Option<&Handle> {
        match self {
            Self::Own(joined) => Some(&joined.handle),
            Self::Shared(_) | Self::Soon(_) => None,
        }
    }
}
