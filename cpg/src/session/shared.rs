//! One membership for several threads: the part that senders and receiver share.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::ffi::call::Requests;
use crate::ffi::options::ConnectOptions;
use crate::ffi::requests::{Counted, RequestHalf};
use crate::group_name::GroupName;
use crate::handle::daemon::Daemon;
use crate::handle::members::small_now;
use crate::member::{Member, NodeId};
use crate::os::fork::Owner;
use crate::os::patience::Patience;
use crate::os::readiness::Readiness;
use crate::packet::format::MAX_MESSAGE;
use crate::session::access::Joined;
use crate::session::flow::{Flow, Sizes};
use crate::session::outbox::{Handed, Outbox};
use crate::session::pipeline::Bytes;
use crate::session::sent::Sent;
use crate::session::wire::Wire;

/// How long the last owner waits for a message that is sent in parts, before closing the connection is left to the thread of
/// that.
const CLOSING: Duration = Duration::from_secs(1);

/// A membership that several threads use: its queue and its connection.
#[derive(Debug)]
pub(crate) struct Shared {
    name: GroupName,
    sizes: Sizes,
    max_atomic: usize,
    /// The options of its connections, for their time limit.
    connect: ConnectOptions,
    /// The process that joined.
    owner: Owner,
    pid: u32,
    /// The node that this is, which a daemon that comes back may call by another number.
    node: AtomicU32,
    /// The receiver alone puts a connection in and takes one out.
    wire: Wire,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let until = Instant::now() + CLOSING;
        // What waits behind a message in parts is sent after it.
        while self.outbox().has_parted(until) {
            self.outbox().go_on(&self.wire());
        }
        drop(self.take());
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
            connect: daemon.requests().options(),
            owner: Owner::this_process(),
            pid: me.pid(),
            node: AtomicU32::new(me.node().get()),
            wire: Wire::new(Joined::new(daemon), outbox),
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
        &self.wire.outbox
    }

    /// Returns the queue for a ticket.
    pub(crate) fn ticket_outbox(&self) -> Arc<Outbox> {
        Arc::clone(&self.wire.outbox)
    }

    /// Returns why there was no connection a moment ago.
    fn absence(&self) -> Error {
        // It may have come back since.
        self.outbox().absence().unwrap_or(Error::NoMembership)
    }

    /// Returns what the queue sends its messages by.
    #[inline]
    pub(crate) fn wire(&self) -> impl Fn(u64, &mut Bytes) -> Handed {
        self.wire.send()
    }

    /// Queues a message.
    #[inline]
    pub(crate) fn queue(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.outbox().push(slices, self.len(slices)?, &self.wire())
    }

    /// Queues a message, and waits for room until the deadline.
    #[inline]
    pub(crate) fn queue_waiting(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> Result<Sent> {
        self.outbox().push_waiting(slices, self.len(slices)?, deadline, &self.wire())
    }

    /// Returns the length of a message; refuses one that is too long.
    #[inline]
    pub(crate) fn len(&self, slices: &[IoSlice<'_>]) -> Result<usize> {
        let len = slices.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        let limit = MAX_MESSAGE - self.sizes.overhead();
        if len > limit { Err(Error::MessageTooLong { len, limit }) } else { Ok(len) }
    }

    /// Nobody dispatches any more.
    pub(crate) fn unheard(&self) {
        self.outbox().unheard(&self.wire());
    }

    /// Returns the end of the time limit of a request that begins now.
    pub(crate) fn deadline(&self) -> Instant {
        self.connect.deadline()
    }

    /// Looks at the connection, which takes a moment.
    fn look<R>(&self, look: impl FnOnce(&Requests) -> Result<R>) -> Result<R> {
        let result = self.wire.access.look(|joined| look(joined.requests()))?;
        result.unwrap_or_else(|| Err(self.absence()))
    }

    /// Asks for the members of the group, in one request or by an iteration on a connection of its own. Messages wait in the queue
    /// during the one, and go on during the other.
    pub(crate) fn members(&self) -> Result<Vec<Member>> {
        let patience = Patience::from(self.deadline());
        match self.look(small_now)? {
            Some(small) => {
                let name = self.name.clone();
                let get = move |half: &RequestHalf| half.membership_get(&name, small);
                let members = self.wire.request("cpg_membership_get", &patience, |_| {}, get)?;
                members.ok_or_else(|| self.absence())
            }
            None => self.look(Requests::beside)?.members(&self.name, &patience),
        }
    }

    /// Counts the members of a full group ([A8](crate::facts#a8)).
    pub(crate) fn count(&self) -> Result<Counted> {
        let patience = Patience::from(self.deadline());
        self.look(Requests::beside)?.count(&self.name, &patience)
    }

    /// Leaves; no send follows it.
    pub(crate) fn leave(&self, patience: &Patience<'_>) -> Result<()> {
        let name = self.name.clone();
        let leave = move |half: &RequestHalf| half.leave(&name);
        self.wire.request("cpg_leave", patience, Joined::tell, leave)?.ok_or(Error::Left)
    }

    /// Takes the connection, which nobody else can use from now on. The thread of a request that is being made keeps it open until
    /// that is over.
    pub(crate) fn take(&self) -> Option<Daemon> {
        self.wire.access.take().map(Joined::into_daemon)
    }

    /// Goes on with another connection.
    pub(super) fn replace(&self, daemon: Daemon, me: Member) -> Result<()> {
        self.wire.access.replace(Joined::new(daemon))?;
        self.node.store(me.node().get(), Ordering::Relaxed);
        Ok(())
    }
}
