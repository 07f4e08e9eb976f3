//! Errors: what can go wrong, and what to do about it.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::cs_error::CsError;
use crate::group_name::NameError;
use crate::outlook::Outlook;
use crate::remedy;
use crate::system_error::SystemError;

/// The result of everything in this crate that can fail.
#[doc(alias = "CS_OK")]
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of libcpg, with the function that gave it, or a call that this crate refused to make.
///
/// Programs branch on [`is_retryable`](Self::is_retryable) and
/// [`is_connection_lost`](Self::is_connection_lost); people read the text, which ends with the remedy
/// where there is one. `Debug` prints the same text, so that a `main` that returns an error, `unwrap` and
/// `expect` show the remedy too.
///
/// ```no_run
/// use cpg::{CsError, Error, Group};
///
/// match Group::join("ledger") {
///     Ok(group) => group.leave()?,
///     Err(error) if error.is_connection_lost() => eprintln!("later: {error}"),
///     Err(error) if error.code() == Some(CsError::Access) => eprintln!("ask root: {error}"),
///     Err(error) if error.is_retryable() => eprintln!("in a moment: {error}"),
///     Err(Error::GroupTooLarge { members, .. }) => eprintln!("{members} are enough"),
///     Err(error) => return Err(error),
/// }
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A C function returned something other than `CS_OK`.
    #[error("{}", remedy::text(call, *code))]
    Cs {
        /// The C function.
        call: &'static str,
        /// The code that it returned.
        code: CsError,
    },

    /// The handle was made by the parent of this process.
    ///
    /// A child shares the connection of its parent: whatever it sends or ends there is the parent's
    /// (A7). Connect anew in the child.
    ///
    /// Not if another thread of the parent was connecting or closing when it forked, as that of a session that
    /// [searches](crate::Reconnect) for its daemon does at any time: see [`ForkedWhileConnecting`](Self::ForkedWhileConnecting).
    #[error(
        "this handle belongs to process {owner}, and a child of it may not use it: connect anew after the fork"
    )]
    Forked {
        /// The process that connected.
        owner: u32,
    },

    /// Another thread was in the middle of connecting, or of closing a handle, when this process was forked from its parent.
    ///
    /// This process has a copy of libqb's tables that may be half-changed, and of a lock that nobody gives back (A7, A12): it
    /// cannot connect before it has called `exec`.
    #[error(
        "cannot connect to corosync: a thread of process {parent} was connecting or closing a connection when this process was \
         forked from it, and libqb's tables may be half-changed here: call exec first, or fork while no thread connects or closes"
    )]
    ForkedWhileConnecting {
        /// The process of that thread.
        parent: u32,
    },

    /// The thread has too little stack left for `cpg_dispatch`.
    ///
    /// That function needs more than a mebibyte of stack and writes past the guard page of a thread that
    /// has less (A1). Give the thread more with [`std::thread::Builder::stack_size`]; that of a main thread is what `ulimit -s`
    /// says at that moment (A18).
    #[error(
        "cpg_dispatch needs {needed} bytes of stack and this thread has {remaining} left: start it with \
         std::thread::Builder::stack_size(2 << 20) or more, or raise ulimit -s for a main thread"
    )]
    StackTooSmall {
        /// Bytes that a dispatch needs.
        needed: usize,
        /// Bytes that the thread has left; 0 if it runs on a stack that is not its own, or below a limit that was lowered.
        remaining: usize,
    },

    /// As many handles are open as libcpg's table holds without moving.
    ///
    /// The next one would move the table while other threads may read it (A13). A list of groups or processes is read on a
    /// handle of its own, and so needs one more; a daemon that is killed while it is read keeps that one for good (A19).
    /// `ConnectOptions::more_handles` lifts the limit for programs that keep their other threads out of libcpg.
    #[error(
        "{open} handles are open or were lost with their daemon, and libcpg's table moves under other threads with the next, also \
         with that of a list of groups, processes or members: close one first"
    )]
    TooManyHandles {
        /// Handles that this process has open, and those that were lost.
        open: usize,
    },

    /// A list of groups, processes or members could not be read: the connection of its own that this takes (A19) could not be made,
    /// or was lost. The connection that was asked stands.
    #[error("a list is read on a connection of its own, and that failed: {0}")]
    NoList(#[source] Box<Error>),

    /// The name cannot be joined.
    #[error(transparent)]
    InvalidName(#[from] NameError),

    /// The group has more members than libcpg has room for.
    ///
    /// `cpg_dispatch` copies member lists into arrays of 128 (`CPG_MEMBERS_MAX`) and writes past their
    /// ends when there are more (A8). Joining such a group is refused; a group that grows past the limit
    /// later is not dispatched any more, and the handle is of no further use.
    #[doc(alias = "CPG_MEMBERS_MAX")]
    #[error(
        "the group has {members} members, and cpg_dispatch has room for {limit}: join or stay with fewer"
    )]
    GroupTooLarge {
        /// Members of the group, as far as they were counted.
        members: usize,
        /// The most that libcpg can handle.
        limit: usize,
    },

    /// The message is longer than any that can be sent.
    #[error("a message of {len} bytes is too long: {limit} is the most{}", if *limit < i32::MAX as usize { " for a zero-copy buffer" } else { "" })]
    MessageTooLong {
        /// Bytes in the message.
        len: usize,
        /// The most that can be sent this way.
        limit: usize,
    },

    /// There are too few file descriptors left for a connection.
    ///
    /// libqb closes descriptor 0 when it gets none (A14), so they are tried first.
    #[error("too few file descriptors are left to connect: {0}")]
    NoDescriptors(#[source] SystemError),

    /// The process that listens as corosync is another user's (B19): neither root's nor that of this process's effective user.
    ///
    /// Any user can listen at corosync's socket while no daemon does, and a client would take it for the daemon.
    /// [`ConnectOptions::allow_daemon_uid`](crate::ConnectOptions::allow_daemon_uid) names a user who may.
    #[error("{}", remedy::untrusted(*uid, *is_overflow))]
    UntrustedDaemon {
        /// The user, by the number that this process's user namespace has for it.
        uid: u32,
        /// True if the number stands for every user without a number in this process's user namespace
        /// (`user_namespaces(7)`): who it is cannot be told from here.
        is_overflow: bool,
    },

    /// The daemon serves its clients through datagram sockets: `qb_ipc_type: socket` in its configuration (B18).
    ///
    /// libcpg then loses messages, delivers others with memory that nobody has written, and does not notice the daemon's death.
    #[error(
        "cannot connect to corosync: it has qb_ipc_type: socket in its configuration, with which libcpg loses and alters \
         messages; take that line out of the section system of corosync.conf and restart corosync"
    )]
    DatagramIpc,

    /// No memory can be shared with the daemon for a zero-copy buffer.
    ///
    /// libcpg and the daemon end the process with an assertion where they run out of it, so it is tried
    /// first (A15). The same goes for the descriptor of its file. With libcpg up to 3.1.10 it takes `/proc` too, which alone tells
    /// that the daemon has taken a buffer (B27).
    #[error("no zero-copy buffer of {len} bytes in /dev/shm: {source}")]
    NoSharedMemory {
        /// Bytes asked for.
        len: usize,
        /// The error of trying it.
        source: SystemError,
    },

    /// The group has been left, or a leave is under way: a handler that sees the rest of its events cannot send any more, nor
    /// can the senders of a session.
    ///
    /// libcpg would answer `CS_OK` and the message would be gone (B1).
    #[error("the group has been left or is being left: a message sent now would be lost")]
    Left,

    /// The session has lost its connection, and has not [come back](crate::Reconnect) yet.
    ///
    /// It has come back when the handler gets [`Event::Rejoined`](crate::Event::Rejoined), which takes further dispatching.
    /// [`Sender::wait_joined`](crate::Sender::wait_joined) waits for it in a thread, or task, that does not dispatch.
    #[error(
        "the session has lost its connection to corosync and is not back in the group yet: it comes back while somebody \
         dispatches its receiver; whoever only sends waits for that with Sender::wait_joined"
    )]
    NoMembership,

    /// The call would have to wait where nothing may: in a handler, whose dispatch is what it would wait for or what it would hold
    /// up (B16); or in a send that never waits, for a message above
    /// [`max_atomic_message_size`](crate::Sender::max_atomic_message_size).
    #[error(
        "{call} would have to wait, which handlers, try_send and Session::send must not: wait outside of the handler, with a \
         Sender in a thread or task that does not dispatch"
    )]
    WouldWait {
        /// The C function that would be waited for.
        call: &'static str,
    },

    /// The token is of a message that another session has accepted.
    ///
    /// A [`Sent`](crate::Sent) means something in the session that gave it, and its senders, alone.
    #[error(
        "the token is of a message that another session has accepted: make the ticket with a sender of that session"
    )]
    ForeignToken,

    /// The sending queue has no room for the message now.
    #[error("the sending queue is full: dispatch, so that own deliveries make room, or wait")]
    QueueFull,

    /// The daemon took the message and dropped it, as it can while its ring re-forms (B17): those sent after it were delivered.
    #[error(
        "corosync accepted this message and then dropped it, although later ones were delivered: send it again"
    )]
    DroppedByDaemon,

    /// The [`Receiver`](crate::Receiver) was dropped without a leave. Nobody can tell any more whether a message is delivered that
    /// was under way; a session that had lost its connection does not come back, and accepts no message.
    #[error(
        "the session's receiver was dropped: what was sent before may be delivered, and nothing tells; keep the receiver until \
         its messages have come back, or leave"
    )]
    ReceiverDropped,

    /// The deadline passed first.
    #[error("the deadline passed while waiting for {waiting_for}")]
    TimedOut {
        /// The event that had not come.
        waiting_for: &'static str,
    },

    /// The operating system refused what waiting takes: a descriptor, a wait, or a thread to wait for the daemon.
    #[error("{call}: {source}{}", remedy::of_the_system(call, source))]
    Io {
        /// The system call, or what was tried.
        call: &'static str,
        /// Its error.
        source: SystemError,
    },
}

impl Error {
    /// Returns what makes an [`Io`](Self::Io) of the error of this call.
    pub(crate) fn io(call: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { call, source: error.into() }
    }

    /// True for an error that ends a membership or a queue: it does not pass, and has to do with more than one call.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Cs { .. } => !self.is_retryable(),
            Self::GroupTooLarge { .. } | Self::Left => true,
            _ => false,
        }
    }

    pub(crate) const fn cs(call: &'static str, code: u32) -> Self {
        Self::Cs { call, code: CsError::from_code(code) }
    }

    /// The code that libcpg returned, if the error is one of its own.
    pub const fn code(&self) -> Option<CsError> {
        match self {
            Self::Cs { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// True if the same call may succeed in a moment.
    ///
    /// These are a full [queue](Self::QueueFull); `CS_ERR_TRY_AGAIN`, which is flow control or a ring that is re-forming (B7); and
    /// `CS_ERR_INTERRUPT`, which says that a membership change stopped a message above the atomic size: all of it must be sent
    /// again (B8). The message has not been sent; nothing tells when to try again, and trying without a pause takes from the daemon
    /// the time that it needs.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::QueueFull) || matches!(self.outlook(), Some(Outlook::Again))
    }

    /// True if the connection is of no further use, or there was no daemon to connect to: a new one can be had
    /// when the daemon is back (B9). A session that [reconnects](crate::Reconnect) gets it by itself.
    ///
    /// [A table](crate::guide::codes) has each function and code. Not among these are refusals that a person has to mend, as of
    /// [another user](Self::UntrustedDaemon) or [datagrams](Self::DatagramIpc).
    pub const fn is_connection_lost(&self) -> bool {
        matches!(self, Self::NoMembership) || matches!(self.outlook(), Some(Outlook::Reconnect))
    }

    /// What may mend an error of libcpg.
    pub(crate) const fn outlook(&self) -> Option<Outlook> {
        match self {
            Self::Cs { call, code } => Some(Outlook::of(call, *code)),
            _ => None,
        }
    }

    const fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Cs { code, .. } => code.kind(),
            Self::StackTooSmall { .. } => io::ErrorKind::OutOfMemory,
            Self::TooManyHandles { .. } | Self::NoDescriptors(_) => io::ErrorKind::QuotaExceeded,
            Self::NoList(error) => error.kind(),
            Self::InvalidName(_) | Self::MessageTooLong { .. } | Self::ForeignToken => {
                io::ErrorKind::InvalidInput
            }
            Self::QueueFull => io::ErrorKind::WouldBlock,
            Self::Left | Self::NoMembership | Self::ReceiverDropped => io::ErrorKind::NotConnected,
            // Not the kind of its source: no thread to be had is EAGAIN, and `WouldBlock` asks for another try at once.
            Self::DroppedByDaemon | Self::Io { .. } => io::ErrorKind::Other,
            Self::TimedOut { .. } => io::ErrorKind::TimedOut,
            Self::Forked { .. } | Self::UntrustedDaemon { .. } => io::ErrorKind::PermissionDenied,
            Self::DatagramIpc
            | Self::ForkedWhileConnecting { .. }
            | Self::GroupTooLarge { .. }
            | Self::WouldWait { .. } => io::ErrorKind::Unsupported,
            Self::NoSharedMemory { .. } => io::ErrorKind::StorageFull,
        }
    }
}

/// The text of `Display`: `unwrap`, `expect` and a `main` that returns an error print `Debug`, to people.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

#[cfg(test)]
mod tests;
