//! The possible cures of an error of libcpg.

use crate::cs_error::CsError;

/// The possible cure of an error of libcpg. The page [`codes`](crate::guide::codes) lists it for each function and code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// The same call, in a moment.
    Again,
    /// A new connection, once there is a daemon.
    Reconnect,
    /// Other programs, which may give back the resource that is short. The failed call is not retried; a session that is coming back
    /// waits for the resource.
    Others,
    /// A person.
    Nothing,
}

impl Outlook {
    /// Returns the possible cure of this code from `call`.
    #[expect(clippy::match_same_arms, reason = "each arm has a reason of its own")]
    pub(crate) const fn of(call: &'static str, code: CsError) -> Self {
        match (call.as_bytes(), code) {
            (_, CsError::TryAgain | CsError::Interrupt) => Self::Again,
            // The file of a daemon that dies at that moment is not there. Where sockets are files (B22), nor is the socket of a
            // daemon that does not run.
            (b"cpg_model_initialize", CsError::NotExist) => Self::Reconnect,
            // The handle is new, so nobody has closed it; and the next handle would be made in the same way (A22).
            (b"cpg_model_initialize" | b"cpg_fd_get" | b"cpg_max_atomic_msgsize_get", CsError::BadHandle) => {
                Self::Nothing
            }
            // The part of a message for which there was no memory is gone, so the membership has lost a message.
            (b"cpg_dispatch", CsError::NoMemory) => Self::Reconnect,
            (_, CsError::Library | CsError::BadHandle | CsError::MessageError) => Self::Reconnect,
            (b"cpg_model_initialize", CsError::NoSpace) => Self::Others,
            (_, CsError::NoMemory | CsError::NoResources | CsError::Busy | CsError::Timeout) => Self::Others,
            _ => Self::Nothing,
        }
    }
}
