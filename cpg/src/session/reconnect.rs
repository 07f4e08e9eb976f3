//! The option to come back after the daemon has gone.

use std::time::Duration;

use crate::handle::backoff::Pauses;

/// Has a session come back by itself when it has lost the daemon, and says how.
///
/// A membership ends when its daemon dies or restarts ([B9](crate::facts#b9)). Without this,
/// [`dispatch`](crate::Session::dispatch) then returns the error, for good. With it, given to
/// [`SessionOptions::reconnect`](crate::SessionOptions::reconnect), the session connects and joins anew, again
/// and again with pauses that grow, until that succeeds. A thread of its own does it, which begins with the loss and ends
/// with the success: connecting can wait for the daemon ([B16](crate::facts#b16)). Where there is no thread to be had, it
/// begins when there is. The handler hears, in this order:
///
/// 1. [`Event::Undelivered`](crate::Event::Undelivered) for each message of a [`Sender`](crate::Sender) that has not come back;
/// 2. [`Event::Lost`](crate::Event::Lost): the generation of the membership that has ended, and why. Events that had not been
///    dispatched by then are lost ([B9](crate::facts#b9));
/// 3. [`Event::Rejoined`](crate::Event::Rejoined): the generation that begins, and its first view. **What the program knew
///    of the group is stale**: others went on without it.
///
/// From the loss until the handler gets `Rejoined`, nothing can be sent: [`Error::NoMembership`](crate::Error::NoMembership)
/// says so, and [`Sender::wait_joined`](crate::Sender::wait_joined) waits for the return. (A [`Sender`](crate::Sender) may be told to
/// [keep](Self::keep_queue) messages.) Tickets of messages that were under
/// way fail.
///
/// The [descriptor](crate::Session#impl-AsFd-for-Session) of the session stays the same, so that event loops need not hear of it.
///
/// Errors that waiting does not mend end it, and are returned by the dispatch, for good: the daemon refuses this user
/// ([`CsError::Access`](crate::CsError::Access)), another user listens as the daemon
/// ([`Error::UntrustedDaemon`](crate::Error::UntrustedDaemon)), this process is in the group by another handle
/// ([`CsError::Exist`](crate::CsError::Exist)), the group is full ([`Error::GroupTooLarge`](crate::Error::GroupTooLarge)), the
/// operating system refuses something ([`Error::Io`](crate::Error::Io)). What others may give back is waited for: memory, room in
/// `/dev/shm`, descriptors; the guide has [each code](crate::guide::codes). Leaving or dropping the session ends it at any time. A
/// thread that is connecting or joining at that moment gives up, and leaves again by itself if it has joined.
///
/// That thread connects at times that the program does not know, and may be in the middle of it when another thread forks. The
/// child of such a fork cannot connect before it has called `exec`:
/// [`Error::ForkedWhileConnecting`](crate::Error::ForkedWhileConnecting).
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
///             // Whoever has the entries may send them again.
///             sender.try_send(b"?").ok();
///         }
///         _ => {}
///     }
///     Continue(())
/// })?;
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it has no effect before it is given to SessionOptions::reconnect"]
pub struct Reconnect {
    pub(crate) keep: bool,
    pub(crate) pauses: Pauses,
}

impl Reconnect {
    /// Makes a policy with pauses from 20 to 500 milliseconds, which hands back the messages that wait to be sent.
    pub fn new() -> Self {
        let (first, longest) = (Duration::from_millis(20), Duration::from_millis(500));
        Self { keep: false, pauses: Pauses { first, longest } }
    }

    /// Keeps the messages that wait to be sent, and sends them when the session has come back; until then the queue takes more.
    /// Their tickets stay good.
    ///
    /// Those that the daemon had taken are handed back all the same: nobody can tell whether they were delivered.
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

    /// Sets the pause before the first attempt, and the longest between two. Each is double the one before, less a random part of
    /// up to half of it, so that the programs of a node do not come all at once.
    pub fn pauses(self, first: Duration, longest: Duration) -> Self {
        Self { pauses: Pauses { first, longest: longest.max(first) }, ..self }
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Self::new()
    }
}
