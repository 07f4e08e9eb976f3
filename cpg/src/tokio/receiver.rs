//! The receiving half of a session for tasks.

use std::fmt;
use std::future::{Future, poll_fn};
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use ::tokio::io::unix::AsyncFd;
use ::tokio::time::{sleep, timeout, timeout_at};
use futures_core::Stream;
use futures_core::stream::FusedStream;

use crate::dispatch::limits::Limits;
use crate::dispatch::run::{Progress, Stopped};
use crate::error::{Error, Result};
use crate::event::event::{Event, OwnedEvent};
use crate::ffi::requests::Counted;
use crate::group::leave::RETRY;
use crate::group_name::GroupName;
use crate::member::Member;
use crate::session;
use crate::session::incoming::Leaving;
use crate::session::lag::Lag;
use crate::session::receiver::Heard;
use crate::session::shared::{Closes, Shared};
use crate::tokio::sender::Sender;
use crate::tokio::thread::{self, DropOff};

/// The number of events that one poll handles at most, so that many events do not keep other tasks from running.
const BATCH: usize = 256;

/// The receiving half of a session, for the task that takes events. [`Session::split`](super::Session::split) makes it.
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use cpg::OwnedEvent;
/// use cpg::tokio::{Receiver, Session};
///
/// # #[tokio::main]
/// # async fn main() -> cpg::Result<()> {
/// let (sender, mut receiver): (_, Receiver) = Session::join("ledger").await?.split();
/// sender.send(b"+5 alice").await?;
/// loop {
///     match receiver.recv().await? {
///         OwnedEvent::Deliver(message) if message.sender() == sender.me() => break,
///         event => println!("{event:?}"),
///     }
/// }
/// sender.send(b"-5 alice").await?;
/// receiver.dispatch(|sender, event| println!("{}: {event:?}", sender.me())).await?;
/// println!("{} in {}, membership {}", receiver.me(), receiver.name(), receiver.generation());
/// println!("dispatched {:?} ago", receiver.lag()?.since_dispatch());
/// receiver.leave_until(Instant::now() + Duration::from_secs(10), |_, _| {}).await?;
///
/// let (_, receiver) = Session::join("ledger").await?.split();
/// receiver.leave().await
/// # }
/// ```
///
/// A receiver is a `futures_core::Stream` of [`OwnedEvent`]s, which ends after the first error.
#[derive(Debug)]
pub struct Receiver {
    // The fields are dropped in this order: the senders are told, the reactor gives up the descriptor, and then a thread closes
    // the rest. So neither of the first two is ever the last owner of the rest.
    heard: Heard,
    ready: Ready,
    inner: DropOff<session::receiver::Receiver>,
    sender: Sender,
    /// The count of the members of a full group, which is made before its next event is taken ([A8](crate::facts#a8)).
    counting: Option<Counting>,
    /// True once the stream has returned an error.
    ended: bool,
}

/// The registration of the session's descriptor with the reactor.
#[derive(Debug)]
struct Ready {
    /// `None` only during the drop.
    registered: Option<AsyncFd<Descriptor>>,
    sender: Sender,
}

impl Drop for Ready {
    fn drop(&mut self) {
        let registered = self.registered.take();
        if self.sender.shared().check_owner().is_err() {
            // A child shares the reactor of its parent, and would remove the descriptor from there.
            std::mem::forget(registered);
        }
    }
}

/// The descriptor of the session's readiness. The session keeps it open.
#[derive(Debug)]
struct Descriptor(RawFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// A count of the members, made by a thread.
struct Counting(Pin<Box<dyn Future<Output = Result<Counted>> + Send + Sync>>);

impl fmt::Debug for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counting")
    }
}

impl Counting {
    /// Makes a count that does not begin before its first poll.
    fn new(shared: &Arc<Shared>) -> Self {
        // The future may be dropped before its first poll, and must not close the handle then.
        let shared = DropOff::new(Arc::clone(shared));
        Self(Box::pin(thread::run(move |_| shared.into_inner().count())))
    }
}

impl Receiver {
    pub(super) fn new(receiver: session::receiver::Receiver, sender: Sender) -> Result<Self> {
        let descriptor = Descriptor(receiver.as_fd().as_raw_fd());
        let inner = DropOff::new(receiver);
        #[allow(
            deprecated,
            reason = "the oldest version of tokio that this crate supports has nothing newer"
        )]
        let registered =
            Some(AsyncFd::new(descriptor).map_err(Error::io("registering with tokio's reactor"))?);
        let (heard, ready) = (Heard::new(sender.shared()), Ready { registered, sender: sender.clone() });
        Ok(Self { heard, ready, inner, sender, counting: None, ended: false })
    }

    /// Takes up to `most` events, and hands them to `handler`. Is ready when at least one event was handled.
    fn poll_dispatch(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        handler: &mut dyn FnMut(&Sender, Event<'_>),
    ) -> Poll<Result<usize>> {
        let Self { ready, inner, sender, counting, .. } = self;
        // A child of the process would wait forever: it has neither the reactor's events nor the thread that counts.
        sender.shared().check_owner()?;
        let registered = ready.registered.as_mut().expect("taken by drop alone");
        loop {
            let mut guard = ready!(registered.poll_read_ready_mut(cx))
                .map_err(Error::io("waiting for tokio's reactor"))?;
            let mut counted = None;
            if let Some(Counting(count)) = counting {
                let result = ready!(count.as_mut().poll(cx));
                *counting = None;
                counted = inner.counted(result)?;
            }
            let progress = Progress::new(Limits::available().at_most(most));
            match inner.turn(&progress, counted, &mut |_, event| handler(sender, event))? {
                // libcpg has reported that no event is there, so the reactor will report the next one.
                Stopped::Idle => guard.clear_ready(),
                Stopped::Full => *counting = Some(Counting::new(sender.shared())),
                _ => {}
            }
            if progress.handled() > 0 {
                return Poll::Ready(Ok(progress.handled()));
            }
        }
    }

    /// Waits for events, hands those that are there to `handler`, and returns the number of events that it has
    /// handled. That is at least one, and at most 256, so that other tasks can run.
    ///
    /// The handler is the same as for [`cpg::Receiver::dispatch`](crate::Receiver::dispatch). It may borrow anything of its
    /// caller, and gets the event's data where libcpg has it. It runs on the executor and must not wait, so it sends with
    /// [`Sender::try_send`].
    ///
    /// Cancelling: nothing is lost. Each event is either handled completely or not taken.
    ///
    /// # Panics
    /// A panic of the handler propagates into the task, and ends only that task; see
    /// [`cpg::Receiver::dispatch`](crate::Receiver::dispatch).
    ///
    /// # Errors
    /// Those of [`cpg::Receiver::dispatch`](crate::Receiver::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub async fn dispatch(&mut self, mut handler: impl FnMut(&Sender, Event<'_>)) -> Result<usize> {
        poll_fn(|cx| self.poll_dispatch(cx, BATCH, &mut handler)).await
    }

    /// Waits for the next event, and returns a copy of it that can be kept.
    ///
    /// Cancelling: nothing is lost.
    ///
    /// # Errors
    /// Those of [`cpg::Receiver::dispatch`](crate::Receiver::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub async fn recv(&mut self) -> Result<OwnedEvent> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<OwnedEvent>> {
        let mut next = None;
        ready!(self.poll_dispatch(cx, 1, &mut |_, event| next = Some(event.into_owned())))?;
        Poll::Ready(Ok(next.expect("one event was handled")))
    }

    /// Returns the sending half.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Returns the name of the group.
    pub fn name(&self) -> &GroupName {
        self.sender.name()
    }

    /// Returns this member: this node and this process.
    pub fn me(&self) -> Member {
        self.sender.me()
    }

    /// Returns the number of the membership: see [`cpg::Sender::generation`](crate::Sender::generation).
    pub fn generation(&self) -> u64 {
        self.sender.generation()
    }

    /// Returns how far this member lags behind the messages that it has sent: see [`cpg::Sender::lag`](crate::Sender::lag).
    ///
    /// # Errors
    /// Those of [`cpg::Sender::lag`](crate::Sender::lag).
    pub fn lag(&self) -> Result<Lag> {
        self.sender.lag()
    }

    /// Sends the messages in the queue, leaves the group and closes the handle, as
    /// [`cpg::Receiver::leave`](crate::Receiver::leave) does. Ignores the events that come until then. Waits up to the [time
    /// limit](crate::ConnectOptions::request_timeout) of the connection, 10 seconds by default.
    ///
    /// Cancelling: the membership ends in any case, without a wait, and even if there are senders. The other members see
    /// [`Reason::Leave`](crate::Reason::Leave) if the daemon already knows of the leave, and
    /// [`Reason::ProcDown`](crate::Reason::ProcDown) if not. After an error the membership ends in the same way.
    ///
    /// # Errors
    /// Those of [`cpg::Receiver::leave_until`](crate::Receiver::leave_until).
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub async fn leave(self) -> Result<()> {
        let deadline = self.sender.shared().deadline();
        self.leave_until(deadline, |_, _| {}).await
    }

    /// Sends the messages in the queue, leaves the group and closes the handle, and waits for all this until the deadline at
    /// most. Hands the events that come until then to `handler`, which cannot send any more.
    ///
    /// Cancelling: the same as for [`leave`](Self::leave).
    ///
    /// # Panics
    /// Those of [`dispatch`](Self::dispatch). The handle is closed.
    ///
    /// # Errors
    /// Those of [`leave`](Self::leave).
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub async fn leave_until(
        mut self,
        deadline: Instant,
        mut handler: impl FnMut(&Sender, Event<'_>),
    ) -> Result<()> {
        let shared = Arc::clone(self.sender.shared());
        // Without a membership nothing else below would check the process.
        shared.check_owner()?;
        // This closes the membership even if the leave is cancelled, fails or panics, and even if there are senders.
        let closes = DropOff::new(Closes(Arc::clone(&shared)));
        let left = match self.inner.begin_leave() {
            Leaving::Here => {
                let left = self.leave_here(&shared, deadline, &mut handler);
                let waiting_for = "this member's leave to be delivered";
                let left = timeout_at(deadline.into(), left).await;
                left.unwrap_or(Err(Error::TimedOut { waiting_for })).map(|()| Error::DroppedByDaemon)
            }
            Leaving::Away(rejoin) => {
                // The search may have found the daemon, and this process may be in the group by now.
                let dropped = thread::run(move |_| {
                    drop(rejoin);
                    Ok(())
                });
                let waiting_for = "the search for the daemon to end";
                let dropped = timeout_at(deadline.into(), dropped).await;
                dropped.unwrap_or(Err(Error::TimedOut { waiting_for })).map(|()| Error::Left)
            }
            Leaving::Over(error) => Err(error),
        };
        let Self { inner, sender, .. } = &mut self;
        inner.end_leave(&left, &mut |_, event| handler(sender, event));
        left?;
        let Self { heard, ready, inner, .. } = self;
        drop(ready);
        let inner = inner.into_inner();
        thread::run(move |_| {
            drop(inner);
            let result = shared.take().map_or(Ok(()), |daemon| daemon.close(&deadline.into()));
            drop((closes.into_inner(), heard));
            result
        })
        .await
    }

    async fn leave_here(
        &mut self,
        shared: &Arc<Shared>,
        deadline: Instant,
        handler: &mut impl FnMut(&Sender, Event<'_>),
    ) -> Result<()> {
        while shared.outbox().is_waiting() {
            // When the last part of a message has been sent, there is no event.
            timeout(RETRY, self.dispatch(&mut *handler)).await.unwrap_or(Ok(0))?;
        }
        loop {
            let leaving = Arc::clone(shared);
            match thread::run(move |_| leaving.leave(&deadline.into())).await {
                Err(error) if error.is_retryable() => sleep(RETRY).await,
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.inner.own_leave().told();
        while !self.inner.own_leave().is_over() {
            // One event at a time, because the daemon goes on sending events of the group after this member has left.
            poll_fn(|cx| self.poll_dispatch(cx, 1, handler)).await?;
        }
        Ok(())
    }
}

impl Stream for Receiver {
    type Item = Result<OwnedEvent>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let event = ready!(this.poll_recv(cx));
        this.ended = event.is_err();
        Poll::Ready(Some(event))
    }
}

impl FusedStream for Receiver {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}
