//! Why a message was not delivered.

use crate::cs_error::CsError;
use crate::error::Error;

/// What ends a queue, or loses one message: the part of an [`Error`] that can be told to many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A C function failed for good.
    Cs { call: &'static str, code: CsError },
    /// The group has outgrown libcpg.
    TooLarge { members: usize, limit: usize },
    /// The membership has ended.
    Left,
    /// The daemon is gone, and the group has not come back yet.
    Away,
    /// Nobody dispatches any more.
    Unheard,
    /// The daemon said `CS_OK` and dropped it (B17).
    Dropped,
}

impl Cause {
    /// What an error means for the messages that have not been delivered; None if it passes, or has to do with one call alone.
    pub(crate) fn of(error: &Error) -> Option<Self> {
        match *error {
            Error::Cs { call, code } if !error.is_retryable() => Some(Self::Cs { call, code }),
            Error::GroupTooLarge { members, limit } => Some(Self::TooLarge { members, limit }),
            Error::Left => Some(Self::Left),
            _ => None,
        }
    }
}

impl Cause {
    /// Whether a group that reconnects comes back after it.
    pub(crate) fn is_connection_lost(self) -> bool {
        Error::from(self).is_connection_lost()
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Cs { call, code } => Self::Cs { call, code },
            Cause::TooLarge { members, limit } => Self::GroupTooLarge { members, limit },
            Cause::Left => Self::Left,
            Cause::Away => Self::Away,
            Cause::Unheard => Self::Unheard,
            Cause::Dropped => Self::Dropped,
        }
    }
}
