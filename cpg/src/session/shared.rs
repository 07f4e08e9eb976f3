//! One membership for several threads: the part that senders and receiver share.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::ffi::iteration::Beside;
use crate::ffi::requests::{Counted, RequestHalf};
use crate::group_name::GroupName;
use crate::guarantee::Guarantee;
use crate::handle::backoff::{Pauses, retry_interrupted};
use crate::handle::daemon::Daemon;
use crate::handle::members::members_if_small;
use crate::member::{Member, NodeId};
use crate::os::fork::Owner;
use crate::os::lock::Lock;
use crate::os::readiness::Readiness;
use crate::packet::format::MAX_MESSAGE;
use crate::packet::write;
use crate::session::flow::{Flow, Sizes};
use crate::session::outbox::Outbox;
use crate::session::sent::Sent;

/// How often a long message that membership changes stop (B8) is begun again.
const RESTARTS: usize = 100;

/// A membership that several threads use: its queue, and the half of the connection that makes requests, one at a time.
#[derive(Debug)]
pub(crate) struct Shared {
    name: GroupName,
    sizes: Sizes,
    max_atomic: usize,
    /// The process that joined.
    owner: Owner,
    pid: u32,
    /// The node that this is, which a daemon that comes back may call by another number.
    node: AtomicU32,
    /// None while there is no membership: the queue knows why. The receiver alone puts one in and takes it out.
    access: Lock<Option<Joined>>,
    /// Tickets share it, and do not keep the membership.
    outbox: Arc<Outbox>,
}

/// A connection that has joined, as far as requests can be made on it.
#[derive(Debug)]
struct Joined {
    daemon: Daemon,
    /// Which membership it is of, from 1.
    generation: u64,
    /// The daemon has been told of the leave, and would lose what is sent without a word (B1).
    told: bool,
}

impl Joined {
    #[inline]
    fn send(&self, slices: &[IoSlice<'_>]) -> Result<()> {
        if self.told { Err(Error::Left) } else { self.daemon.half().mcast(Guarantee::Agreed, slices) }
    }
}

/// Closes the connection when it goes, whoever else has the membership.
#[derive(Debug)]
pub(crate) struct Closes(pub(crate) Arc<Shared>);

impl Drop for Closes {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

impl Shared {
    /// `daemon` is that of a handle which has joined, and is the member `me`; `comeback` as in [`Outbox::new`].
    pub(super) fn new(
        daemon: Daemon,
        name: GroupName,
        me: Member,
        flow: Flow,
        comeback: Option<bool>,
        readiness: Readiness,
    ) -> Self {
        let max_atomic = daemon.max_atomic_message_size();
        let flow = flow.packet_size(flow.sizes().packet.min(max_atomic));
        let outbox = Outbox::new(flow, comeback, readiness);
        Self {
            name,
            sizes: flow.sizes(),
            max_atomic,
            owner: Owner::this_process(),
            pid: me.pid(),
            node: AtomicU32::new(me.node().get()),
            access: Lock::new(Some(Joined { daemon, generation: outbox.generation(), told: false })),
            outbox: Arc::new(outbox),
        }
    }

    /// Refuses a child of the process that joined.
    #[inline]
    pub(crate) fn check_owner(&self) -> Result<()> {
        self.owner.check()
    }

    pub(crate) fn name(&self) -> &GroupName {
        &self.name
    }

    #[inline]
    pub(crate) fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Returns the member that this is.
    pub(crate) fn me(&self) -> Member {
        Member::new(NodeId::new(self.node.load(Ordering::Relaxed)), self.pid)
    }

    /// Returns the longest message that goes out in one piece.
    #[inline]
    pub(crate) fn max_atomic_message_size(&self) -> usize {
        self.max_atomic.saturating_sub(self.sizes.overhead())
    }

    #[inline]
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Returns the queue for a ticket.
    pub(crate) fn ticket_outbox(&self) -> Arc<Outbox> {
        Arc::clone(&self.outbox)
    }

    /// Sends a message of the queue, unless another is making a request. While the session is away the queue sends none: without
    /// a connection it has been left.
    #[inline]
    fn send_now(&self, bytes: &[u8]) -> Option<Result<()>> {
        match self.access.try_lock() {
            Ok(access) => {
                access.map(|access| access.as_ref().ok_or(Error::Left)?.send(&[IoSlice::new(bytes)]))
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// Returns why there was no connection a moment ago, for those who have given the lock on the requests back.
    fn absence(&self) -> Error {
        // It may have come back since.
        self.outbox.absence().unwrap_or(Error::NoMembership)
    }

    /// Returns what the queue sends its messages by.
    #[inline]
    pub(crate) fn wire(&self) -> impl Fn(&[u8]) -> Option<Result<()>> {
        |bytes| self.send_now(bytes)
    }

    /// Queues a message. Refuses one that waits for the daemon.
    #[inline]
    pub(crate) fn queue(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        match self.len(slices)? {
            (_, true) => Err(Error::WouldWait { call: "cpg_mcast_joined" }),
            (len, false) => self.outbox.push(slices, len, &self.wire()),
        }
    }

    /// Queues a message, or sends it if it is long, and waits for that until the deadline.
    pub(crate) fn queue_waiting(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> Result<Sent> {
        match self.len(slices)? {
            (len, true) => self.send_long(&self.gather(slices, len), deadline),
            (len, false) => self.outbox.push_waiting(slices, len, deadline, &self.wire()),
        }
    }

    /// Returns the length of a message, and whether it goes out in parts, each of which waits for the daemon.
    #[inline]
    pub(crate) fn len(&self, slices: &[IoSlice<'_>]) -> Result<(usize, bool)> {
        let len = slices.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        if len <= self.max_atomic_message_size() {
            return Ok((len, false));
        }
        let limit = MAX_MESSAGE - self.sizes.overhead();
        if len > limit { Err(Error::MessageTooLong { len, limit }) } else { Ok((len, true)) }
    }

    /// Returns a long message as it is sent.
    pub(crate) fn gather(&self, slices: &[IoSlice<'_>], len: usize) -> Arc<[u8]> {
        let mut bytes = Vec::with_capacity(len + self.sizes.overhead());
        if self.sizes.coalesce {
            write::begin(&mut bytes);
            write::push_slices(&mut bytes, slices, len);
        } else {
            for slice in slices {
                bytes.extend_from_slice(slice);
            }
        }
        bytes.into()
    }

    /// Sends a long message in its turn, again when membership changes stop it.
    pub(crate) fn send_long(&self, bytes: &Arc<[u8]>, deadline: Option<Instant>) -> Result<Sent> {
        let call = |bytes: &[u8], generation| {
            retry_interrupted(RESTARTS, deadline, Pauses::SEND, || {
                let access = self.access.lock()?;
                match &*access {
                    Some(joined) if joined.generation == generation => joined.send(&[IoSlice::new(bytes)]),
                    // A message that was begun in one membership does not go on in the next.
                    Some(_) => Err(Error::NoMembership),
                    None => {
                        drop(access);
                        Err(self.absence())
                    }
                }
            })
        };
        let sent = self.outbox.send_long(bytes, deadline, &self.wire(), call);
        self.go_on();
        sent
    }

    /// Sends what was put off while this or another one waited for the daemon.
    pub(crate) fn go_on(&self) {
        self.outbox.go_on(&self.wire());
    }

    /// Nobody dispatches any more.
    pub(crate) fn unheard(&self) {
        self.outbox.unheard(&self.wire());
    }

    /// Makes a request that waits for the daemon.
    fn request<R>(&self, call: impl FnOnce(&RequestHalf) -> Result<R>) -> Result<R> {
        let result = self.access.lock()?.as_ref().map(|joined| call(joined.daemon.half()));
        self.go_on();
        result.unwrap_or_else(|| Err(self.absence()))
    }

    /// Makes an iteration, on a connection of its own and without the lock: senders go on meanwhile.
    fn iterate<R>(&self, call: impl FnOnce(Beside, &GroupName) -> Result<R>) -> Result<R> {
        let beside = self.request(RequestHalf::beside)?;
        let listed = call(beside, &self.name);
        self.request(|half| half.judge(listed))
    }

    /// Asks for the members of the group.
    pub(crate) fn members(&self) -> Result<Vec<Member>> {
        let small = self.request(|half| members_if_small(half, &self.name))?;
        small.map_or_else(|| self.iterate(|beside, name| beside.first_members(name, usize::MAX)), Ok)
    }

    /// Counts the members of a full group (A8).
    pub(crate) fn count(&self) -> Result<Counted> {
        self.iterate(Beside::count)
    }

    /// Leaves; no send follows it.
    pub(crate) fn leave(&self) -> Result<()> {
        let mut access = self.access.lock()?;
        let joined = access.as_mut().ok_or(Error::Left)?;
        joined.daemon.half().leave(&self.name)?;
        joined.told = true;
        Ok(())
    }

    /// As [`take`](Self::take), unless another has the lock on it.
    pub(super) fn try_take(&self) -> Option<Daemon> {
        self.access.try_lock().ok()??.take().map(|joined| joined.daemon)
    }

    /// Takes the connection, which nobody else can use from now on.
    pub(crate) fn take(&self) -> Option<Daemon> {
        self.access.lock().ok()?.take().map(|joined| joined.daemon)
    }

    /// Goes on with another connection.
    pub(super) fn replace(&self, daemon: Daemon, me: Member) -> Result<()> {
        let generation = self.outbox.generation() + 1;
        *self.access.lock()? = Some(Joined { daemon, generation, told: false });
        self.node.store(me.node().get(), Ordering::Relaxed);
        Ok(())
    }
}
