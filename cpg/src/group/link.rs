//! What a member can do at any time, in the middle of an event too.

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

/// The part of a [`Group`](crate::Group) that its event handlers get: sending, and asking who is there.
///
/// It cannot dispatch, leave or close: from within an event that would break libcpg ([A2](crate::facts#a2)).
///
/// Sends do not wait, but for those of long messages. [`Error::is_retryable`](crate::Error::is_retryable) tells flow control, which passes, from the rest.
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

    /// The half of the connection that sends; refuses what libcpg would lose without a word ([B1](crate::facts#b1)).
    #[inline]
    pub(super) fn sending(&self) -> Result<&Requests> {
        if self.leave.has_begun() { Err(Error::Left) } else { Ok(self.daemon.requests()) }
    }

    /// Counts the members, of which there are many, before the next event is taken ([A8](crate::facts#a8)).
    pub(super) fn count(&self) -> Result<Counted> {
        let requests = self.daemon.requests();
        requests.beside()?.count(&self.name, &requests.patience())
    }

    /// Tells the daemon of the leave.
    pub(super) fn tell_of_leave(&self, patience: &Patience<'_>) -> Result<()> {
        let name = self.name.clone();
        self.daemon.requests().ask("cpg_leave", patience, move |half| half.leave(&name))
    }

    /// The group.
    pub fn name(&self) -> &GroupName {
        &self.name
    }

    /// This member: this node and this process.
    #[doc(alias = "cpg_local_get")]
    #[inline]
    pub fn me(&self) -> Member {
        self.me
    }

    /// The longest message, in bytes, that is sent in one piece; see [`Daemon::max_atomic_message_size`].
    #[doc(alias = "cpg_max_atomic_msgsize_get")]
    pub fn max_atomic_message_size(&self) -> usize {
        self.daemon.max_atomic_message_size()
    }

    /// The members of the group as the daemon knows them now, which can be ahead of the events dispatched so far.
    ///
    /// This is one request, and waits for the daemon's answer up to the [time limit](crate::ConnectOptions::request_timeout) of the
    /// connection ([B16](crate::facts#b16)). While events wait to be dispatched, and in a
    /// group of 128, it is a list and costs as much as [`Daemon::members_of`]: a connection each time, which a program that asks
    /// again and again under traffic has its daemon make and close all the while. The members of the last view cost nothing:
    /// keep them, as [`View`](crate::View) shows, and ask where that is not enough.
    ///
    /// # Errors
    /// As [`Daemon::members_of`].
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

    /// Sends a message to all members, this one included: it is delivered here too, in its place in the order that all
    /// agree on. That own delivery is the only acknowledgement there is.
    ///
    /// An empty message is a message. One above [`max_atomic_message_size`](Self::max_atomic_message_size) is copied, and goes out in
    /// parts; this waits for the daemon to take each, up to the [time limit](crate::ConnectOptions::request_timeout)
    /// ([B16](crate::facts#b16)). A thread with a table of descriptors of its own sends it, in which what libcpg prints under
    /// flow control goes to `/dev/null` ([B8](crate::facts#b8)).
    ///
    /// It is no promise of delivery: a daemon that dies takes with it what it has not sent, and one whose ring re-forms under a
    /// flood of large messages can drop one ([B17](crate::facts#b17)). Who must know waits for the own delivery.
    ///
    /// # Errors
    /// The message was not sent. [`Error::is_retryable`](crate::Error::is_retryable) for flow control ([B7](crate::facts#b7)),
    /// and for a long message that a membership change has stopped ([B8](crate::facts#b8)); [`Error::MessageTooLong`] above 2
    /// GiB; [`Error::Left`] after leaving; [`Error::CallOutstanding`] while an earlier request has not been answered. After
    /// [`Error::TimedOut`] alone, of a long message, it may be sent yet, when the daemon goes on.
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_with(Guarantee::Agreed, &[IoSlice::new(message)])
    }

    /// Sends one message made of many slices, in any number.
    ///
    /// Up to 63 are not copied here; libcpg takes no more of them ([A3](crate::facts#a3)), so more are gathered first.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_vectored(&self, slices: &[IoSlice<'_>]) -> Result<()> {
        self.send_with(Guarantee::Agreed, slices)
    }

    /// Sends with a [`Guarantee`] that says what order is wanted; corosync gives [`Guarantee::Agreed`] to all
    /// ([B12](crate::facts#b12)).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[doc(alias = "cpg_mcast_joined")]
    #[inline]
    pub fn send_with(&self, guarantee: Guarantee, slices: &[IoSlice<'_>]) -> Result<()> {
        self.sending()?.mcast(guarantee, slices, None)
    }

    /// Sends a message, and waits out what passes: flow control and interrupted parts, with growing pauses.
    ///
    /// Nothing announces that flow control is over ([B7](crate::facts#b7)). Events are not dispatched meanwhile, so a program
    /// with traffic should not spend its time here.
    ///
    /// # Errors
    /// As [`send`](Self::send); the last retryable error when the deadline passes, or [`Error::TimedOut`].
    #[doc(alias = "cpg_mcast_joined")]
    pub fn send_until(&self, message: &[u8], deadline: Instant) -> Result<()> {
        let patience = Patience::from(deadline);
        retry(&patience, Pauses::SEND, || {
            self.sending()?.mcast(Guarantee::Agreed, &[IoSlice::new(message)], Some(&patience))
        })
    }
}
