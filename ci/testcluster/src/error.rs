//! Errors, with texts that a failed test can show unchanged.

use std::fmt;
use std::io;

use crate::node::NodeId;

/// The result of functions that can fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of starting or changing a cluster.
///
/// `Debug` prints the same text as `Display`: `unwrap` and a test that returns an error use `Debug`, and the log of a
/// daemon cannot be read on one line.
#[non_exhaustive]
pub enum Error {
    /// A program that the cluster needs is not installed. The text names its package.
    MissingTool(String),
    /// This process may not make namespaces. The text says how to allow it.
    Rights(String),
    /// The user of this process cannot reach the working directory. The text names the directory, and says what to do.
    Directory(String),
    /// A node, a number of nodes or a partition is not valid.
    Invalid(String),
    /// The system refused something.
    System {
        /// The operation.
        what: String,
        /// The error of the system.
        source: io::Error,
    },
    /// A program that the cluster ran failed.
    Tool {
        /// The command line.
        command: String,
        /// Its output, or its status.
        output: String,
    },
    /// A daemon does not answer: it is not up yet, or it is paused.
    Unanswered {
        /// The node of the daemon.
        node: NodeId,
        /// The output of the program that asked the daemon.
        reason: String,
    },
    /// A daemon ended by itself.
    DaemonEnded {
        /// The node of the daemon.
        node: NodeId,
        /// Its exit status.
        status: String,
        /// Its log.
        log: String,
    },
    /// The nodes did not reach the expected state in time.
    Timeout {
        /// The expected state, and the last one seen.
        what: String,
        /// The logs of the daemons.
        log: String,
    },
}

impl Error {
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }

    pub(crate) fn errno(what: impl Into<String>) -> impl FnOnce(nix::Error) -> Self {
        let what = what.into();
        move |errno| Self::System { what, source: errno.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingTool(text) | Self::Rights(text) | Self::Directory(text) | Self::Invalid(text) => {
                f.write_str(text)
            }
            Self::System { what, source } => write!(f, "{what}: {source}"),
            Self::Tool { command, output } => write!(f, "{command}: {}", output.trim_end()),
            Self::Unanswered { node, reason } => {
                write!(f, "the corosync daemon of node {node} does not answer: {}", reason.trim_end())
            }
            Self::DaemonEnded { node, status, log } => {
                write!(f, "the corosync daemon of node {node} ended ({status}). Its log:\n{log}")
            }
            Self::Timeout { what, log } => write!(f, "{what}\n{log}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}
