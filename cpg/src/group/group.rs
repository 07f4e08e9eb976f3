//! A membership.

use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use crate::cause::Cause;
use crate::dispatch::limits::{Dispatch, Work};
use crate::error::{Error, Result};
use crate::event::event::Event;
use crate::group::inbox::Inbox;
use crate::group::join::{PATIENCE, PAUSES};
use crate::group::link::{Link, retry};
use crate::group_name::GroupName;
use crate::handle::handle::Handle;
use crate::handle::options::Connect;
use crate::member::Member;
use crate::session::requests::Shared;

/// The longest wait for events before a leave that flow control refused is tried again, or the queue looked at.
const RETRY: Duration = Duration::from_millis(10);

/// A joined handle: it sends, through the [`Link`] that it dereferences to, hears what happens in the group, and leaves.
///
/// It can move to another thread, and cannot be used by two at once (A4):
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<cpg::Group>();
/// ```
///
/// Dropping it closes the handle, and the others see this member leave with
/// [`Reason::ProcDown`](crate::Reason::ProcDown).
#[derive(Debug)]
pub struct Group(Inbox);

impl Group {
    /// `handle` has joined, and is the member `me`.
    pub(crate) fn new(handle: Handle, name: &GroupName, me: Member) -> Result<Self> {
        Inbox::new(handle, name.clone(), me).map(Self)
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn into_inbox(self) -> Inbox {
        self.0
    }

    /// The same membership, with a queue and requests that several threads can make.
    pub(crate) fn share(self) -> Result<(Self, Shared)> {
        self.0.share().map(|(inbox, shared)| (Self(inbox), shared))
    }

    /// The handle under the membership, for what can be asked of the whole cluster.
    ///
    /// # Errors
    /// [`Error::Away`] while the group is on its way [back](crate::Reconnect).
    pub fn handle(&self) -> Result<&Handle> {
        self.0.link().requests().handle()
    }

    /// Connects and joins in one step, also to a daemon that is just starting.
    ///
    /// # Errors
    /// Those of making the name, and of [`join_until`](Self::join_until) with a deadline 10 seconds away.
    #[doc(alias = "cpg_join")]
    pub fn join<N>(name: N) -> Result<Self>
    where
        N: TryInto<GroupName>,
        Error: From<N::Error>,
    {
        Self::join_until(Connect::new(), &name.try_into()?, Instant::now() + PATIENCE)
    }

    /// As [`join`](Self::join), with options and another deadline. A daemon that is just starting is waited for.
    ///
    /// # Errors
    /// Those of [`Connect::open`] and of [`Handle::join_until`].
    #[doc(alias = "cpg_join")]
    pub fn join_until(how: Connect, name: &GroupName, deadline: Instant) -> Result<Self> {
        let handle = retry(deadline, PAUSES, || how.open())?;
        Ok(handle.join_until(name, deadline)?)
    }

    /// Hands events to `handler`, in the order in which they happened, and returns how many it has handled; 0 if none came
    /// while it was willing to wait.
    ///
    /// The handler may borrow what it likes, and can send through the [`Link`]. It cannot reach the group itself, so a
    /// dispatch within a dispatch (A2) does not compile:
    ///
    /// ```compile_fail,E0499
    /// # fn f(mut group: cpg::Group) -> cpg::Result<()> {
    /// use cpg::Dispatch;
    ///
    /// group.dispatch(Dispatch::All, |_, _| {
    ///     group.dispatch(Dispatch::All, |_, _| {}).unwrap();
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What a C program keeps behind libcpg's context pointer the handler borrows, and no pointer is left behind.
    ///
    /// # Panics
    /// A panic of the handler goes on here, when libcpg has returned (A6). The event that it was given counts as handled, those
    /// after it have not been taken.
    ///
    /// # Errors
    /// [`Error::StackTooSmall`] on a thread with less than 1152 KiB of stack left (A1), [`Error::GroupTooLarge`] if the group
    /// has grown past 128 members (A8), [`Error::is_connection_lost`] when the daemon has gone: events that had not been
    /// dispatched by then are lost (B9). A group that [reconnects](crate::Reconnect) goes on instead.
    #[doc(alias = "cpg_dispatch")]
    #[doc(alias = "cpg_context_get")]
    #[doc(alias = "cpg_context_set")]
    pub fn dispatch(&mut self, how: Dispatch, mut handler: impl FnMut(&Link, Event<'_>)) -> Result<usize> {
        self.pump(&mut handler, &how)
    }

    /// Does `work`, which takes events, and hands those to `handler`.
    #[inline]
    pub(crate) fn pump<W: Work>(
        &mut self,
        handler: &mut impl FnMut(&Link, Event<'_>),
        work: &W,
    ) -> Result<W::Output> {
        self.0.pump(true, handler, work)
    }

    /// Leaves the group and closes the handle, passing over the events that come until then.
    ///
    /// It waits for up to 10 seconds; [`leave_until`](Self::leave_until) takes another deadline and a handler.
    ///
    /// # Errors
    /// As [`leave_until`](Self::leave_until).
    #[doc(alias = "cpg_leave")]
    pub fn leave(self) -> Result<()> {
        self.leave_until(Instant::now() + PATIENCE, |_, _| {})
    }

    /// Leaves the group, hands events to `handler` until the own leave has been delivered, and closes the handle.
    ///
    /// What happened in the group before the leave is thus seen to the end. The handler cannot send ([`Error::Left`]).
    ///
    /// # Panics
    /// As [`dispatch`](Self::dispatch); the handle is closed.
    ///
    /// # Errors
    /// The handle is closed in any case, and with it the membership ends; a group that is on its way
    /// [back](crate::Reconnect) has none to end. [`Error::TimedOut`] if the own leave was not
    /// delivered by the deadline; those of [`dispatch`](Self::dispatch), and of a request.
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub fn leave_until(mut self, deadline: Instant, mut handler: impl FnMut(&Link, Event<'_>)) -> Result<()> {
        // Where there is no membership nothing else would look.
        self.0.own_process()?;
        let (here, _) = self.0.leaving();
        let left = if here { self.leave_in_place(deadline, &mut handler) } else { Ok(()) };
        if let Some(shared) = self.requests().shared() {
            shared.outbox().close();
            // What has not come back by now does not come.
            shared.outbox().end(if here && left.is_ok() { Cause::Dropped } else { Cause::Left });
            while let Some(message) = shared.outbox().take_returned() {
                handler(&self, Event::Undelivered(message.into()));
            }
        }
        left?;
        self.0.close()
    }

    fn leave_in_place(
        &mut self,
        deadline: Instant,
        handler: &mut impl FnMut(&Link, Event<'_>),
    ) -> Result<()> {
        if let Some(shared) = self.requests().shared().cloned() {
            shared.outbox().close();
            while shared.outbox().is_waiting() {
                let now = Instant::now();
                if now >= deadline {
                    return Err(Error::TimedOut { waiting_for: "the queue to be sent" });
                }
                // A long message that is given up makes no event.
                self.dispatch(Dispatch::OneUntil(deadline.min(now + RETRY)), &mut *handler)?;
            }
        }
        while let Err(error) = self.requests().leave(self.name()) {
            let now = Instant::now();
            if !error.is_retryable() || now >= deadline {
                return Err(error);
            }
            self.dispatch(Dispatch::OneUntil(deadline.min(now + RETRY)), &mut *handler)?;
        }
        while !self.has_left() {
            let count = self.dispatch(Dispatch::OneUntil(deadline), &mut *handler)?;
            // Others may send without end, and what they send comes first.
            if count == 0 || (Instant::now() >= deadline && !self.has_left()) {
                return Err(Error::TimedOut { waiting_for: "the own leave to be delivered" });
            }
        }
        Ok(())
    }
}

impl Deref for Group {
    type Target = Link;

    fn deref(&self) -> &Link {
        self.0.link()
    }
}

/// The descriptor to wait on in an event loop, non-blocking and close-on-exec.
///
/// It is readable (level-triggered) while events wait, and when the daemon has gone, which the next dispatch then says.
///
/// A level-triggered loop may dispatch as much as it likes at a time. An edge-triggered one (mio) dispatches
/// [`Dispatch::All`], or until it returns 0, before it waits again. Where the loop asks for conditions (glib), hang-up and
/// error are wanted too. A wait for it to be writable has no meaning: nothing announces the end of flow control (B7).
impl AsFd for Group {
    #[doc(alias = "cpg_fd_get")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Group {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
