//! What a member can do at any time, in the middle of an event too.

use std::cell::Cell;
use std::io::IoSlice;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::cs_error::CsError;
use crate::error::{Error, Result};
use crate::event::event::Event;
use crate::event::message::Deliver;
use crate::event::reconnect::Rejoined;
use crate::event::view::ConfChg;
use crate::ffi::raw::{Connection, Events, Process};
use crate::group::zero_copy::ZeroCopyBuffer;
use crate::group_name::GroupName;
use crate::guarantee::Guarantee;
use crate::handle::handle::Handle;
use crate::member::{Member, Reason};
use crate::os::readiness::Readiness;
use crate::packet;
use crate::session::flow::Flow;
use crate::session::requests::{Requests, Shared, With};

/// The part of a [`Group`](crate::Group) that its event handlers get: sending, and asking who is there.
///
/// It cannot dispatch, leave or close: from within an event that would break libcpg (A2).
///
/// Sends do not wait. [`Error::is_retryable`](crate::Error::is_retryable) tells flow control, which passes, from the rest.
///
/// ```no_run
/// use std::io::IoSlice;
/// use std::time::{Duration, Instant};
/// use cpg::{Dispatch, Event, Group, Guarantee, Link};
///
/// /// Answers a question, in the middle of the event that asks.
/// fn answer(link: &Link, event: &Event<'_>) {
///     if let Event::Deliver(message) = event {
///         if message.payload() == b"who?" {
///             link.send(link.me().to_string().as_bytes()).unwrap();
///         }
///     }
/// }
///
/// let mut group = Group::join("ledger")?;
/// assert_eq!((group.name().as_bytes(), group.generation()), (&b"ledger"[..], 1));
/// group.send_vectored(&[IoSlice::new(b"+5 "), IoSlice::new(b"alice")])?;
/// group.send_with(Guarantee::Agreed, &[IoSlice::new(b"who?")])?;
/// if group.max_atomic_message_size() >= 500_000 {
///     group.send_until(&vec![0; 500_000], Instant::now() + Duration::from_secs(5))?;
/// }
/// let mut buffer = group.zero_copy(1000)?;
/// buffer.fill(b'.');
/// buffer.send()?;
/// drop(buffer);
/// assert_eq!(group.in_flight(), 4);
/// println!("{:?}", group.members()?);
/// group.dispatch(Dispatch::All, |link, event| answer(link, &event))?;
/// group.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug)]
pub struct Link {
    requests: Requests,
    name: GroupName,
    me: Member,
    flow: Flow,
    max_atomic: usize,
    /// Whether the group is being left.
    leaving: Cell<bool>,
    /// Whether the own leave was dispatched.
    left: Cell<bool>,
    /// Own messages that have been sent without a queue and have not come back.
    under_way: Cell<u64>,
    /// Counts memberships, from 1.
    generation: u64,
    /// The group has come back, and the handler has not heard of it.
    back: Cell<bool>,
}

/// The pauses of [`Link::send_until`] grow from the first of these to the second.
pub(crate) const PAUSES: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(10));

impl Link {
    pub(crate) fn new(handle: Handle, name: GroupName, me: Member) -> Self {
        let (flow, max_atomic) = (handle.how().flow, handle.max_atomic_message_size());
        Self {
            requests: Requests::own(handle),
            name,
            me,
            flow,
            max_atomic,
            leaving: Cell::new(false),
            left: Cell::new(false),
            under_way: Cell::new(0),
            generation: 1,
            back: Cell::new(false),
        }
    }

    /// The membership has ended, and another one is sought. Gives what closes the handle.
    pub(crate) fn lose(&mut self) -> impl FnOnce() + Send + 'static {
        self.under_way.set(0);
        self.requests.lose()
    }

    /// Goes on with another handle, which is this member.
    pub(crate) fn come_back(&mut self, handle: Handle, me: Member) -> Result<()> {
        self.me = me;
        self.generation += 1;
        self.back.set(true);
        self.requests.replace(handle, me, self.generation)
    }

    /// The group is left from now on.
    pub(crate) fn leaving(&self) {
        self.leaving.set(true);
    }

    pub(crate) fn has_left(&self) -> bool {
        self.left.get()
    }

    pub(crate) fn requests(&self) -> &Requests {
        &self.requests
    }

    #[inline]
    pub(crate) fn flow(&self) -> Flow {
        self.flow
    }

    /// The same for several threads; `comeback` as in [`With`].
    pub(crate) fn share(
        self,
        process: Process,
        comeback: Option<bool>,
        readiness: Readiness,
    ) -> (Self, Shared) {
        let with = With {
            process,
            flow: self.flow,
            max_atomic: self.max_atomic,
            comeback,
            me: self.me,
            earlier: self.under_way.get(),
            readiness,
        };
        let shared = self.requests.share(with);
        (Self { requests: Requests::Shared(shared.clone()), ..self }, shared)
    }

    /// The same where nothing may wait for the daemon, if it is for several threads.
    #[cfg(feature = "tokio")]
    pub(crate) fn soon(self) -> Self {
        Self { requests: self.requests.soon(), ..self }
    }

    pub(crate) fn into_requests(self) -> Requests {
        self.requests
    }

    /// A message is about to be handled; gives the numbers of those in it that a queue has sent.
    #[inline]
    pub(crate) fn arrived(&self, message: &Deliver<'_>) -> Option<Range<u64>> {
        if message.sender != self.me {
            return None;
        }
        if let Some(shared) = self.requests.shared() {
            return shared.outbox().arrived(message.payload, &|bytes| shared.send_now(bytes));
        }
        self.own_arrived();
        None
    }

    /// Keeps up with an event of a group that has neither a queue nor packets, and does not come back.
    #[inline]
    pub(crate) fn notice(&self, event: &Event<'_>) {
        match event {
            Event::Deliver(message) if message.sender == self.me => self.own_arrived(),
            Event::ConfChg(view) => self.note_leave(view),
            _ => {}
        }
    }

    #[inline]
    fn own_arrived(&self) {
        self.under_way.set(self.under_way.get().saturating_sub(1));
    }

    /// Own messages below this number have been handled.
    #[inline]
    pub(crate) fn settle(&self, number: u64) {
        if let Some(shared) = self.requests.shared() {
            shared.outbox().settle(number);
        }
    }

    /// Keeps up with a view, and gives the event that it is.
    pub(crate) fn note<'e>(&self, view: ConfChg<'e>) -> Event<'e> {
        if self.back.replace(false) {
            self.requests.reopen(self.generation);
            return Event::Rejoined(Rejoined { generation: self.generation, view });
        }
        self.note_leave(&view);
        Event::ConfChg(view)
    }

    fn note_leave(&self, view: &ConfChg<'_>) {
        // An earlier membership of this process that was given up can end within this one (B5).
        let own_leave = |member: &Member| *member == self.me && member.reason() == Reason::Leave;
        if self.leaving.get() && view.left().iter().any(own_leave) {
            self.left.set(true);
        }
    }

    /// Refuses to take the next event of a group that has grown past what libcpg has room for (A8).
    ///
    /// A full group is one join away from that, so the daemon is asked while it is full.
    pub(crate) fn check_size(&self, events: &Events) -> Result<()> {
        events.check_count(self.requests.count(&self.name)?)
    }

    /// The group.
    pub fn name(&self) -> &GroupName {
        &self.name
    }

    /// This member: this node and this process.
    pub fn me(&self) -> Member {
        self.me
    }

    /// Own messages that have been sent and have not come back: with a slow daemon or a slow handler it grows. In a split group
    /// [`Sender::lag`](crate::Sender::lag) says more.
    pub fn in_flight(&self) -> u64 {
        match self.requests.shared() {
            Some(shared) => u64::try_from(shared.outbox().lag().in_flight()).unwrap_or(u64::MAX),
            None => self.under_way.get(),
        }
    }

    /// Which membership this is: 1 for the first, and one more for each that [follows](crate::Reconnect). While the group is away
    /// it is still the one that was lost.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The longest message, in bytes, that is sent in one piece; see [`Handle::max_atomic_message_size`]. In a
    /// [coalesced](Flow::coalesced) group 11 bytes less than there.
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.max_atomic.saturating_sub(self.flow.overhead())
    }

    /// The members of the group as the daemon knows them now, which can be ahead of the events dispatched so far.
    ///
    /// # Errors
    /// As [`Handle::members_of`].
    #[doc(alias = "cpg_membership_get")]
    pub fn members(&self) -> Result<Vec<Member>> {
        self.requests.wait("cpg_membership_get", |connection| connection.own_members(&self.name))
    }

    /// Sends a message to all members, this one included: it is delivered here too, in its place in the order that all
    /// agree on. That own delivery is the only acknowledgement there is.
    ///
    /// An empty message is a message. One above [`max_atomic_message_size`](Self::max_atomic_message_size) goes out in parts, and
    /// waits for the daemon to take each (B16); a thread with a table of descriptors of its own sends it, in which what libcpg
    /// prints under flow control goes to `/dev/null` (B8).
    ///
    /// In a [split](crate::Group::split) group the message goes through the queue of its [`Sender`](crate::Sender)s, or is refused
    /// with [`Error::QueueFull`]; a long one is refused with [`Error::Waits`].
    ///
    /// It is no promise of delivery: a daemon that dies takes with it what it has not sent, and one whose ring re-forms under a
    /// flood of large messages can drop one (B17). Who must know waits for the own delivery.
    ///
    /// # Errors
    /// The message was not sent. [`Error::is_retryable`](crate::Error::is_retryable) for flow control (B7), and for a long
    /// message that a membership change has stopped (B8); [`Error::MessageTooLong`](crate::Error::MessageTooLong) above 2 GiB;
    /// [`Error::Left`](crate::Error::Left) after leaving.
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_with(Guarantee::Agreed, &[IoSlice::new(message)])
    }

    /// Sends one message made of many slices, in any number.
    ///
    /// Up to 63 are not copied here; libcpg takes no more of them (A3), so more are gathered first.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<()> {
        self.send_with(Guarantee::Agreed, slices)
    }

    /// Sends with a [`Guarantee`] that says what order is wanted; corosync gives [`Guarantee::Agreed`] to all (B12).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn send_with(&self, guarantee: Guarantee, slices: &[IoSlice<'_>]) -> Result<()> {
        self.requests.send(slices, |connection| {
            if self.flow.coalesce {
                mcast_packed(connection, guarantee, slices)?;
            } else {
                connection.mcast(guarantee, slices)?;
            }
            self.under_way.set(self.under_way.get() + 1);
            Ok(())
        })
    }

    /// Sends a message, and waits out what passes: flow control and interrupted parts, with growing pauses.
    ///
    /// Nothing announces that flow control is over (B7). Events are not dispatched meanwhile, so a program with traffic
    /// should not spend its time here.
    ///
    /// # Errors
    /// As [`send`](Self::send); the last retryable error when the deadline passes.
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_until(&self, message: &[u8], deadline: Instant) -> Result<()> {
        retry(deadline, PAUSES, || self.send(message))
    }

    /// Sends what `bytes` are by `call`, which waits for the daemon.
    pub(crate) fn send_past(
        &self,
        name: &'static str,
        bytes: &[u8],
        call: impl FnOnce(&Connection) -> Result<()>,
    ) -> Result<()> {
        self.requests.send_past(name, bytes, |connection| {
            call(connection)?;
            self.under_way.set(self.under_way.get() + 1);
            Ok(())
        })
    }

    /// Memory shared with the daemon for a message of `len` bytes, which is then sent without a copy.
    ///
    /// Up to corosync 3.1 it is worth its cost for large messages only, as each buffer is a file that both sides map; after
    /// that it is ordinary memory and a plain send (B12).
    ///
    /// # Errors
    /// [`Error::MessageTooLong`](crate::Error::MessageTooLong) above [`Handle::max_atomic_message_size`], [`Error::NoSharedMemory`](crate::Error::NoSharedMemory), and those of a request.
    #[doc(alias = "cpg_zcb_alloc")]
    pub fn zero_copy(&self, len: usize) -> Result<ZeroCopyBuffer<'_>> {
        ZeroCopyBuffer::alloc(self, len)
    }
}

/// Sends a packet with one message.
#[inline(never)]
fn mcast_packed(connection: &Connection, guarantee: Guarantee, slices: &[IoSlice<'_>]) -> Result<()> {
    const MOST: usize = 63;
    let len = slices.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
    let limit = packet::MAX_MESSAGE - packet::HEADER_LEN - packet::MAX_PREFIX;
    if len > limit {
        return Err(Error::MessageTooLong { len, limit });
    }
    let head = packet::head(len);
    if slices.len() < MOST {
        let mut all = [IoSlice::new(&[]); MOST];
        all[0] = IoSlice::new(&head);
        all[1..=slices.len()].copy_from_slice(slices);
        connection.mcast(guarantee, &all[..=slices.len()])
    } else {
        let all: Vec<_> = std::iter::once(IoSlice::new(&head)).chain(slices.iter().copied()).collect();
        connection.mcast(guarantee, &all)
    }
}

/// Repeats `call` while its error is one that passes: so many times what a membership change has stopped (B8), and the rest
/// with pauses until the deadline.
pub(crate) fn retry_times<T>(
    mut restarts: usize,
    deadline: Option<Instant>,
    (first, longest): (Duration, Duration),
    mut call: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut pause = first;
    loop {
        let error = match call() {
            Err(error) if error.is_retryable() => error,
            result => return result,
        };
        let left = deadline.map_or(longest, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(error);
        }
        if error.code() == Some(CsError::Interrupt) {
            restarts = restarts.checked_sub(1).ok_or(error)?;
        } else {
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(longest);
        }
    }
}

/// Repeats `call` while its error is one that passes, with pauses that grow between the two given, until the deadline.
pub(crate) fn retry<T>(
    deadline: Instant,
    (first, longest): (Duration, Duration),
    mut call: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut pause = first;
    loop {
        match call() {
            Err(error) if error.is_retryable() => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(error);
                }
                std::thread::sleep(pause.min(left));
                pause = (pause * 2).min(longest);
            }
            result => return result,
        }
    }
}
