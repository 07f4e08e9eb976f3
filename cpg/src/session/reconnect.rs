//! The option to reconnect after the daemon has died or restarted.

use std::time::Duration;

use crate::handle::backoff::Pauses;

/// A policy for a session that reconnects by itself when it has lost its daemon. Give it to
/// [`SessionOptions::reconnect`](crate::SessionOptions::reconnect).
///
/// A membership ends when its daemon dies or restarts ([B9](crate::facts#b9)). Without this policy,
/// [`dispatch`](crate::Session::dispatch) returns the error from then on. With the policy, the session connects and joins again,
/// with growing pauses between the attempts, until that succeeds. Connecting can wait for the daemon ([B16](crate::facts#b16)),
/// so a thread of this crate does it, from the loss until the return. If that thread cannot be started, the session tries again
/// later. The handler gets these events, in this order:
///
/// 1. [`Event::Undelivered`](crate::Event::Undelivered) for each accepted message that has not come back, except those that
///    [`keep_queue`](Self::keep_queue) keeps.
/// 2. [`Event::Lost`](crate::Event::Lost): the generation of the membership that has ended, and the error. Events that had not
///    been dispatched by then are lost ([B9](crate::facts#b9)).
/// 3. [`Event::Rejoined`](crate::Event::Rejoined): the generation of the membership that begins, and its first view. **The
///    program's state of the group is stale**, because the others went on without this member.
///
/// From the loss until the handler gets `Rejoined`, sends return [`Error::NoMembership`](crate::Error::NoMembership), unless the
/// queue [keeps](Self::keep_queue) messages meanwhile. [`Sender::wait_joined`](crate::Sender::wait_joined) waits for the return.
/// Tickets of messages that were in flight fail.
///
/// The [descriptor](crate::Session#impl-AsFd-for-Session) of the session stays the same, so event loops need no change.
///
/// ```no_run
/// use std::ops::ControlFlow::{Break, Continue};
/// use cpg::{Event, Limits, Reconnect, Session};
///
/// let mut session = Session::options().reconnect(Reconnect::new()).join("ledger")?;
/// session.send(b"+5 alice")?;
/// let mut entries = Vec::new();
/// session.run(Limits::forever(), |sender, event| {
///     match event {
///         Event::Deliver(message) if message.payload() == b"+5 alice" => return Break(()),
///         Event::Deliver(message) => entries.push(message.payload().to_vec()),
///         Event::Lost(lost) => eprintln!("{}", lost.error()),
///         Event::Rejoined(back) => {
///             entries.clear();
///             println!("generation {}: {:?}", back.generation(), back.view().members());
///             // A member that has the entries may send them again.
///             sender.try_send(b"?").ok();
///         }
///         _ => {}
///     }
///     Continue(())
/// })?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// # The end of the attempts
///
/// Waiting cannot mend some errors. They end the attempts, and each later dispatch returns the error:
///
/// - The daemon refuses this user: [`CsError::Access`](crate::CsError::Access).
/// - Another user's process listens in place of the daemon: [`Error::UntrustedDaemon`](crate::Error::UntrustedDaemon).
/// - This process is in the group through another handle: [`CsError::Exist`](crate::CsError::Exist).
/// - The group is full: [`Error::GroupTooLarge`](crate::Error::GroupTooLarge).
/// - The operating system refuses something for another reason than a shortage: [`Error::Io`](crate::Error::Io).
///
/// If memory, room in `/dev/shm`, descriptors, handles or threads are short, the session tries again until others have given
/// them back. The guide has [each code](crate::guide::codes).
///
/// Leaving or dropping the session also ends the attempts, at any time. If the thread is connecting or joining at that moment, it
/// gives up, and leaves again if it has joined.
///
/// # Forks
///
/// The thread connects at times that the program does not know. If another thread forks while it connects, the child cannot
/// connect before it has called `exec`: [`Error::ForkedWhileConnecting`](crate::Error::ForkedWhileConnecting).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it has no effect before it is given to SessionOptions::reconnect"]
pub struct Reconnect {
    pub(crate) keep: bool,
    pub(crate) pauses: Pauses,
}

impl Reconnect {
    /// Makes a policy with pauses from 20 to 500 milliseconds. It hands back the messages in the queue when the membership is
    /// lost.
    pub fn new() -> Self {
        let (first, longest) = (Duration::from_millis(20), Duration::from_millis(500));
        Self { keep: false, pauses: Pauses { first, longest } }
    }

    /// Keeps the messages in the queue when the membership is lost, and sends them after the return. The queue takes further
    /// messages meanwhile. The tickets of these messages remain valid.
    ///
    /// Messages that the daemon had accepted are handed back all the same, because nobody can tell if they were delivered.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cpg::{Reconnect, Session};
    ///
    /// let (first, longest) = (Duration::from_millis(100), Duration::from_secs(5));
    /// let options = Session::options().reconnect(Reconnect::new().keep_queue().pauses(first, longest));
    /// # drop(options);
    /// ```
    pub fn keep_queue(self) -> Self {
        Self { keep: true, ..self }
    }

    /// Sets the pause before the first attempt, and the longest pause between two attempts. Each pause is twice the one before,
    /// minus a random part of up to a half. So the programs of a node do not all connect at the same time.
    pub fn pauses(self, first: Duration, longest: Duration) -> Self {
        Self { pauses: Pauses { first, longest: longest.max(first) }, ..self }
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Self::new()
    }
}
