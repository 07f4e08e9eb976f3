//! The end of a membership whose connection was lost.

use crate::error::Error;

/// The end of a membership whose connection was lost. The session is trying to come back.
///
/// ```no_run
/// use std::ops::ControlFlow::{Break, Continue};
/// use cpg::{Event, Limits, Lost, Reconnect, Session};
///
/// fn report(lost: &Lost) {
///     eprintln!("membership {} has ended: {}", lost.generation(), lost.error());
/// }
///
/// let mut session = Session::options().reconnect(Reconnect::new()).join("ledger")?;
/// session.run(Limits::forever(), |_, event| match event {
///     Event::Lost(lost) => {
///         report(&lost);
///         Continue(())
///     }
///     Event::ConfChg(_) => Break(()),
///     _ => Continue(()),
/// })?;
/// session.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
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

    /// Returns the number of the membership that has ended: 1 for the first membership, and one more for each that follows.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the error that reported the loss.
    pub fn error(&self) -> &Error {
        &self.error
    }
}
