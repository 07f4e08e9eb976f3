//! The end of a membership with its connection.

use crate::error::Error;

/// A membership has ended with the connection to its daemon; the session is on its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub(crate) generation: u64,
    pub(crate) error: Error,
}

impl Lost {
    /// Makes the end of the membership with this number, for [tests](crate::OwnedEvent#tests-without-a-cluster).
    pub fn new(generation: u64, error: Error) -> Self {
        Self { generation, error }
    }

    /// The number of the membership that has ended: 1 for the first, and one more for each that follows.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The error that said so.
    pub fn error(&self) -> &Error {
        &self.error
    }
}
