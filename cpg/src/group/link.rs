//! The methods of a member that can be called at any time, also while an event is handled.

use std::io::IoSlice;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::ffi::call::Requests;
use crate::ffi::requests::{Counted, RequestHalf};
use crate::group::leave::OwnLeave;
use crate::group_name::GroupName;
use crate::guarantee::Guarantee;
use crate::handle::backoff::{Pauses, retry};
use crate::handle::daemon::Daemon;
use crate::handle::members::small_now;
use crate::member::Member;
use crate::os::patience::Patience;

/// The part of a [`Group`](crate::Group) that its event handlers get: it sends, and asks for members.
///
/// ```no_run
/// use std::io::IoSlice;
/// use std::time::{Duration, Instant};
/// use cpg::{Event, Group, Guarantee, Limits, Link};
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
/// assert_eq!(group.name().as_bytes(), b"ledger");
/// group.send_vectored(&[IoSlice::new(b"+5 "), IoSlice::new(b"alice")])?;
/// group.send_with(Guarantee::Agreed, &[IoSlice::new(b"who?")])?;
/// if group.max_atomic_message_size() >= 500_000 {
///     group.send_until(&vec![0; 500_000], Instant::now() + Duration::from_secs(5))?;
/// }
/// let mut buffer = group.zero_copy(1000)?;
/// buffer.fill(b'.');
/// buffer.send()?;
/// drop(buffer);
/// println!("{:?}", group.members()?);
/// group.dispatch(Limits::available(), |link, event| answer(link, &event))?;
/// group.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// A link cannot dispatch, leave or close, because doing so while an event is handled would break libcpg
/// ([A2](crate::facts#a2)).
///
/// [`send`](Self::send), [`send_vectored`](Self::send_vectored) and [`send_with`](Self::send_with) wait for the daemon only if
/// the message is longer than [`max_atomic_message_size`](Self::max_atomic_message_size). [`members`](Self::members),
/// [`zero_copy`](Self::zero_copy) and [`send_until`](Self::send_until) wait for the daemon, up to the time limit or the deadline.
/// [`Error::is_retryable`](crate::Error::is_retryable) distinguishes flow control, which is temporary, from other errors.
#[derive(Debug)]
pub struct Link {
    pub(super) daemon: Daemon,
    name: GroupName,
    me: Member,
    pub(super) leave: OwnLeave,
}

impl Link {
    pub(super) fn new(daemon: Daemon, name: GroupName, me: Member) -> Self {
        Self { daemon, name, me, leave: OwnLeave::default() }
    }

    /// Returns the half of the connection that sends. Refuses it once a leave has begun, because libcpg would then lose messages
    /// without an error ([B1](crate::facts#b1)).
    #[inline]
    pub(super) fn sending(&self) -> Result<&Requests> {
        if self.leave.has_begun() { Err(Error::Left) } else { Ok(self.daemon.requests()) }
    }

    /// Counts the members of a group that is nearly full, before the next event is taken ([A8](crate::facts#a8)).
    pub(super) fn count(&self) -> Result<Counted> {
        let requests = self.daemon.requests();
        requests.beside()?.count(&self.name, &requests.patience())
    }

    /// Tells the daemon of the leave.
    pub(super) fn tell_of_leave(&self, patience: &Patience<'_>) -> Result<()> {
        let name = self.name.clone();
        self.daemon.requests().ask("cpg_leave", patience, move |half| half.leave(&name))
    }

    /// Returns the name of the group.
    pub fn name(&self) -> &GroupName {
        &self.name
    }

    /// Returns this member: this node and this process.
    #[doc(alias = "cpg_local_get")]
    #[inline]
    pub fn me(&self) -> Member {
        self.me
    }

    /// Returns the length in bytes of the longest message that is sent in one piece; see [`Daemon::max_atomic_message_size`].
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.daemon.max_atomic_message_size()
    }

    /// Returns the members of the group as the daemon knows them now. That can be ahead of the events that were dispatched so
    /// far.
    ///
    /// This method makes one request, and waits for the daemon's answer up to the [time
    /// limit](crate::ConnectOptions::request_timeout) of the connection ([B16](crate::facts#b16)). While events wait to be
    /// dispatched, and in a group of 128, it reads a list instead, which costs as much as [`Daemon::members_of`]: one
    /// connection per call. A program that calls it again and again under traffic makes the daemon open and close connections
    /// all the time. The members of the last view cost nothing. Keep them, as the example of [`View`](crate::View) does, and
    /// call this method only if they are not enough.
    ///
    /// # Errors
    /// Those of [`Daemon::members_of`].
    #[doc(alias = "cpg_membership_get")]
    pub fn members(&self) -> Result<Vec<Member>> {
        let (requests, name) = (self.daemon.requests(), self.name.clone());
        let patience = requests.patience();
        match small_now(requests)? {
            Some(small) => {
                let get = move |half: &RequestHalf| half.membership_get(&name, small);
                requests.ask("cpg_membership_get", &patience, get)
            }
            None => requests.beside()?.members(&name, &patience),
        }
    }

    /// Sends a message to all members, this member included. The message comes back to this member too, at its place in the
    /// order that all members see. This self-delivery is the only acknowledgement.
    ///
    /// An empty message is delivered like any other. A message longer than
    /// [`max_atomic_message_size`](Self::max_atomic_message_size) is copied and sent in parts. That waits until the daemon has
    /// taken each part, up to the [time limit](crate::ConnectOptions::request_timeout) ([B16](crate::facts#b16)). A thread with
    /// its own table of descriptors sends the parts, so that the text that libcpg prints under flow control goes to `/dev/null`
    /// ([B8](crate::facts#b8)).
    ///
    /// `Ok` is no promise of delivery. A daemon that dies loses what it has not sent. A daemon whose ring re-forms under a
    /// flood of large messages can drop a message ([B17](crate::facts#b17)). A program that must know waits for the
    /// self-delivery.
    ///
    /// # Errors
    /// After an error the message was not sent, with three exceptions, all for long messages: after [`Error::TimedOut`] the
    /// message may still be sent when the daemon resumes; and if the [connection was lost](crate::Error::is_connection_lost),
    /// or the code has no name, nobody knows if the message was sent.
    ///
    /// - A [retryable](crate::Error::is_retryable) error under flow control ([B7](crate::facts#b7)), and when a membership
    ///   change has interrupted a long message ([B8](crate::facts#b8)).
    /// - [`Error::MessageTooLong`] above 2 GiB.
    /// - [`Error::Left`] after leaving.
    /// - [`Error::CallOutstanding`] while an earlier request has not been answered.
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_with(Guarantee::Agreed, &[IoSlice::new(message)])
    }

    /// Sends one message that is made of any number of slices.
    ///
    /// Up to 63 slices are not copied here. libcpg takes no more than that ([A3](crate::facts#a3)), so a larger number is
    /// copied together first.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<()> {
        self.send_with(Guarantee::Agreed, slices)
    }

    /// Sends a message with a [`Guarantee`], the order that is wanted. corosync ignores it: every message has
    /// [`Guarantee::Agreed`] ([B12](crate::facts#b12)).
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn send_with(&self, guarantee: Guarantee, slices: &[IoSlice<'_>]) -> Result<()> {
        self.sending()?.mcast(guarantee, slices, None)
    }

    /// Sends a message, and retries until the deadline, with growing pauses, under flow control and when the parts of a long
    /// message are interrupted.
    ///
    /// Nothing announces the end of flow control ([B7](crate::facts#b7)), and no events are dispatched meanwhile. So a program
    /// with traffic should not spend much time in this method.
    ///
    /// # Errors
    /// Those of [`send`](Self::send). When the deadline passes, the last retryable error, or [`Error::TimedOut`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_until(&self, message: &[u8], deadline: Instant) -> Result<()> {
        let patience = Patience::from(deadline);
        retry(&patience, Pauses::SEND, || {
            self.sending()?.mcast(Guarantee::Agreed, &[IoSlice::new(message)], Some(&patience))
        })
    }
}
