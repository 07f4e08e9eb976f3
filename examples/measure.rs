//! The member with which `cpg-bench` measures: it sends to its group and examines what is delivered.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use cpg::{ConnectOptions, Event, Flow, Group, GroupName, Limits, Member, Session};
use nix::poll::PollFlags;

use crate::program::End;
use crate::signals::Signals;
use crate::wait::wait;

/// The longest wait for something that should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The pause before a refused message is sent again, unless an event comes first.
const RETRY: Duration = Duration::from_millis(1);

/// The number of messages to send between two looks at the clock and at the events.
const BATCH: usize = 64;

/// A way of sending messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Queued,
    Coalesced,
}

/// The beginning of a message: its number, with the highest bit set in the last message of a run.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    pub number: u64,
    pub is_last: bool,
}

impl Message {
    const LAST: u64 = 1 << 63;

    /// Reads the beginning of a message. Returns `None` for a message of another program.
    pub fn of(payload: &[u8]) -> Option<Self> {
        let number = u64::from_le_bytes(*payload.first_chunk()?);
        Some(Self { number: number & !Self::LAST, is_last: number & Self::LAST != 0 })
    }

    fn write(self, buffer: &mut [u8]) {
        let number = self.number | if self.is_last { Self::LAST } else { 0 };
        buffer[..8].copy_from_slice(&number.to_le_bytes());
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    pub messages: u64,
    pub lost: u64,
    /// The time from the first message to the last delivery.
    pub time: Duration,
    latencies: Vec<Duration>,
}

impl Outcome {
    /// Returns the latency that so many thousandths of the messages did not exceed.
    pub fn latency(&self, thousandths: usize) -> Duration {
        let rank = (self.latencies.len() * thousandths).div_ceil(1000);
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// A membership that sends messages of one size.
pub struct Run<'s> {
    membership: Membership,
    signals: &'s Signals,
    message: Vec<u8>,
    sent: u64,
    tally: Tally,
    /// True after a signal.
    stopped: bool,
}

enum Membership {
    Plain(Group),
    Session(Session),
}

impl<'s> Run<'s> {
    pub fn join(name: &GroupName, kind: Kind, size: usize, signals: &'s Signals) -> Result<Self, End> {
        let deadline = Instant::now() + PATIENCE;
        let session = |flow| Session::options().flow(flow).join_until(name, deadline);
        let membership = match kind {
            Kind::Plain => Membership::Plain(ConnectOptions::new().join_until(name, deadline)?),
            Kind::Queued => Membership::Session(session(Flow::new())?),
            Kind::Coalesced => Membership::Session(session(Flow::coalesced())?),
        };
        let (message, tally) = (vec![0; size], Tally::default());
        Ok(Self { membership, signals, message, sent: 0, tally, stopped: false })
    }

    pub fn members(&self) -> cpg::Result<Vec<Member>> {
        match &self.membership {
            Membership::Plain(group) => group.members(),
            Membership::Session(session) => session.members(),
        }
    }

    /// Sends so many messages per second, and measures the latency of each. Returns `None` if a signal has ended the
    /// run.
    pub fn paced(mut self, rate: u64, time: Duration) -> Result<Option<Outcome>, End> {
        let start = Instant::now();
        let count = rate * time.as_secs();
        for number in 0..count {
            let due = start + Duration::from_nanos(number * 1_000_000_000 / rate);
            // A message that is sent late counts from the time at which it was due. Else a cluster that stops for a
            // second would delay one message only. But if this process merely wakes a little too late, the cluster is
            // not to blame.
            let mut began = due;
            while !self.stopped && Instant::now() < due {
                self.step(due.saturating_duration_since(Instant::now()))?;
                began = Instant::now().max(due);
            }
            self.tally.began.push_back(began);
            while !self.stopped && !self.send(number + 1 == count)? {
                self.step(RETRY)?;
            }
        }
        self.finish(start)
    }

    /// Sends as many messages as the daemon takes. Returns `None` if a signal has ended the run.
    pub fn flood(mut self, time: Duration) -> Result<Option<Outcome>, End> {
        let start = Instant::now();
        while !self.stopped && start.elapsed() < time {
            let mut pause = Duration::ZERO;
            for _ in 0..BATCH {
                if !self.send(false)? {
                    pause = RETRY;
                    break;
                }
            }
            self.step(pause)?;
        }
        while !self.stopped && !self.send(true)? {
            self.step(RETRY)?;
        }
        self.finish(start)
    }

    /// Sends the next message. Returns false if flow control refused the message.
    fn send(&mut self, is_last: bool) -> cpg::Result<bool> {
        Message { number: self.sent, is_last }.write(&mut self.message);
        let sent = match &self.membership {
            Membership::Plain(group) => group.send(&self.message),
            Membership::Session(session) => session.send(&self.message).map(drop),
        };
        match sent {
            Ok(()) => self.sent += 1,
            Err(error) if error.is_retryable() => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Waits for events, but no longer than the given time, and dispatches them.
    fn step(&mut self, time: Duration) -> Result<(), End> {
        let wanted = [self.signals.as_fd(), self.membership.as_fd()].map(|fd| Some((fd, PollFlags::POLLIN)));
        let [signal, _] = wait(wanted, Some(time))?;
        self.stopped |= !signal.is_empty() && self.signals.take()?;
        let (tally, all) = (&mut self.tally, Limits::available());
        match &mut self.membership {
            Membership::Plain(group) => group.dispatch(all, |link, event| tally.take(link.me(), &event))?,
            Membership::Session(session) => {
                session.dispatch(all, |sender, event| tally.take(sender.me(), &event))?
            }
        };
        Ok(())
    }

    /// Waits until the last message has been delivered, and leaves.
    fn finish(mut self, start: Instant) -> Result<Option<Outcome>, End> {
        let deadline = Instant::now() + PATIENCE;
        while !self.stopped && self.tally.next < self.sent {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let missing = self.sent - self.tally.next;
                return Err(End::Failed(format!("the last {missing} messages have not come back")));
            }
            self.step(left)?;
        }
        match self.membership {
            Membership::Plain(group) => group.leave()?,
            Membership::Session(session) => session.leave()?,
        }
        let Tally { messages, lost, last, mut latencies, .. } = self.tally;
        latencies.sort_unstable();
        let time = last.unwrap_or(start).saturating_duration_since(start);
        Ok((!self.stopped).then_some(Outcome { messages, lost, time, latencies }))
    }
}

impl AsFd for Membership {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(group) => group.as_fd(),
            Self::Session(session) => session.as_fd(),
        }
    }
}

/// The messages of this member that have been delivered.
#[derive(Default)]
struct Tally {
    messages: u64,
    lost: u64,
    /// The number of the next message to be delivered.
    next: u64,
    last: Option<Instant>,
    /// The times at which the undelivered messages began, if their latency is measured.
    began: VecDeque<Instant>,
    latencies: Vec<Duration>,
}

impl Tally {
    fn take(&mut self, me: Member, event: &Event<'_>) {
        let Event::Deliver(message) = event else { return };
        let Some(Message { number, .. }) = Message::of(message.payload()).filter(|_| message.sender() == me)
        else {
            return;
        };
        let now = Instant::now();
        // The daemon can drop a message that it has accepted (fact B17), but it never changes their order.
        while self.next < number {
            self.next += 1;
            self.lost += 1;
            self.began.pop_front();
        }
        self.next += 1;
        self.messages += 1;
        self.last = Some(now);
        if let Some(began) = self.began.pop_front() {
            self.latencies.push(now.saturating_duration_since(began));
        }
    }
}
