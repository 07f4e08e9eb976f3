//! A membership.

use std::ops::{ControlFlow, Deref};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

use crate::dispatch::events::{Events, Receive};
use crate::dispatch::limits::{Ended, Limits};
use crate::dispatch::plain::Plain;
use crate::dispatch::run::{Progress, Stopped, run, until_broken};
use crate::error::Result;
use crate::event::event::{Event, OwnedEvent};
use crate::ffi::events::EventHalf;
use crate::group::leave::leave;
use crate::group::link::Link;
use crate::group_name::GroupName;
use crate::handle::daemon::Daemon;
use crate::handle::handle::Handle;
use crate::member::Member;

/// A joined handle: it sends, through the [`Link`] that it dereferences to, hears what happens in the group, and leaves.
///
/// ```no_run
/// use std::ops::ControlFlow::{Break, Continue};
/// use cpg::{Event, Group, Limits};
///
/// let mut group = Group::join("ledger")?;
/// group.send(b"+5 alice")?;
/// let ended = group.run(Limits::forever(), |link, event| match event {
///     Event::Deliver(message) if message.sender() == link.me() => Break(message.payload().to_vec()),
///     Event::Deliver(message) => {
///         println!("{}: {:?}", message.sender(), message.payload());
///         Continue(())
///     }
///     Event::ConfChg(view) => {
///         println!("members: {:?}", view.members());
///         Continue(())
///     }
///     _ => Continue(()),
/// })?;
/// assert_eq!(ended.broke().unwrap(), b"+5 alice");
/// group.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// # More than one thread
///
/// A group can move to another thread, and cannot be used by two at once ([A4](crate::facts#a4)). A program whose threads send
/// while one of them dispatches joins a [`Session`](crate::Session) instead, and [splits](crate::Session::split) it: a
/// [`Sender`](crate::Sender) for any number of threads, and a [`Receiver`](crate::Receiver) for the one that dispatches. A
/// mutex around a group is no way out: whoever waits for an event would hold it.
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<cpg::Group>();
/// ```
///
/// # Dropping it
///
/// That closes the handle, which waits for the daemon for half a second at most ([B16](crate::facts#b16)): a paused one is told
/// by a thread of this crate when it goes on. The others see this member leave with
/// [`Reason::ProcDown`](crate::Reason::ProcDown).
#[derive(Debug)]
pub struct Group {
    link: Link,
    events: EventHalf,
}

impl Group {
    /// The handle of these halves has joined, and is the member `me`.
    /// Goes on with a handle that has joined.
    pub(super) fn begin(handle: Handle, name: GroupName, me: Member) -> Self {
        let (daemon, events) = handle.into_halves();
        Self { link: Link::new(daemon, name, me), events }
    }

    /// The daemon, for what can be asked of the whole cluster.
    pub fn daemon(&self) -> &Daemon {
        &self.link.daemon
    }

    /// Hands events to `handler`, in the order in which they happened, and returns how many it has handled; 0 if none came
    /// while it was willing to wait.
    ///
    /// The handler may borrow what it likes, and can send through the [`Link`]. It cannot reach the group itself, so a
    /// dispatch within a dispatch ([A2](crate::facts#a2)) does not compile:
    ///
    /// ```compile_fail,E0499
    /// # fn f(mut group: cpg::Group) -> cpg::Result<()> {
    /// use cpg::Limits;
    ///
    /// group.dispatch(Limits::available(), |_, _| {
    ///     group.dispatch(Limits::available(), |_, _| {}).unwrap();
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What a C program keeps behind libcpg's context pointer the handler borrows: that pointer is how it is found, and belongs
    /// to this crate.
    ///
    /// # Panics
    /// A panic of the handler goes on here, when libcpg has returned ([A6](crate::facts#a6)). The event that it was given
    /// counts as handled, those after it have not been taken.
    ///
    /// # Errors
    /// [`Error::StackTooSmall`](crate::Error::StackTooSmall) on a thread with less than 1152 KiB of stack left
    /// ([A1](crate::facts#a1)), [`Error::GroupTooLarge`](crate::Error::GroupTooLarge) if the group has grown past 128 members
    /// ([A8](crate::facts#a8)),
    /// [`Error::is_connection_lost`](crate::Error::is_connection_lost) when the daemon has gone: events that had not been
    /// dispatched by then are lost ([B9](crate::facts#b9)).
    #[doc(alias = "cpg_dispatch")]
    #[doc(alias = "cpg_context_get")]
    #[doc(alias = "cpg_context_set")]
    pub fn dispatch(&mut self, limits: Limits<'_>, handler: impl FnMut(&Link, Event<'_>)) -> Result<usize> {
        let progress = Progress::new(limits);
        self.pump(&progress, handler)?;
        Ok(progress.handled())
    }

    /// Dispatches until the limits of `progress` end it.
    #[inline]
    fn pump(
        &mut self,
        progress: &Progress<'_>,
        mut handler: impl FnMut(&Link, Event<'_>),
    ) -> Result<Stopped> {
        let Self { link, events } = self;
        let (link, me) = (&*link, link.me());
        let take = |event: Event<'_>| {
            progress.count();
            if let Event::ConfChg(view) = &event {
                link.leave.note(view);
            }
            handler(link, event);
        };
        let mut source = Plain { events, me, counted: None, take };
        loop {
            match run(&mut source, progress)? {
                // One join away from a view that libcpg has no room for (A8): the daemon is asked before each event.
                Stopped::Full => source.counted = Some(link.count()?),
                stopped => return Ok(stopped),
            }
        }
    }

    /// Hands events to `handler` until it breaks with a value, or the limits end it first.
    ///
    /// ```no_run
    /// use std::ops::ControlFlow::{Break, Continue};
    /// use cpg::{Event, Group, Limits};
    ///
    /// let mut group = Group::join("election")?;
    /// group.send(b"I stand")?;
    /// let ended = group.run(Limits::forever(), |_, event| match event {
    ///     Event::Deliver(message) => Break(message.sender()),
    ///     _ => Continue(()),
    /// })?;
    /// println!("{:?} was first", ended.broke());
    /// # Ok::<(), cpg::Error>(())
    /// ```
    ///
    /// The event that the handler breaks at is handled, those after it have not been taken. The limits are looked at between two
    /// events, so a stream of events does not keep them off. Waiting costs no CPU time, and a signal does not end it
    /// ([B6](crate::facts#b6), [B11](crate::facts#b11)); a [`Waker`](crate::Waker) does.
    ///
    /// # Panics
    /// As [`dispatch`](Self::dispatch).
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn run<T>(
        &mut self,
        limits: Limits<'_>,
        handler: impl FnMut(&Link, Event<'_>) -> ControlFlow<T>,
    ) -> Result<Ended<T>> {
        let (progress, mut value) = (Progress::new(limits), None);
        let stopped = self.pump(&progress, until_broken(&progress, &mut value, handler))?;
        Ok(stopped.into_ended(value))
    }

    /// Waits for the next event, and returns a copy that can be kept.
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn recv(&mut self) -> Result<OwnedEvent> {
        loop {
            let ended = self.run(Limits::forever(), |_, event| ControlFlow::Break(event.into_owned()))?;
            if let Some(event) = ended.broke() {
                return Ok(event);
            }
        }
    }

    /// As [`recv`](Self::recv), but gives up at the deadline, with `None`. A deadline in the past takes what is there.
    ///
    /// ```no_run
    /// use std::time::Instant;
    /// use cpg::Group;
    ///
    /// let mut group = Group::join("ledger")?;
    /// while let Some(event) = group.recv_until(Instant::now())? {
    ///     println!("{event:?}");
    /// }
    /// # Ok::<(), cpg::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn recv_until(&mut self, deadline: Instant) -> Result<Option<OwnedEvent>> {
        let limits = Limits::one().until(deadline);
        Ok(self.run(limits, |_, event| ControlFlow::Break(event.into_owned()))?.broke())
    }

    /// Returns the events as an iterator: one [`recv`](Self::recv) after the other, until an error, which is the last item.
    ///
    /// No event is taken before it is asked for, so none is lost when the iterator is dropped.
    ///
    /// ```no_run
    /// use cpg::{Group, OwnedEvent};
    ///
    /// let mut group = Group::join("ledger")?;
    /// group.send(b"+5 alice")?;
    /// for event in group.events() {
    ///     if let OwnedEvent::Deliver(message) = event? {
    ///         println!("{}: {:?}", message.sender(), message.payload());
    ///         break;
    ///     }
    /// }
    /// # Ok::<(), cpg::Error>(())
    /// ```
    #[doc(alias = "cpg_dispatch")]
    pub fn events(&mut self) -> Events<'_> {
        Events::new(self)
    }

    /// Leaves the group and closes the handle, passing over the events that come until then.
    ///
    /// It waits up to the [time limit](crate::ConnectOptions::request_timeout), which is 10 seconds;
    /// [`leave_until`](Self::leave_until) takes a deadline and a handler.
    ///
    /// # Errors
    /// As [`leave_until`](Self::leave_until).
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub fn leave(self) -> Result<()> {
        let deadline = self.link.daemon.requests().deadline();
        self.leave_until(deadline, |_, _| {})
    }

    /// Leaves the group, hands events to `handler` until the own leave has been delivered, and closes the handle.
    ///
    /// What happened in the group before the leave is thus seen to the end. The handler cannot send
    /// ([`Error::Left`](crate::Error::Left)). A leave of which the daemon
    /// has not heard by the deadline, since it is paused, is seen by the others when it goes on.
    ///
    /// # Panics
    /// As [`dispatch`](Self::dispatch); the handle is closed.
    ///
    /// # Errors
    /// The handle is closed in any case, and with it the membership ends.
    /// [`Error::TimedOut`](crate::Error::TimedOut) if the own leave was not delivered by the deadline; those of
    /// [`dispatch`](Self::dispatch), and of a request.
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub fn leave_until(mut self, deadline: Instant, mut handler: impl FnMut(&Link, Event<'_>)) -> Result<()> {
        self.link.leave.begin();
        leave(
            &mut self,
            deadline,
            |group| &group.link.leave,
            |group| group.link.tell_of_leave(&deadline.into()),
            |group, until| group.dispatch(Limits::one().until(until), &mut handler),
        )?;
        let Self { link, events } = self;
        drop(events);
        link.daemon.close(&deadline.into())
    }
}

impl Receive for Group {
    fn receive(&mut self) -> Result<OwnedEvent> {
        self.recv()
    }
}

impl Deref for Group {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

/// The descriptor to wait on in an event loop, non-blocking and close-on-exec.
///
/// It is readable (level-triggered) while events wait, and when the daemon has gone, which the next dispatch then says.
///
/// A level-triggered loop may dispatch as much as it likes at a time. An edge-triggered one (mio) dispatches
/// [`Limits::available`], or until it returns 0, before it waits again. Where the loop asks for conditions (glib), hang-up and
/// error are wanted too. A wait for it to be writable has no meaning: nothing announces the end of flow control
/// ([B7](crate::facts#b7)).
impl AsFd for Group {
    #[doc(alias = "cpg_fd_get")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl AsRawFd for Group {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
