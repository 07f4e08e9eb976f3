//! Who may make requests on a joined handle: its group alone, or the halves of a split one, in turn.

use std::cell::Cell;
use std::io::IoSlice;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use crate::cause::Cause;
use crate::cs_error::CsError;
use crate::error::{Error, Result};
use crate::ffi::raw::{Connection, Process};
use crate::ffi::trampoline::MEMBERS_MAX;
use crate::group::link::{PAUSES, retry_times};
use crate::group_name::GroupName;
use crate::guarantee::Guarantee;
use crate::handle::handle::Handle;
use crate::member::{Member, NodeId};
use crate::os::readiness::Readiness;
use crate::packet;
use crate::session::flow::Flow;
use crate::session::outbox::Outbox;
use crate::session::ticket::Ticket;

/// How often a long message that membership changes stop (B8) is begun again.
const RESTARTS: usize = 100;

/// A joined handle, or none while its group is on its way back; and whether messages may be sent.
#[derive(Debug)]
pub(crate) struct Joined {
    handle: Option<Handle>,
    /// Counts memberships, from 1.
    generation: u64,
    gate: Cell<Gate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// The handler has not heard that the group has come back.
    Away,
    /// The daemon has been told of the leave.
    Leaving,
}

impl Joined {
    fn new(handle: Option<Handle>, generation: u64, gate: Gate) -> Self {
        Self { handle, generation, gate: Cell::new(gate) }
    }

    #[inline]
    fn handle(&self) -> Result<&Handle> {
        self.handle.as_ref().ok_or(Error::Away)
    }

    fn connection(&self) -> Result<&Connection> {
        self.handle().map(Handle::connection)
    }

    /// Makes a request that sends, and refuses what libcpg would lose without a word (B1).
    #[inline]
    fn send<R>(&self, call: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        match self.gate.get() {
            Gate::Open => call(self.connection()?),
            Gate::Away => Err(Error::Away),
            Gate::Leaving => Err(Error::Left),
        }
    }

    /// The handler is about to hear that the group has come back, which may be being left by now.
    fn reopen(&self) {
        if self.gate.get() == Gate::Away {
            self.gate.set(Gate::Open);
        }
    }

    fn leave(&self, group: &GroupName) -> Result<()> {
        self.connection()?.leave(group)?;
        self.gate.set(Gate::Leaving);
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
    /// A child of it may have a copy of the lock that nobody will give back (A7).
    process: Process,
    flow: Flow,
    max_atomic: usize,
    /// The node that this is, which a daemon that comes back may call by another number.
    node: AtomicU32,
    /// None once it has left.
    joined: Mutex<Option<Joined>>,
    outbox: Arc<Outbox>,
}

impl Shared {
    fn new(joined: Joined, with: With) -> Self {
        let With { process, flow, max_atomic, comeback, me, earlier, readiness } = with;
        let flow = flow.packet_size(flow.packet.min(max_atomic));
        let outbox = Outbox::new(process, flow, comeback, joined.generation, earlier, readiness);
        if joined.gate.replace(Gate::Open) == Gate::Away {
            outbox.lose(GONE);
        }
        let (node, joined) = (AtomicU32::new(me.node().get()), Mutex::new(Some(joined)));
        Self(Arc::new(Inner { process, flow, max_atomic, node, joined, outbox: Arc::new(outbox) }))
    }

    /// The member that this is.
    pub(crate) fn me(&self) -> Member {
        Member::new(NodeId::new(self.0.node.load(Ordering::Relaxed)), std::process::id())
    }

    /// Which membership this is, from 1.
    pub(crate) fn generation(&self) -> u64 {
        self.outbox().generation()
    }

    /// Takes out the handle of a membership that has ended, while the next one is sought.
    pub(crate) fn take_lost(&self) -> Option<Handle> {
        self.lock().ok()?.as_mut()?.handle.take()
    }

    /// Goes on with another handle, unless the group has been left.
    fn replace(&self, handle: Handle, me: Member, generation: u64) -> Result<()> {
        if let Some(joined) = &mut *self.lock()? {
            *joined = Joined::new(Some(handle), generation, Gate::Open);
            self.0.node.store(me.node().get(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Lets messages be sent in the membership that has begun.
    pub(crate) fn reopen(&self, generation: u64) {
        self.outbox().reopen(generation, &|bytes| self.send_now(bytes));
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// Says what becomes of the message with that number.
    pub(crate) fn ticket(&self, number: u64) -> Ticket {
        Ticket::new(Arc::clone(&self.0.outbox), number)
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<Joined>>> {
        self.0.process.check()?;
        Ok(self.0.joined.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends a message of the queue, unless another is making a request.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> Option<Result<()>> {
        let joined = match self.0.joined.try_lock() {
            Ok(joined) => joined,
            Err(TryLockError::Poisoned(joined)) => joined.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let slices = [IoSlice::new(bytes)];
        let mcast = |connection: &Connection| connection.mcast(Guarantee::Agreed, &slices);
        Some(Self::with(joined.as_ref(), |joined| joined.send(mcast)))
    }

    /// Queues a message, and gives its number. Refuses one that waits for the daemon.
    pub(crate) fn queue(&self, slices: &[IoSlice<'_>]) -> Result<u64> {
        match self.len(slices)? {
            (_, true) => Err(Error::Waits { call: "cpg_mcast_joined" }),
            (len, false) => self.outbox().push(slices, len, &|bytes| self.send_now(bytes)),
        }
    }

    /// Queues a message, or sends it if it is long, and waits for that until the deadline.
    pub(crate) fn queue_waiting(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> Result<u64> {
        let (len, long) = self.len(slices)?;
        if long {
            self.send_long(&self.gather(slices, len), deadline)
        } else {
            self.queue_short(slices, len, deadline)
        }
    }

    fn queue_short(&self, slices: &[IoSlice<'_>], len: usize, deadline: Option<Instant>) -> Result<u64> {
        self.outbox().push_waiting(slices, len, deadline, &|bytes| self.send_now(bytes))
    }

    /// The length of a message, and whether it goes out in parts, each of which waits for the daemon.
    pub(crate) fn len(&self, slices: &[IoSlice<'_>]) -> Result<(usize, bool)> {
        let len = slices.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        let overhead = self.0.flow.overhead();
        let limit = packet::MAX_MESSAGE - overhead;
        if len > limit {
            return Err(Error::MessageTooLong { len, limit });
        }
        Ok((len, len + overhead > self.0.max_atomic))
    }

    /// A long message as it is sent.
    pub(crate) fn gather(&self, slices: &[IoSlice<'_>], len: usize) -> Arc<[u8]> {
        let mut bytes = Vec::with_capacity(len + self.0.flow.overhead());
        if self.0.flow.coalesce {
            packet::begin(&mut bytes);
            packet::push_slices(&mut bytes, slices, len);
        } else {
            for slice in slices {
                bytes.extend_from_slice(slice);
            }
        }
        bytes.into()
    }

    /// Sends a long message in its turn, again when membership changes stop it.
    pub(crate) fn send_long(&self, bytes: &Arc<[u8]>, deadline: Option<Instant>) -> Result<u64> {
        let call = |bytes: &[u8], generation| {
            retry_times(RESTARTS, deadline, PAUSES, || {
                self.request_in(generation, |joined| {
                    joined.send(|connection| connection.mcast(Guarantee::Agreed, &[IoSlice::new(bytes)]))
                })
            })
        };
        let number = self.outbox().send_long(bytes, deadline, &|bytes| self.send_now(bytes), call);
        self.go_on();
        number
    }

    /// Sends by `call`, which waits for the daemon, if nothing waits to be sent before it.
    pub(crate) fn send_past(&self, bytes: &[u8], call: impl FnOnce(&Connection) -> Result<()>) -> Result<()> {
        let now = Some(Instant::now());
        let call = |_: &[u8], generation| self.request_in(generation, |joined| joined.send(call));
        let number = self.outbox().send_long(&bytes.into(), now, &|bytes| self.send_now(bytes), call);
        self.go_on();
        number.map(drop)
    }

    /// Nobody dispatches any more.
    pub(crate) fn unheard(&self) {
        self.outbox().unheard(&|bytes| self.send_now(bytes));
    }

    /// Sends what was put off while this or another one waited for the daemon.
    pub(crate) fn go_on(&self) {
        self.outbox().go_on(&|bytes| self.send_now(bytes));
    }

    fn with<R>(joined: Option<&Joined>, call: impl FnOnce(&Joined) -> Result<R>) -> Result<R> {
        joined.map_or(Err(Error::Left), call)
    }

    /// Makes a request that waits for the daemon.
    pub(crate) fn wait<R>(&self, call: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        let result = self.request(|joined| call(joined.connection()?));
        self.go_on();
        result
    }

    /// Counts the members of a group, up to one more than there is room for.
    pub(crate) fn count(&self, group: &GroupName) -> Result<usize> {
        self.wait(|connection| count(connection, group))
    }

    /// Leaves; no send follows it.
    pub(crate) fn leave(&self, group: &GroupName) -> Result<()> {
        self.request(|joined| joined.leave(group))
    }

    fn request<R>(&self, call: impl FnOnce(&Joined) -> Result<R>) -> Result<R> {
        Self::with(self.lock()?.as_ref(), call)
    }

    /// As [`request`](Self::request), in that membership alone: what was begun in one does not go on in the next.
    fn request_in<R>(&self, generation: u64, call: impl FnOnce(&Joined) -> Result<R>) -> Result<R> {
        self.request(|joined| if joined.generation == generation { call(joined) } else { Err(Error::Away) })
    }

    /// The handle, which nobody else can use from now on.
    pub(crate) fn take(&self) -> Option<Handle> {
        self.lock().ok()?.take().and_then(|joined| joined.handle)
    }
}

/// What a group that is shared out has been so far.
#[derive(Debug)]
pub(crate) struct With {
    pub(crate) process: Process,
    pub(crate) flow: Flow,
    pub(crate) max_atomic: usize,
    /// As in [`Outbox::new`].
    pub(crate) comeback: Option<bool>,
    pub(crate) me: Member,
    /// Own messages that have been sent and not come back.
    pub(crate) earlier: u64,
    pub(crate) readiness: Readiness,
}

/// Why there is no membership, where nobody waits to be told.
const GONE: Cause = Cause::Cs { call: "cpg_dispatch", code: CsError::Library };

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
        Self::Own(Joined::new(Some(handle), 1, Gate::Open))
    }

    /// Makes a request that waits for the daemon.
    pub(crate) fn wait<R>(
        &self,
        name: &'static str,
        call: impl FnOnce(&Connection) -> Result<R>,
    ) -> Result<R> {
        match self {
            Self::Own(joined) => call(joined.connection()?),
            Self::Shared(shared) => shared.wait(call),
            Self::Soon(_) => Err(Error::Waits { call: name }),
        }
    }

    /// Sends a message; `own` makes the request where there is no queue.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a return over a system call is mispredicted, and costs more than the rest"
    )]
    pub(crate) fn send(
        &self,
        slices: &[IoSlice<'_>],
        own: impl FnOnce(&Connection) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Own(joined) => joined.send(own),
            Self::Shared(shared) | Self::Soon(shared) => shared.queue(slices).map(drop),
        }
    }

    /// Sends what `bytes` are a copy of by `call`, which waits for the daemon.
    pub(crate) fn send_past(
        &self,
        name: &'static str,
        bytes: &[u8],
        call: impl FnOnce(&Connection) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Own(joined) => joined.send(call),
            Self::Shared(shared) => shared.send_past(bytes, call),
            Self::Soon(_) => Err(Error::Waits { call: name }),
        }
    }

    /// Counts the members of a group, up to one more than there is room for, however long it takes: before the next event of a
    /// full group is taken (A8).
    pub(crate) fn count(&self, group: &GroupName) -> Result<usize> {
        match self {
            Self::Own(joined) => count(joined.connection()?, group),
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
            Self::Own(joined) => joined.handle,
            Self::Shared(shared) | Self::Soon(shared) => shared.take(),
        }
    }

    /// What closes the handle of a membership that has ended, in whatever thread.
    pub(crate) fn lose(&mut self) -> impl FnOnce() + Send + 'static {
        let (own, shared) = match self {
            Self::Own(joined) => {
                joined.gate.set(Gate::Away);
                (joined.handle.take(), None)
            }
            Self::Shared(shared) | Self::Soon(shared) => (None, Some(shared.clone())),
        };
        move || drop(own.or_else(|| shared?.take_lost()))
    }

    /// Goes on with another handle.
    pub(crate) fn replace(&mut self, handle: Handle, me: Member, generation: u64) -> Result<()> {
        match self {
            Self::Own(joined) => *joined = Joined::new(Some(handle), generation, Gate::Away),
            Self::Shared(shared) | Self::Soon(shared) => shared.replace(handle, me, generation)?,
        }
        Ok(())
    }

    /// Lets messages be sent in the membership that has begun.
    pub(crate) fn reopen(&self, generation: u64) {
        match self {
            Self::Own(joined) => joined.reopen(),
            Self::Shared(shared) | Self::Soon(shared) => shared.reopen(generation),
        }
    }

    /// The same for several threads.
    pub(crate) fn share(self, with: With) -> Shared {
        match self {
            Self::Own(joined) => Shared::new(joined, with),
            Self::Shared(shared) | Self::Soon(shared) => shared,
        }
    }

    /// The same where nothing may wait for the daemon, if they are shared.
    #[cfg(feature = "tokio")]
    pub(crate) fn soon(self) -> Self {
        match self {
            Self::Shared(shared) => Self::Soon(shared),
            requests => requests,
        }
    }

    /// What is shared, if it is.
    #[inline]
    pub(crate) fn shared(&self) -> Option<&Shared> {
        match self {
            Self::Own(_) => None,
            Self::Shared(shared) | Self::Soon(shared) => Some(shared),
        }
    }

    /// The handle, where it is the group's alone and there is one.
    pub(crate) fn handle(&self) -> Result<&Handle> {
        match self {
            Self::Own(joined) => joined.handle(),
            Self::Shared(_) | Self::Soon(_) => Err(Error::Left),
        }
    }
}
