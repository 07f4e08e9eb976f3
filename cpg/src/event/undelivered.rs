//! A message that was not delivered.

use std::fmt;

use crate::error::Error;

/// A message of this member that was accepted and will not be delivered, handed back.
///
/// They come in the order in which they were sent, before the dispatch that found out why returns its error.
///
/// ```
/// use cpg::{Event, Undelivered};
///
/// /// Messages that may be sent again; those that others may have got are another matter.
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
#[derive(Clone, PartialEq, Eq)]
pub struct Undelivered(
    // An event is moved about for each message, and these are rare.
    Box<Inner>,
);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    payload: Vec<u8>,
    sent: bool,
    error: Error,
}

impl Undelivered {
    /// Makes a message that was not delivered for this reason, for [tests](crate::OwnedEvent#tests-without-a-cluster). `sent` is
    /// what [`was_sent`](Self::was_sent) says.
    pub fn new(payload: impl Into<Vec<u8>>, sent: bool, error: Error) -> Self {
        Self(Box::new(Inner { payload: payload.into(), sent, error }))
    }

    /// The bytes of the message.
    pub fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    /// The bytes of the message, without a copy.
    pub fn into_payload(self) -> Vec<u8> {
        self.0.payload
    }

    /// True if the daemon had taken it. Such a message may have reached other members, when the connection was lost before the
    /// own delivery; one that it had not taken has reached nobody.
    pub fn was_sent(&self) -> bool {
        self.0.sent
    }

    /// The reason why it was not delivered.
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
