//! An error of the operating system.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

/// An error of the operating system that can be cloned and compared.
///
/// ```
/// use std::io;
/// use cpg::SystemError;
///
/// let error: SystemError = io::Error::from(io::ErrorKind::NotFound).into();
/// assert_eq!((error.kind(), error.clone()), (io::ErrorKind::NotFound, error));
/// ```
#[derive(Debug, Clone)]
pub struct SystemError(Arc<io::Error>);

impl SystemError {
    /// True if the system was short of threads, descriptors or memory, which other programs may give back.
    pub(crate) fn is_shortage(&self) -> bool {
        let shortages = [libc::EAGAIN, libc::EMFILE, libc::ENFILE, libc::ENOMEM];
        self.0.raw_os_error().is_some_and(|code| shortages.contains(&code))
    }
}

impl From<io::Error> for SystemError {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl Deref for SystemError {
    type Target = io::Error;

    fn deref(&self) -> &io::Error {
        &self.0
    }
}

impl PartialEq for SystemError {
    fn eq(&self, other: &Self) -> bool {
        (self.kind(), self.raw_os_error()) == (other.kind(), other.raw_os_error())
    }
}

impl Eq for SystemError {}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SystemError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}
