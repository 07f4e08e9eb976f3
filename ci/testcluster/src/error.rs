//! What can go wrong, in words that a failed test can show as they are.

use std::fmt;
use std::io;

use crate::node::NodeId;

/// The result of what can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a cluster could not be started or changed.
///
/// `Debug` prints the same text as `Display`, because that is what `unwrap` and a test that
/// returns an error show, and a daemon's log is not readable on one line.
#[non_exhaustive]
pub enum Error {
    /// A program that the cluster needs is not installed. The text says where it comes from.
    MissingTool(String),
    /// This process may not make namespaces. The text says what would allow it.
    Rights(String),
    /// The user of this process cannot reach the working directory. The text says which, and what to do.
    Directory(String),
    /// A node, a number of nodes or a partition that does not make sense.
    Invalid(String),
    /// The system refused something.
    System {
        /// What was tried.
        what: String,
        /// What the system answered.
        source: io::Error,
    },
    /// A program that the cluster ran failed.
    Tool {
        /// The command line.
        command: String,
        /// What it printed, or how it ended.
        output: String,
    },
    /// A daemon does not answer: it is not up yet, or it is paused.
    Unanswered {
        /// The node of the daemon.
        node: NodeId,
        /// What the program that asked it said.
        reason: String,
    },
    /// A daemon ended by itself.
    DaemonEnded {
        /// The node of the daemon.
        node: NodeId,
        /// How it ended.
        status: String,
        /// What it had logged.
        log: String,
    },
    /// The nodes did not come to the state that was waited for.
    Timeout {
        /// What was waited for, and what was seen last.
        what: String,
        /// What the daemons had logged.
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
