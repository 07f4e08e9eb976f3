//! The receiving half.

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

/// Events that one poll handles at most, so that a stream of them leaves other tasks their turn.
const BATCH: usize = 256;

/// The receiving half of a session, from [`Session::split`](super::Session::split).
///
/// It is a [`Stream`] of [`OwnedEvent`]s, which ends after the first error.
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
#[derive(Debug)]
pub struct Receiver {
    // They go in this order: the senders are told, the reactor gives the descriptor back, and a thread closes the rest, which
    // the first two are thus never the last to have.
    heard: Heard,
    ready: Ready,
    inner: DropOff<session::receiver::Receiver>,
    sender: Sender,
    /// The members of a full group are being counted, before its next event is taken ([A8](crate::facts#a8)).
    counting: Option<Counting>,
    /// True once the stream has given an error.
    ended: bool,
}

/// The registration of the session's descriptor with the reactor.
#[derive(Debug)]
struct Ready {
    /// None only while it is dropped.
    registered: Option<AsyncFd<Descriptor>>,
    sender: Sender,
}

impl Drop for Ready {
    fn drop(&mut self) {
        let registered = self.registered.take();
        if self.sender.shared().check_owner().is_err() {
            // A child has its parent's reactor too, and would take the descriptor out of that.
            std::mem::forget(registered);
        }
    }
}

/// The descriptor of the queue's readiness; the session keeps it open.
#[derive(Debug)]
struct Descriptor(RawFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// A count of members that a thread waits for.
struct Counting(Pin<Box<dyn Future<Output = Result<Counted>> + Send + Sync>>);

impl fmt::Debug for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counting")
    }
}

impl Counting {
    /// Nothing begins before the first poll.
    fn new(shared: &Arc<Shared>) -> Self {
        // It may be dropped before that, and must not be what closes the handle.
        let shared = DropOff::new(Arc::clone(shared));
        Self(Box::pin(thread::run(move |_| shared.into_inner().count())))
    }
}

impl Receiver {
    pub(super) fn new(receiver: session::receiver::Receiver, sender: Sender) -> Result<Self> {
        let descriptor = Descriptor(receiver.as_fd().as_raw_fd());
        let inner = DropOff::new(receiver);
        #[allow(deprecated, reason = "what tokio has since for it is not in the oldest version that will do")]
        let registered =
            Some(AsyncFd::new(descriptor).map_err(Error::io("registering with tokio's reactor"))?);
        let (heard, ready) = (Heard::new(sender.shared()), Ready { registered, sender: sender.clone() });
        Ok(Self { heard, ready, inner, sender, counting: None, ended: false })
    }

    /// Takes up to `most` events, and hands them to `handler`; at least one, or it is not ready.
    fn poll_dispatch(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        handler: &mut dyn FnMut(&Sender, Event<'_>),
    ) -> Poll<Result<usize>> {
        let Self { ready, inner, sender, counting, .. } = self;
        // In a child of the process nothing would ever come: it has neither the reactor's events nor the thread that counts.
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
                // libcpg has said that there is nothing, so that the reactor will say when there is.
                Stopped::Idle => guard.clear_ready(),
                Stopped::Full => *counting = Some(Counting::new(sender.shared())),
                _ => {}
            }
            if progress.handled() > 0 {
                return Poll::Ready(Ok(progress.handled()));
            }
        }
    }

    /// Waits for events, hands those that are there to `handler`, and returns how many it has handled: at least one, and at most
    /// 256, so that other tasks have their turn.
    ///
    /// The handler is that of [`cpg::Receiver::dispatch`](crate::Receiver::dispatch): it borrows what it likes, the event's data is where
    /// libcpg has it, and it can send by [`Sender::try_send`]: a handler runs on the executor, and
    /// must not wait.
    ///
    /// Cancelling it loses nothing: events are handled to their end or not taken.
    ///
    /// # Panics
    /// A panic of the handler goes on in the task, and ends that alone; see [`cpg::Receiver::dispatch`](crate::Receiver::dispatch).
    ///
    /// # Errors
    /// As [`cpg::Receiver::dispatch`](crate::Receiver::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub async fn dispatch(&mut self, mut handler: impl FnMut(&Sender, Event<'_>)) -> Result<usize> {
        poll_fn(|cx| self.poll_dispatch(cx, BATCH, &mut handler)).await
    }

    /// Waits for the next event, and returns a copy that can be kept.
    ///
    /// Cancelling it loses nothing.
    ///
    /// # Errors
    /// As [`cpg::Receiver::dispatch`](crate::Receiver::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub async fn recv(&mut self) -> Result<OwnedEvent> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<OwnedEvent>> {
        let mut next = None;
        ready!(self.poll_dispatch(cx, 1, &mut |_, event| next = Some(event.into_owned())))?;
        Poll::Ready(Ok(next.expect("one event was handled")))
    }

    /// The sending half.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// The group.
    pub fn name(&self) -> &GroupName {
        self.sender.name()
    }

    /// This member: this node and this process.
    pub fn me(&self) -> Member {
        self.sender.me()
    }

    /// As [`cpg::Sender::generation`](crate::Sender::generation).
    pub fn generation(&self) -> u64 {
        self.sender.generation()
    }

    /// As [`cpg::Sender::lag`](crate::Sender::lag).
    ///
    /// # Errors
    /// As [`cpg::Sender::lag`](crate::Sender::lag).
    pub fn lag(&self) -> Result<Lag> {
        self.sender.lag()
    }

    /// Leaves the group, passing over the events that come until the own leave has been delivered, and closes the handle. It
    /// waits up to the [time limit](crate::ConnectOptions::request_timeout), which is 10 seconds.
    ///
    /// Cancelling it ends the membership all the same, without waiting, and though there are senders: as a leave if the daemon
    /// has been told, else as dropping does. So does an error.
    ///
    /// # Errors
    /// As [`cpg::Receiver::leave_until`](crate::Receiver::leave_until).
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub async fn leave(self) -> Result<()> {
        let deadline = self.sender.shared().deadline();
        self.leave_until(deadline, |_, _| {}).await
    }

    /// As [`leave`](Self::leave), with another deadline, and hands the events that come until then to `handler`, which cannot
    /// send any more.
    ///
    /// # Panics
    /// As [`dispatch`](Self::dispatch); the handle is closed.
    ///
    /// # Errors
    /// As [`leave`](Self::leave).
    #[doc(alias = "cpg_leave")]
    #[doc(alias = "cpg_finalize")]
    pub async fn leave_until(
        mut self,
        deadline: Instant,
        mut handler: impl FnMut(&Sender, Event<'_>),
    ) -> Result<()> {
        let shared = Arc::clone(self.sender.shared());
        // Where there is no membership nothing else would look.
        shared.check_owner()?;
        // Also when this is cancelled, fails or panics, and though there are senders.
        let closes = DropOff::new(Closes(Arc::clone(&shared)));
        let left = match self.inner.begin_leave() {
            Leaving::Here => {
                let left = self.leave_here(&shared, deadline, &mut handler);
                let waiting_for = "the own leave to be delivered";
                let left = timeout_at(deadline.into(), left).await;
                left.unwrap_or(Err(Error::TimedOut { waiting_for })).map(|()| Error::DroppedByDaemon)
            }
            Leaving::Away(rejoin) => {
                // It may have found the daemon, and be in the group by now.
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
            // The end of a message in parts makes no event.
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
            // One at a time: the daemon goes on telling of the group, which this member is no longer in.
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
