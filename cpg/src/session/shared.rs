//! The part of a session that senders and receiver share.

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
use crate::session::access::Joined;
use crate::session::flow::{Flow, Sizes};
use crate::session::outbox::{Handed, Outbox};
use crate::session::pipeline::Bytes;
use crate::session::sent::Sent;
use crate::session::wire::Wire;

/// The time for which the last owner waits for a message that is sent in parts. After that, closing the connection is left to the
/// thread that sends the parts.
const CLOSING: Duration = Duration::from_secs(1);

/// The queue and the connection of a session, which several threads use.
#[derive(Debug)]
pub(crate) struct Shared {
    name: GroupName,
    sizes: Sizes,
    /// The options of the connections, kept for their time limit.
    connect: ConnectOptions,
    /// The process that joined.
    owner: Owner,
    pid: u32,
    /// The number of this node. A daemon that comes back may give the node another number.
    node: AtomicU32,
    /// The connection and the queue. Only the receiver puts a connection in and takes it out.
    wire: Wire,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let until = Instant::now() + CLOSING;
        // Messages behind a message in parts are sent after it.
        while self.outbox().has_parted(until) {
            self.outbox().go_on(&self.wire());
        }
        drop(self.take());
    }
}

/// A guard that closes the connection when it is dropped, even if others still share the membership.
#[derive(Debug)]
pub(crate) struct Closes(pub(crate) Arc<Shared>);

impl Drop for Closes {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

impl Shared {
    /// Makes the shared part. `daemon` belongs to a handle that has joined as the member `me`; `comeback` is that of
    /// [`Outbox::new`].
    pub(super) fn new(
        daemon: Daemon,
        name: GroupName,
        me: Member,
        flow: Flow,
        comeback: Option<bool>,
        readiness: Readiness,
    ) -> Self {
        let sizes = flow.sizes(daemon.max_atomic_message_size());
        let outbox = Outbox::new(sizes, comeback, readiness);
        Self {
            name,
            sizes,
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

    /// Returns this member.
    pub(crate) fn me(&self) -> Member {
        Member::new(NodeId::new(self.node.load(Ordering::Relaxed)), self.pid)
    }

    /// Returns the size of the longest message that goes out in one piece.
    #[inline]
    pub(crate) fn max_atomic_message_size(&self) -> usize {
        self.sizes.most_in_one_piece()
    }

    #[inline]
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.wire.outbox
    }

    /// Returns the queue for a ticket.
    pub(crate) fn ticket_outbox(&self) -> Arc<Outbox> {
        Arc::clone(&self.wire.outbox)
    }

    /// Returns the reason why there was no connection a moment ago.
    fn absence(&self) -> Error {
        // The session may have come back since.
        self.outbox().absence().unwrap_or(Error::NoMembership)
    }

    /// Returns the function with which the queue sends its messages.
    #[inline]
    pub(crate) fn wire(&self) -> impl Fn(u64, &mut Bytes) -> Handed {
        self.wire.send()
    }

    /// Queues a message.
    #[inline]
    pub(crate) fn queue(&self, slices: &[IoSlice<'_>]) -> Result<Sent> {
        self.outbox().push(slices, self.len(slices)?, &self.wire())
    }

    /// Queues a message. Waits for room until the deadline.
    #[inline]
    pub(crate) fn queue_waiting(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> Result<Sent> {
        self.outbox().push_waiting(slices, self.len(slices)?, deadline, &self.wire())
    }

    /// Returns the length of a message. Refuses a message that is too long.
    #[inline]
    pub(crate) fn len(&self, slices: &[IoSlice<'_>]) -> Result<usize> {
        let len = slices.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        let limit = self.sizes.most();
        if len > limit { Err(Error::MessageTooLong { len, limit }) } else { Ok(len) }
    }

    /// Records that nobody dispatches any more.
    pub(crate) fn unheard(&self) {
        self.outbox().unheard(&self.wire());
    }

    /// Returns the deadline of a request that begins now.
    pub(crate) fn deadline(&self) -> Instant {
        self.connect.deadline()
    }

    /// Calls `look` with the connection, for a short time.
    fn look<R>(&self, look: impl FnOnce(&Requests) -> Result<R>) -> Result<R> {
        let result = self.wire.access.look(|joined| look(joined.requests()))?;
        result.unwrap_or_else(|| Err(self.absence()))
    }

    /// Asks for the members of the group: in one request, while messages wait in the queue, or by an iteration on another
    /// connection, while messages are sent as usual.
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

    /// Leaves the group. Nothing is sent afterwards.
    pub(crate) fn leave(&self, patience: &Patience<'_>) -> Result<()> {
        let name = self.name.clone();
        let leave = move |half: &RequestHalf| half.leave(&name);
        self.wire.request("cpg_leave", patience, Joined::tell, leave)?.ok_or(Error::Left)
    }

    /// Takes the connection, which nobody else can use from now on. If a thread is making a request, it keeps the connection open
    /// until the request has ended.
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
