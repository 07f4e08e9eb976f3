//! The receiving half.

use std::future::Future;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ::tokio::io::unix::AsyncFd;
use ::tokio::time::{sleep, timeout, timeout_at};
use futures_core::Stream;
use futures_core::stream::FusedStream;

use super::thread;
use crate::cause::Cause;
use crate::dispatch::limits::Work;
use crate::dispatch::source::Source;
use crate::error::{Error, Result};
use crate::event::event::Event;
use crate::event::event::OwnedEvent;
use crate::group::inbox::Inbox;
use crate::group::join::PATIENCE;
use crate::group::link::Link;
use crate::group_name::GroupName;
use crate::member::Member;
use crate::session::lag::Lag;
use crate::session::requests::{Closes, Shared};

/// Events that one poll handles at most, so that a stream of them leaves other tasks their turn.
const BATCH: usize = 256;

/// The pause before a leave that flow control refused is tried again, or the queue looked at.
const RETRY: Duration = Duration::from_millis(10);

/// The receiving half of a group, from [`Group::split`](super::Group::split).
///
/// It is a [`Stream`] of [`OwnedEvent`]s, which ends after the first error.
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use cpg::OwnedEvent;
/// use cpg::tokio::{Group, Receiver};
///
/// # #[tokio::main]
/// # async fn main() -> cpg::Result<()> {
/// let (sender, mut receiver): (_, Receiver) = Group::join("ledger").await?.split();
/// sender.send(b"+5 alice").await?;
/// loop {
///     match receiver.recv().await? {
///         OwnedEvent::Deliver(message) if message.sender() == sender.me() => break,
///         event => println!("{event:?}"),
///     }
/// }
/// sender.send(b"-5 alice").await?;
/// receiver.dispatch(|link, event| println!("{}: {event:?}", link.me())).await?;
/// println!("{} in {}, membership {}", receiver.me(), receiver.name(), receiver.generation());
/// println!("dispatched {:?} ago", receiver.lag().since_dispatch());
/// receiver.leave_until(Instant::now() + Duration::from_secs(10), |_, _| {}).await?;
///
/// let (_, receiver) = Group::join("ledger").await?.split();
/// receiver.leave().await
/// # }
/// ```
#[derive(Debug)]
pub struct Receiver {
    /// None only while it is dropped.
    parts: Option<Parts>,
    /// The members of a full group are being counted, before its next event is taken (A8).
    counting: Option<Counting>,
    /// Whether the stream has given an error.
    ended: bool,
    /// Whether dropping it ends the membership, though there are senders.
    leaving: bool,
}

#[derive(Debug)]
struct Parts {
    inbox: Inbox,
    ready: AsyncFd<Descriptor>,
}

/// What one poll handles.
struct Batch {
    most: usize,
    /// Whether the group is full, and its members have been counted.
    full: bool,
}

impl Work for Batch {
    /// How many were handled, and whether there were no more.
    type Output = (usize, bool);

    fn more(&self, handled: usize) -> bool {
        handled < self.most
    }

    fn run(&self, source: &Source<'_, '_>) -> Result<(usize, bool)> {
        let mut drained = false;
        // One that becomes full ends the batch.
        while self.more(source.handled()) && !drained && (self.full || !source.is_full()?) {
            drained = !source.one()?;
        }
        Ok((source.handled(), drained))
    }
}

/// A count of members that a thread waits for.
struct Counting(Pin<Box<dyn Future<Output = Result<usize>> + Send + Sync>>);

impl std::fmt::Debug for Counting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counting")
    }
}

/// The descriptor of the queue's readiness, registered with the reactor; the inbox keeps it open.
#[derive(Debug)]
struct Descriptor(RawFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(Parts { inbox, ready }) = self.parts.take() {
            let shared = inbox.link().requests().shared();
            if let Some(shared) = shared {
                shared.unheard();
            }
            if inbox.own_process().is_ok() {
                drop(ready);
            } else {
                // A child has its parent's reactor too, and would take the descriptor out of that.
                std::mem::forget(ready);
            }
            let closes = shared.filter(|_| self.leaving).cloned().map(Closes);
            thread::drop_off((inbox, closes));
        }
    }
}

impl Counting {
    fn start(link: &Link) -> Self {
        let (shared, name) = (link.requests().shared().cloned(), link.name().clone());
        Self(Box::pin(thread::run(move || shared.map_or(Err(Error::Left), |shared| shared.count(&name)))))
    }
}

impl Receiver {
    pub(super) fn new(inbox: Inbox) -> Result<Self> {
        let descriptor = Descriptor(inbox.as_fd().as_raw_fd());
        #[allow(deprecated, reason = "what tokio has since for it is not in the oldest version that will do")]
        let ready = AsyncFd::new(descriptor).map_err(Error::Poll)?;
        let parts = Some(Parts { inbox, ready });
        Ok(Self { parts, counting: None, ended: false, leaving: false })
    }

    pub(super) fn link(&self) -> &Link {
        self.parts.as_ref().expect("taken by drop alone").inbox.link()
    }

    /// Takes up to `most` events, and hands them to `handler`; at least one, or it is not ready.
    fn poll_dispatch(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        handler: &mut dyn FnMut(&Link, Event<'_>),
    ) -> Poll<Result<usize>> {
        let Parts { inbox, ready } = self.parts.as_mut().expect("taken by drop alone");
        loop {
            let Poll::Ready(guard) = ready.poll_read_ready_mut(cx) else {
                // In a child of the process nothing would ever come.
                inbox.own_process()?;
                return Poll::Pending;
            };
            let mut guard = guard.map_err(Error::Poll)?;
            let full = inbox.events().filter(|events| !matches!(events.is_full(), Ok(false)));
            if let Some(events) = full {
                events.is_full()?;
                let counting = self.counting.get_or_insert_with(|| Counting::start(inbox.link()));
                let members = ready!(counting.0.as_mut().poll(cx));
                self.counting = None;
                match members {
                    Ok(members) => events.check_count(members)?,
                    Err(error) if inbox.loses_by(&error) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            // One at a time, each after a count.
            let (full, most) = (full.is_some(), if full.is_some() { 1 } else { most });
            let (count, drained) = inbox.pump(false, &mut &mut *handler, &Batch { most, full })?;
            // libcpg has said that there is nothing, so that the reactor will say when there is.
            if drained {
                guard.clear_ready();
            }
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
        }
    }

    /// Waits for events, hands those that are there to `handler`, and returns how many it has handled: at least one.
    ///
    /// The handler is that of [`Group::dispatch`](crate::Group::dispatch): it borrows what it likes, the event's data is where
    /// libcpg has it, and it can send through the [`Link`]. What waits for the daemon (a message above the atomic size,
    /// members, zero-copy) is [refused](Error::Waits) there.
    ///
    /// Cancelling it loses nothing: events are handled to their end or not taken.
    ///
    /// # Panics
    /// A panic of the handler goes on in the task, and ends that alone; see [`Group::dispatch`](crate::Group::dispatch).
    ///
    /// # Errors
    /// As [`Group::dispatch`](crate::Group::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub async fn dispatch(&mut self, mut handler: impl FnMut(&Link, Event<'_>)) -> Result<usize> {
        std::future::poll_fn(|cx| self.poll_dispatch(cx, BATCH, &mut handler)).await
    }

    /// Waits for the next event, and returns a copy that can be kept.
    ///
    /// Cancelling it loses nothing.
    ///
    /// # Errors
    /// As [`Group::dispatch`](crate::Group::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub async fn recv(&mut self) -> Result<OwnedEvent> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<OwnedEvent>> {
        let mut next = None;
        ready!(self.poll_dispatch(cx, 1, &mut |_, event| next = Some(event.to_owned())))?;
        Poll::Ready(Ok(next.expect("one event was handled")))
    }

    /// The group.
    pub fn name(&self) -> &GroupName {
        self.link().name()
    }

    /// This member: this node and this process.
    pub fn me(&self) -> Member {
        self.link().me()
    }

    /// Which membership this is: 1 for the first, and one more for each that [follows](crate::Reconnect). While the group is away
    /// it is still the one that was lost.
    pub fn generation(&self) -> u64 {
        self.link().generation()
    }

    /// How far this member is behind what it has sent.
    pub fn lag(&self) -> Lag {
        self.shared().outbox().lag()
    }

    /// Leaves the group, passing over the events that come until the own leave has been delivered, and closes the handle. It
    /// waits for up to 10 seconds.
    ///
    /// Cancelling it ends the membership all the same, without waiting, and though there are senders: as a leave if the daemon
    /// has been told, else as dropping does. So does an error.
    ///
    /// # Errors
    /// As [`Group::leave_until`](crate::Group::leave_until).
    #[doc(alias = "cpg_leave")]
    pub async fn leave(self) -> Result<()> {
        self.leave_until(Instant::now() + PATIENCE, |_, _| {}).await
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
        mut handler: impl FnMut(&Link, Event<'_>),
    ) -> Result<()> {
        self.leaving = true;
        let shared = self.shared();
        shared.outbox().close();
        let leaving = self.parts.as_mut().map(|parts| parts.inbox.leaving());
        let (here, search) = leaving.unwrap_or_default();
        let left = async {
            if !here {
                // It may have found the daemon, and be in the group by now.
                return thread::run(move || {
                    drop(search);
                    Ok(())
                })
                .await;
            }
            while shared.outbox().is_waiting() {
                // A long message that is given up makes no event.
                timeout(RETRY, self.dispatch(&mut handler)).await.unwrap_or(Ok(0))?;
            }
            loop {
                let (shared, name) = (shared.clone(), self.link().name().clone());
                match thread::run(move || shared.leave(&name)).await {
                    Err(error) if error.is_retryable() => sleep(RETRY).await,
                    Err(error) => return Err(error),
                    Ok(()) => break,
                }
            }
            while !self.link().has_left() {
                // One at a time: the daemon goes on telling of the group, which this member is no longer in.
                std::future::poll_fn(|cx| self.poll_dispatch(cx, 1, &mut handler)).await?;
            }
            Ok(())
        };
        let waiting_for = "the own leave to be delivered";
        let left = timeout_at(deadline.into(), left).await.unwrap_or(Err(Error::TimedOut { waiting_for }));
        // What has not come back by now does not come.
        shared.outbox().end(if here && left.is_ok() { Cause::Dropped } else { Cause::Left });
        while let Some(message) = shared.outbox().take_returned() {
            handler(self.link(), Event::Undelivered(message.into()));
        }
        left?;
        let Some(Parts { inbox, ready }) = self.parts.take() else { return Ok(()) };
        drop(ready);
        thread::run(move || inbox.close()).await
    }

    fn shared(&self) -> Shared {
        self.link().requests().shared().cloned().expect("a receiver shares its requests")
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
