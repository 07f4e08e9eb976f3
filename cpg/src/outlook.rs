//! The prospects of an error of libcpg: what may mend it.

use crate::cs_error::CsError;

/// What may mend an error of libcpg. The page [`codes`](crate::guide::codes) has it for each function and code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// The same call, in a moment.
    Again,
    /// A new connection, once there is a daemon.
    Reconnect,
    /// Others, who give back what is short. A call that fails with it is not retried; a session on its way back waits for them.
    Others,
    /// A person.
    Nothing,
}

impl Outlook {
    /// The prospects of what `call` has returned.
    #[expect(clippy::match_same_arms, reason = "each arm has a reason of its own")]
    pub(crate) const fn of(call: &'static str, code: CsError) -> Self {
        match (call.as_bytes(), code) {
            (_, CsError::TryAgain | CsError::Interrupt) => Self::Again,
            // A file of a daemon that dies at that moment is not there, nor is the socket of one that does not run where
            // sockets are files (B22).
            (b"cpg_model_initialize", CsError::NotExist) => Self::Reconnect,
            // The handle is new: nobody has closed it, and another one is made in the same way (A22).
            (b"cpg_model_initialize" | b"cpg_fd_get" | b"cpg_max_atomic_msgsize_get", CsError::BadHandle) => {
                Self::Nothing
            }
            // The part of a message that found none is gone, and with it the membership's messages are no longer all.
            (b"cpg_dispatch", CsError::NoMemory) => Self::Reconnect,
            (_, CsError::Library | CsError::BadHandle | CsError::MessageError) => Self::Reconnect,
            (b"cpg_model_initialize", CsError::NoSpace) => Self::Others,
            (_, CsError::NoMemory | CsError::NoResources | CsError::Busy | CsError::Timeout) => Self::Others,
            _ => Self::Nothing,
        }
    }
}
