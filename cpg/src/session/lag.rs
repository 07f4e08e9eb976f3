//! How far a member is behind.

use std::time::Duration;

/// The distance of a member behind what it has sent: from [`Sender::lag`](crate::Sender::lag) and
/// [`Receiver::lag`](crate::Receiver::lag).
///
/// A member that does not dispatch has the daemon of its node keep its events in memory, without a limit
/// ([B14](crate::facts#b14)). libcpg cannot say how many there are. Own messages can: each comes back in its place in the
/// order, so [`oldest`](Self::oldest) says how old
/// what this member hears now is at most, the time in the ring included.
///
/// Who is behind can shed load: send less, or nothing, until it has caught up; take events in and put the work on them off; or
/// leave the group and join it anew, which has the daemon forget what it has kept.
///
/// ```no_run
/// use std::time::Duration;
/// use cpg::{Lag, Limits, Session};
///
/// let (sender, mut receiver) = Session::join("ledger")?.split();
/// std::thread::spawn(move || receiver.run(Limits::forever(), |_, _| std::ops::ControlFlow::<()>::Continue(())));
/// for reading in 0..1000_u32 {
///     // Readings are worth something while they are new.
///     if sender.lag()?.oldest().is_none_or(|age| age < Duration::from_secs(1)) {
///         sender.send(&reading.to_le_bytes())?;
///     }
/// }
/// let lag: Lag = sender.lag()?;
/// println!("{} of {} bytes under way", lag.in_flight(), lag.in_flight_bytes());
/// println!("{} of {} bytes in the queue", lag.waiting(), lag.waiting_bytes());
/// println!("dispatched {:?} ago", lag.since_dispatch());
/// # Ok::<(), cpg::Error>(())
/// ```
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
    /// Own messages that have been sent, and whose delivery has not been dispatched.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The bytes of these, with those of their packets.
    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// The time since the oldest of these was sent; none if there are none.
    pub fn oldest(&self) -> Option<Duration> {
        self.oldest
    }

    /// Own messages in the queue, which have not been sent.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// The bytes of these, with those of their packets.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// The time since the receiver last looked for an event: a handler that takes long, and a program that does not dispatch,
    /// make it grow.
    pub fn since_dispatch(&self) -> Duration {
        self.since_dispatch
    }
}
