//! A membership of the binding.

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

/// A member of a group: sends, handles events, and leaves.
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
/// A group dereferences to [`Link`], which has the methods for sending.
///
/// # More than one thread
///
/// A group can move to another thread, but two threads cannot use it at once ([A4](crate::facts#a4)). A program whose threads
/// send while one of them dispatches joins a [`Session`](crate::Session) instead, and [splits](crate::Session::split) it into a
/// [`Sender`](crate::Sender) for any number of threads and a [`Receiver`](crate::Receiver) for the thread that dispatches. A
/// mutex around a group does not help, because the thread that waits for an event would hold the mutex.
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<cpg::Group>();
/// ```
///
/// # Dropping a group
///
/// Dropping a group closes its handle, and waits for the daemon for half a second at most ([B16](crate::facts#b16)). If the
/// daemon is paused, a thread of this crate closes the handle when the daemon resumes. The other members see this member leave
/// with [`Reason::ProcDown`](crate::Reason::ProcDown).
#[derive(Debug)]
pub struct Group {
    link: Link,
    events: EventHalf,
}

impl Group {
    /// Makes the group of a handle that has joined as the member `me`.
    pub(super) fn begin(handle: Handle, name: GroupName, me: Member) -> Self {
        let (daemon, events) = handle.into_halves();
        Self { link: Link::new(daemon, name, me), events }
    }

    /// Returns the daemon, which answers questions about the whole cluster.
    pub fn daemon(&self) -> &Daemon {
        &self.link.daemon
    }

    /// Hands events to `handler`, in the order in which they happened, and returns the number of events that it has handled.
    /// The number is 0 if no event came before the limits ended the dispatch.
    ///
    /// The handler may borrow anything of its caller, and can send through the [`Link`]. It cannot reach the group itself, so a
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
    /// C programs reach their state in a callback through libcpg's context pointer. Here the handler borrows its state, and the
    /// context pointer belongs to this crate.
    ///
    /// # Panics
    /// A panic of the handler propagates to the caller when libcpg has returned ([A6](crate::facts#a6)). The event that the
    /// handler was given counts as handled. Later events have not been taken.
    ///
    /// # Errors
    /// - [`Error::StackTooSmall`](crate::Error::StackTooSmall) on a thread with less than 1152 KiB of stack left
    ///   ([A1](crate::facts#a1)).
    /// - [`Error::GroupTooLarge`](crate::Error::GroupTooLarge) if the group has grown past 128 members ([A8](crate::facts#a8)).
    /// - An error for which [`Error::is_connection_lost`](crate::Error::is_connection_lost) is true, when the daemon has gone.
    ///   Events that had not been dispatched by then are lost ([B9](crate::facts#b9)).
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
                // With one more member, a view would be too large for libcpg (A8). So the daemon is asked before each event.
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
    /// The event at which the handler breaks counts as handled. Later events have not been taken. The limits are checked
    /// between two events, so a stream of events does not delay them. Waiting costs no CPU time. A signal does not end the wait
    /// ([B6](crate::facts#b6), [B11](crate::facts#b11)), but a [`Waker`](crate::Waker) does.
    ///
    /// # Panics
    /// Those of [`dispatch`](Self::dispatch).
    ///
    /// # Errors
    /// Those of [`dispatch`](Self::dispatch).
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

    /// Waits for the next event, and returns a copy of it that can be kept.
    ///
    /// # Errors
    /// Those of [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn recv(&mut self) -> Result<OwnedEvent> {
        loop {
            let ended = self.run(Limits::forever(), |_, event| ControlFlow::Break(event.into_owned()))?;
            if let Some(event) = ended.broke() {
                return Ok(event);
            }
        }
    }

    /// Waits for the next event until the deadline, and returns a copy of it. Returns `None` if no event came in time. If the
    /// deadline has passed already, takes an event that is there.
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
    /// Those of [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn recv_until(&mut self, deadline: Instant) -> Result<Option<OwnedEvent>> {
        let limits = Limits::one().until(deadline);
        Ok(self.run(limits, |_, event| ControlFlow::Break(event.into_owned()))?.broke())
    }

    /// Returns an iterator over the events. Each item is one [`recv`](Self::recv). The first error is the last item.
    ///
    /// The iterator takes an event only when it is asked for the next item, so dropping the iterator loses no event.
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

    /// Leaves the group and closes the handle. Events that come until then are ignored.
    ///
    /// Waits up to the [time limit](crate::ConnectOptions::request_timeout) of the connection, 10 seconds by default.
    /// [`leave_until`](Self::leave_until) takes a deadline and a handler.
    ///
    /// # Errors
    /// Those of [`leave_until`](Self::leave_until).
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub fn leave(self) -> Result<()> {
        let deadline = self.link.daemon.requests().deadline();
        self.leave_until(deadline, |_, _| {})
    }

    /// Leaves the group, hands events to `handler` until this member's leave has been delivered, and closes the handle.
    ///
    /// So the program sees everything that happened in the group before its leave. The handler cannot send
    /// ([`Error::Left`](crate::Error::Left)). If the daemon is paused and has not heard of the leave by the deadline, the other
    /// members see the leave when the daemon resumes.
    ///
    /// # Panics
    /// Those of [`dispatch`](Self::dispatch). The handle is closed.
    ///
    /// # Errors
    /// The handle is closed in any case, and the membership ends with it.
    ///
    /// - [`Error::TimedOut`](crate::Error::TimedOut) if this member's leave was not delivered by the deadline.
    /// - Those of [`dispatch`](Self::dispatch), and those of a request, as for [`Daemon::local_node`].
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

/// The descriptor to wait on in an event loop. It is non-blocking and close-on-exec.
///
/// The descriptor is readable (level-triggered) while events wait, and when the daemon has gone. In that case the next dispatch
/// returns the error.
///
/// - A level-triggered loop may dispatch any number of events at a time.
/// - An edge-triggered loop (mio) dispatches [`Limits::available`], or dispatches until the result is 0, before it waits again.
/// - A loop that asks for conditions (glib) must ask for hang-up and error too.
/// - Waiting until the descriptor is writable has no meaning, because nothing announces the end of flow control
///   ([B7](crate::facts#b7)).
/// - Only wait on it. It is libcpg's own socket: if a program reads from a copy of it, events come late, and a leave can time out.
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
