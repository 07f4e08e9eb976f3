//! One membership for several threads: the part that senders and receiver share.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::ffi::requests::{Counted, RequestHalf};
use crate::group::backoff::{Pauses, retry_interrupted};
use crate::group_name::GroupName;
use crate::guarantee::Guarantee;
use crate::handle::daemon::Daemon;
use crate::handle::members::own_members;
use crate::member::{Member, NodeId};
use crate::os::fork::Owner;
use crate::os::lock::Lock;
use crate::os::readiness::Readiness;
use crate::packet::format::MAX_MESSAGE;
use crate::packet::write;
use crate::session::flow::Flow;
use crate::session::outbox::Outbox;
use crate::session::sent::Sent;

/// How often a long message that membership changes stop (B8) is begun again.
const RESTARTS: usize = 100;

/// A membership that several threads use: its queue, and the half of the connection that makes requests, one at a time.
#[derive(Debug)]
pub(crate) struct Shared {
    name: GroupName,
    flow: Flow,
    max_atomic: usize,
    /// The process that joined.
    owner: Owner,
    pid: u32,
    /// The node that this is, which a daemon that comes back may call by another number.
    node: AtomicU32,
    access: Lock<Access>,
    /// Tickets share it, and do not keep the membership.
    outbox: Arc<Outbox>,
}

/// The connection, as far as requests can be made on it. The receiver alone changes it.
#[derive(Debug)]
enum Access {
    Joined {
        daemon: Daemon,
        /// Which membership it is of, from 1.
        generation: u64,
        /// The daemon has been told of the leave, and would lose what is sent without a word (B1).
        told: bool,
    },
    /// The session is on its way back.
    Away,
    /// There is no membership, and no other one follows.
    Left,
}

impl Access {
    fn half(&self) -> Result<&RequestHalf> {
        match self {
            Self::Joined { daemon, .. } => Ok(daemon.half()),
            Self::Away => Err(Error::NoMembership),
            Self::Left => Err(Error::Left),
        }
    }

    #[inline]
    fn send(&self, slices: &[IoSlice<'_>]) -> Result<()> {
        match self {
            Self::Joined { told: true, .. } => Err(Error::Left),
            access => access.half()?.mcast(Guarantee::Agreed, slices),
        }
    }

    fn take_lost(&mut self) -> Option<Daemon> {
        let after = if matches!(self, Self::Left) { Self::Left } else { Self::Away };
        self.take(after)
    }

    fn take(&mut self, after: Self) -> Option<Daemon> {
        match std::mem::replace(self, after) {
            Self::Joined { daemon, .. } => Some(daemon),
            Self::Away | Self::Left => None,
        }
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
        let flow = flow.packet_size(flow.packet.min(max_atomic));
        let outbox = Outbox::new(flow, comeback, readiness);
        Self {
            name,
            flow,
            max_atomic,
            owner: Owner::this_process(),
            pid: me.pid(),
            node: AtomicU32::new(me.node().get()),
            access: Lock::new(Access::Joined { daemon, generation: outbox.generation(), told: false }),
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
    pub(crate) fn flow(&self) -> Flow {
        self.flow
    }

    /// Returns the member that this is.
    pub(crate) fn me(&self) -> Member {
        Member::new(NodeId::new(self.node.load(Ordering::Relaxed)), self.pid)
    }

    /// Returns the longest message that goes out in one piece.
    #[inline]
    pub(crate) fn max_atomic_message_size(&self) -> usize {
        self.max_atomic.saturating_sub(self.flow.overhead())
    }

    #[inline]
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Returns the queue for a ticket.
    pub(crate) fn ticket_outbox(&self) -> Arc<Outbox> {
        Arc::clone(&self.outbox)
    }

    /// Sends a message of the queue, unless another is making a request.
    #[inline]
    fn send_now(&self, bytes: &[u8]) -> Option<Result<()>> {
        match self.access.try_lock() {
            Ok(access) => access.map(|access| access.send(&[IoSlice::new(bytes)])),
            Err(error) => Some(Err(error)),
        }
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
        let limit = MAX_MESSAGE - self.flow.overhead();
        if len > limit { Err(Error::MessageTooLong { len, limit }) } else { Ok((len, true)) }
    }

    /// Returns a long message as it is sent.
    pub(crate) fn gather(&self, slices: &[IoSlice<'_>], len: usize) -> Arc<[u8]> {
        let mut bytes = Vec::with_capacity(len + self.flow.overhead());
        if self.flow.coalesce {
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
            retry_interrupted(RESTARTS, deadline, Pauses::SEND, || match &*self.access.lock()? {
                // A message that was begun in one membership does not go on in the next.
                Access::Joined { generation: now, .. } if *now != generation => Err(Error::NoMembership),
                access => access.send(&[IoSlice::new(bytes)]),
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
        let result = self.access.lock().and_then(|access| call(access.half()?));
        self.go_on();
        result
    }

    /// Asks for the members of the group.
    pub(crate) fn members(&self) -> Result<Vec<Member>> {
        self.request(|half| own_members(half, &self.name))
    }

    /// Counts the members of a full group (A8).
    pub(crate) fn count(&self) -> Result<Counted> {
        self.request(|half| half.count(&self.name))
    }

    /// Leaves; no send follows it.
    pub(crate) fn leave(&self) -> Result<()> {
        let mut access = self.access.lock()?;
        access.half()?.leave(&self.name)?;
        if let Access::Joined { told, .. } = &mut *access {
            *told = true;
        }
        Ok(())
    }

    /// Takes the connection of a membership that has ended, while the next one is sought.
    pub(super) fn take_lost(&self) -> Option<Daemon> {
        self.access.lock().ok()?.take_lost()
    }

    /// As [`take_lost`](Self::take_lost), unless another has it.
    pub(super) fn try_take_lost(&self) -> Option<Daemon> {
        self.access.try_lock().ok()??.take_lost()
    }

    /// Takes the connection, which nobody else can use from now on.
    pub(crate) fn take(&self) -> Option<Daemon> {
        self.access.lock().ok()?.take(Access::Left)
    }

    /// Goes on with another connection, unless the group has been left.
    pub(super) fn replace(&self, daemon: Daemon, me: Member) -> Result<()> {
        let mut access = self.access.lock()?;
        if !matches!(*access, Access::Left) {
            let generation = self.outbox.generation() + 1;
            *access = Access::Joined { daemon, generation, told: false };
            self.node.store(me.node().get(), Ordering::Relaxed);
        }
        Ok(())
    }
}
