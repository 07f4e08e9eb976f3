//! A message that was not delivered.

use std::fmt;

use crate::error::Error;

/// A message of this member that was accepted but will not come back to it. The session hands it back. Other members may have
/// received it if [`was_sent`](Self::was_sent) is true.
///
/// ```
/// use cpg::{Event, Undelivered};
///
/// /// Collects the messages that can be sent again safely: no other member can have received them.
/// fn again(event: Event<'_>, unsent: &mut Vec<Vec<u8>>) {
///     let Event::Undelivered(undelivered) = event else { return };
///     let undelivered: Undelivered = undelivered;
///     eprintln!("{} bytes: {}", undelivered.payload().len(), undelivered.error());
///     if !undelivered.was_sent() {
///         unsent.push(undelivered.into_payload());
///     }
/// }
/// # let _: fn(Event<'_>, &mut Vec<Vec<u8>>) = again;
/// ```
///
/// Such messages come in the order in which they were sent. If the membership ends with an error, they come before the dispatch
/// returns it.
#[derive(Clone, PartialEq, Eq)]
pub struct Undelivered(
    // Boxed to keep events small: an event is moved for each message, and undelivered messages are rare.
    Box<Inner>,
);

/// The parts of an undelivered message.
#[derive(Clone, PartialEq, Eq)]
struct Inner {
    payload: Vec<u8>,
    sent: bool,
    error: Error,
}

impl Undelivered {
    /// Makes a message that was not delivered because of this error, for [tests](crate::OwnedEvent#tests-without-a-cluster). `sent` is
    /// the value for [`was_sent`](Self::was_sent).
    pub fn new(payload: impl Into<Vec<u8>>, sent: bool, error: Error) -> Self {
        Self(Box::new(Inner { payload: payload.into(), sent, error }))
    }

    /// Returns the bytes of the message.
    pub fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    /// Returns the bytes of the message, without a copy.
    pub fn into_payload(self) -> Vec<u8> {
        self.0.payload
    }

    /// True if the daemon had accepted the message, or parts of a long one.
    ///
    /// If the connection was lost before self-delivery, such a message may have reached other members. A message that the daemon had
    /// not accepted has reached nobody.
    pub fn was_sent(&self) -> bool {
        self.0.sent
    }

    /// Returns the reason why the message was not delivered.
    pub fn error(&self) -> &Error {
        &self.0.error
    }
}

impl fmt::Debug for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { payload, sent, error } = &*self.0;
        f.debug_struct("Undelivered")
            .field("payload", &format_args!("{} bytes", payload.len()))
            .field("sent", sent)
            .field("error", error)
            .finish()
    }
}
