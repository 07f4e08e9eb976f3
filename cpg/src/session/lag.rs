//! The lag of a member: its dispatching behind its sending.

use std::time::Duration;

/// The messages that a member has sent and has not yet dispatched itself: how far its dispatching is behind its sending.
/// [`Sender::lag`](crate::Sender::lag) and [`Receiver::lag`](crate::Receiver::lag) measure it.
///
/// ```no_run
/// use std::time::Duration;
/// use cpg::{Lag, Limits, Session};
///
/// let (sender, mut receiver) = Session::join("ledger")?.split();
/// std::thread::spawn(move || receiver.run(Limits::forever(), |_, _| std::ops::ControlFlow::<()>::Continue(())));
/// for reading in 0..1000_u32 {
///     // Readings are useful only while they are new.
///     if sender.lag()?.oldest().is_none_or(|age| age < Duration::from_secs(1)) {
///         sender.send(&reading.to_le_bytes())?;
///     }
/// }
/// let lag: Lag = sender.lag()?;
/// println!("{} of {} bytes in flight", lag.in_flight(), lag.in_flight_bytes());
/// println!("{} of {} bytes in the queue", lag.waiting(), lag.waiting_bytes());
/// println!("dispatched {:?} ago", lag.since_dispatch());
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// If a member does not dispatch, the daemon of its node keeps the member's events in memory, without a limit
/// ([B14](crate::facts#b14)). libcpg cannot say how many events wait there. But the member's own messages show how long events
/// wait, because each one comes back in its place in the order: while a message of this member is in flight, the events after it
/// in the order are at most as old as [`oldest`](Self::oldest). The events before it can be older. If a member sends at least
/// once per second, the events that it dispatches now are at most about as old as `oldest` plus one second (one second if nothing
/// is in flight). A member that sends nothing cannot measure its lag.
///
/// A member that is behind can do one of these:
///
/// - send less, or nothing, until it has caught up;
/// - dispatch at once, and put off the work that the events ask for;
/// - leave the group and join it again. The daemon then forgets the events that it has kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Lag {
    pub(crate) in_flight: usize,
    pub(crate) in_flight_bytes: usize,
    pub(crate) oldest: Option<Duration>,
    pub(crate) waiting: usize,
    pub(crate) waiting_bytes: usize,
    pub(crate) since_dispatch: Duration,
}

impl Lag {
    /// Returns the number of messages that this member has sent and whose self-delivery has not been dispatched.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the bytes of the messages in flight, including the headers of their packets.
    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// Returns the time since the oldest message in flight was sent. `None` if no message is in flight.
    pub fn oldest(&self) -> Option<Duration> {
        self.oldest
    }

    /// Returns the number of messages that wait in the queue and have not been sent.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns the bytes of the messages in the queue, including the headers of their packets.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Returns the time since the receiver last looked for an event. It grows while a handler runs for long, and while the
    /// program does not dispatch.
    pub fn since_dispatch(&self) -> Duration {
        self.since_dispatch
    }
}
