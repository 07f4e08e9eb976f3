//! The codes of `cs_error_t`.

use std::fmt;
use std::io::ErrorKind;

macro_rules! codes {
    ($(#[$alias:meta] $variant:ident = $constant:ident, $text:literal, $kind:ident;)*) => {
        /// A code of `cs_error_t`, under the name that C has for it.
        ///
        /// ```
        /// use cpg::CsError;
        ///
        /// let code = CsError::from(6);
        /// assert_eq!((code, u32::from(code), code.name()), (CsError::TryAgain, 6, Some("CS_ERR_TRY_AGAIN")));
        /// assert_eq!(code.to_string(), "CS_ERR_TRY_AGAIN: resource temporarily unavailable");
        /// assert_eq!(CsError::from(77).name(), None);
        /// ```
        ///
        /// A code without a name keeps its number, as [`Unknown`](Self::Unknown). `Display` prints the C name and its meaning. (libcpg
        /// has no function for that: `cs_strerror` is in another library.)
        #[doc(alias = "cs_error_t")]
        #[doc(alias = "cs_strerror")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum CsError {
            $(
                #[doc = concat!("`", stringify!($constant), "`: ", $text, ".")]
                #[$alias]
                $variant,
            )*
            /// `CS_OK`, or a code that `corosync/corotypes.h` did not have when this was written.
            Unknown(u32),
        }

        impl CsError {
            pub(crate) const fn from_code(code: u32) -> Self {
                match code {
                    $(cpg_sys::$constant => Self::$variant,)*
                    other => Self::Unknown(other),
                }
            }

            /// Returns the name of the code in C, if it has one.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some(stringify!($constant)),)*
                    Self::Unknown(_) => None,
                }
            }

            const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Unknown(_) => "an error that corosync/corotypes.h does not name",
                }
            }

            pub(crate) const fn kind(self) -> ErrorKind {
                match self {
                    $(Self::$variant => ErrorKind::$kind,)*
                    Self::Unknown(_) => ErrorKind::Other,
                }
            }
        }

        /// Returns the number of the error in C.
        impl From<CsError> for u32 {
            fn from(error: CsError) -> Self {
                match error {
                    $(CsError::$variant => cpg_sys::$constant,)*
                    CsError::Unknown(code) => code,
                }
            }
        }
    };
}

/// Returns the error with this number in C.
impl From<u32> for CsError {
    fn from(code: u32) -> Self {
        Self::from_code(code)
    }
}

codes! {
    #[doc(alias = "CS_ERR_LIBRARY")]
    Library = CS_ERR_LIBRARY, "the connection failed", NotConnected;
    #[doc(alias = "CS_ERR_VERSION")]
    Version = CS_ERR_VERSION, "the versions of library and daemon do not fit", Unsupported;
    #[doc(alias = "CS_ERR_INIT")]
    Init = CS_ERR_INIT, "initialisation failed", Other;
    #[doc(alias = "CS_ERR_TIMEOUT")]
    Timeout = CS_ERR_TIMEOUT, "it took too long", TimedOut;
    #[doc(alias = "CS_ERR_TRY_AGAIN")]
    TryAgain = CS_ERR_TRY_AGAIN, "resource temporarily unavailable", WouldBlock;
    #[doc(alias = "CS_ERR_INVALID_PARAM")]
    InvalidParam = CS_ERR_INVALID_PARAM, "invalid argument", InvalidInput;
    #[doc(alias = "CS_ERR_NO_MEMORY")]
    NoMemory = CS_ERR_NO_MEMORY, "not enough memory", OutOfMemory;
    #[doc(alias = "CS_ERR_BAD_HANDLE")]
    BadHandle = CS_ERR_BAD_HANDLE, "not an open handle", NotConnected;
    #[doc(alias = "CS_ERR_BUSY")]
    Busy = CS_ERR_BUSY, "busy", ResourceBusy;
    #[doc(alias = "CS_ERR_ACCESS")]
    Access = CS_ERR_ACCESS, "permission denied", PermissionDenied;
    #[doc(alias = "CS_ERR_NOT_EXIST")]
    NotExist = CS_ERR_NOT_EXIST, "it does not exist", NotFound;
    #[doc(alias = "CS_ERR_NAME_TOO_LONG")]
    NameTooLong = CS_ERR_NAME_TOO_LONG, "the name is too long", InvalidInput;
    #[doc(alias = "CS_ERR_EXIST")]
    Exist = CS_ERR_EXIST, "it exists already", AlreadyExists;
    #[doc(alias = "CS_ERR_NO_SPACE")]
    NoSpace = CS_ERR_NO_SPACE, "no space left", StorageFull;
    #[doc(alias = "CS_ERR_INTERRUPT")]
    Interrupt = CS_ERR_INTERRUPT, "interrupted", Interrupted;
    #[doc(alias = "CS_ERR_NAME_NOT_FOUND")]
    NameNotFound = CS_ERR_NAME_NOT_FOUND, "no such name", NotFound;
    #[doc(alias = "CS_ERR_NO_RESOURCES")]
    NoResources = CS_ERR_NO_RESOURCES, "no resources left", Other;
    #[doc(alias = "CS_ERR_NOT_SUPPORTED")]
    NotSupported = CS_ERR_NOT_SUPPORTED, "the requested function is not supported", Unsupported;
    #[doc(alias = "CS_ERR_BAD_OPERATION")]
    BadOperation = CS_ERR_BAD_OPERATION, "not possible in this state", Other;
    #[doc(alias = "CS_ERR_FAILED_OPERATION")]
    FailedOperation = CS_ERR_FAILED_OPERATION, "the operation failed", Other;
    #[doc(alias = "CS_ERR_MESSAGE_ERROR")]
    MessageError = CS_ERR_MESSAGE_ERROR, "an incorrect message was received", InvalidData;
    #[doc(alias = "CS_ERR_QUEUE_FULL")]
    QueueFull = CS_ERR_QUEUE_FULL, "the queue is full", WouldBlock;
    #[doc(alias = "CS_ERR_QUEUE_NOT_AVAILABLE")]
    QueueNotAvailable = CS_ERR_QUEUE_NOT_AVAILABLE, "there is no queue", Other;
    #[doc(alias = "CS_ERR_BAD_FLAGS")]
    BadFlags = CS_ERR_BAD_FLAGS, "bad flags", InvalidInput;
    #[doc(alias = "CS_ERR_TOO_BIG")]
    TooBig = CS_ERR_TOO_BIG, "too big", InvalidInput;
    #[doc(alias = "CS_ERR_NO_SECTIONS")]
    NoSections = CS_ERR_NO_SECTIONS, "there are no more sections", NotFound;
    #[doc(alias = "CS_ERR_CONTEXT_NOT_FOUND")]
    ContextNotFound = CS_ERR_CONTEXT_NOT_FOUND, "no such context", NotFound;
    #[doc(alias = "CS_ERR_TOO_MANY_GROUPS")]
    TooManyGroups = CS_ERR_TOO_MANY_GROUPS, "too many groups", QuotaExceeded;
    #[doc(alias = "CS_ERR_SECURITY")]
    Security = CS_ERR_SECURITY, "a security error", PermissionDenied;
}

/// Prints `CS_ERR_ACCESS: permission denied`, or `code 77: …` for a code without a name.
impl fmt::Display for CsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}: {}", self.text()),
            None => write!(f, "code {}: {}", u32::from(*self), self.text()),
        }
    }
}

impl std::error::Error for CsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_keeps_its_number() {
        for code in 0..120 {
            assert_eq!(u32::from(CsError::from(code)), code);
        }
        assert_eq!(CsError::from(29), CsError::Unknown(29));
        assert_eq!(CsError::Exist.to_string(), "CS_ERR_EXIST: it exists already");
    }
}
