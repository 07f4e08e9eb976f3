//! Errors, with the failed call and the remedy.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::cs_error::CsError;
use crate::group_name::NameError;
use crate::outlook::Outlook;
use crate::remedy;
use crate::system_error::SystemError;

/// The result of every call of this crate that can fail.
#[doc(alias = "CS_OK")]
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of libcpg with the function that returned it, or a refusal of this crate to make a call.
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
///
/// Programs branch on [`is_retryable`](Self::is_retryable) and [`is_connection_lost`](Self::is_connection_lost). People read
/// the text, which ends with the remedy if there is one. `Debug` prints the same text, so `unwrap`, `expect` and a `main` that
/// returns an error show the remedy too.
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
    /// A forked child shares the connection of its parent: a message that it sends there comes from the parent, and a membership that
    /// it ends is the parent's ([A7](crate::facts#a7)). Connect anew in the child.
    ///
    /// A child cannot connect if another thread of the parent was connecting or closing at the moment of the fork. A session that is
    /// [coming back](crate::Reconnect) may have such a thread at any moment: see
    /// [`ForkedWhileConnecting`](Self::ForkedWhileConnecting).
    #[error(
        "this handle belongs to process {owner}, and a child of it may not use it: connect anew after the fork"
    )]
    Forked {
        /// The process that connected.
        owner: u32,
    },

    /// A thread of the parent was in the middle of connecting, or of closing a handle, when this process was forked.
    ///
    /// This process has a copy of libqb's tables that may be half-changed, and a copy of a lock that nobody gives back
    /// ([A7](crate::facts#a7), [A12](crate::facts#a12)). It cannot connect before it has called `exec`.
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
    /// `cpg_dispatch` needs more than a mebibyte of stack, and writes past the guard page of a thread that has less
    /// ([A1](crate::facts#a1)). Give the thread more with [`std::thread::Builder::stack_size`]. A main thread has as much as
    /// `ulimit -s` says at that moment ([A18](crate::facts#a18)).
    #[error(
        "cpg_dispatch needs {needed} bytes of stack and this thread has {remaining} left: start it with \
         std::thread::Builder::stack_size(2 << 20) or more, or raise ulimit -s for a main thread"
    )]
    StackTooSmall {
        /// Bytes that a dispatch needs.
        needed: usize,
        /// Bytes that the thread has left. 0 if the thread runs on another stack than its own, or if it is already below a limit
        /// that was lowered.
        remaining: usize,
    },

    /// The process has as many open handles as libcpg's table holds without moving.
    ///
    /// The next handle would move the table while other threads may read it ([A13](crate::facts#a13)). Reading a list of groups or
    /// processes takes one more handle. If the daemon is killed while a list is read, that handle is never given back
    /// ([A19](crate::facts#a19)). `ConnectOptions::more_handles` lifts the limit for programs that keep their other threads out of
    /// libcpg.
    #[error(
        "{open} handles are open or were lost with their daemon. With one more, libcpg's table would move while other threads use it. \
         A list of groups, processes or members takes one too. Close a handle first"
    )]
    TooManyHandles {
        /// Handles that this process has open, and those that were lost with their daemon.
        open: usize,
    },

    /// A list of groups, processes or members could not be read.
    ///
    /// Each list is read on a separate connection ([A19](crate::facts#a19)). That connection could not be made, or was lost. The
    /// connection of the handle that was asked still works.
    #[error("a list is read on a connection of its own, and that failed: {0}")]
    NoList(#[source] Box<Error>),

    /// The name cannot be joined.
    #[error(transparent)]
    InvalidName(#[from] NameError),

    /// The group has more members than libcpg has room for.
    ///
    /// `cpg_dispatch` copies member lists into arrays of 128 (`CPG_MEMBERS_MAX`), and writes past the end of these arrays when there are
    /// more members ([A8](crate::facts#a8)). This crate refuses to join such a group. A group that grows past the limit later is not
    /// dispatched any more, and its handle is of no further use.
    #[doc(alias = "CPG_MEMBERS_MAX")]
    #[error(
        "the group has {members} members, and cpg_dispatch has room for {limit}: keep the group well below that number"
    )]
    GroupTooLarge {
        /// Members of the group, as far as this crate has counted them.
        members: usize,
        /// The highest number of members that libcpg can handle.
        limit: usize,
    },

    /// The message is too long to be sent.
    #[error("a message of {len} bytes is too long: {limit} is the most{}", way(*limit))]
    MessageTooLong {
        /// Bytes in the message.
        len: usize,
        /// The highest number of bytes that can be sent this way.
        limit: usize,
    },

    /// Too few file descriptors are left for a connection.
    ///
    /// libqb closes descriptor 0 when it gets no descriptor ([A14](crate::facts#a14)). So this crate first tries to open enough
    /// of them.
    #[error("too few file descriptors are left to connect: {0}")]
    NoDescriptors(#[source] SystemError),

    /// The process that listens as corosync belongs neither to root nor to the effective user of this process
    /// ([B19](crate::facts#b19)).
    ///
    /// While no daemon listens at corosync's socket, any user can, and clients would take that user's process for the daemon.
    /// [`ConnectOptions::allow_daemon_uid`](crate::ConnectOptions::allow_daemon_uid) accepts one more user.
    #[error("{}", remedy::untrusted(*uid, *is_overflow))]
    UntrustedDaemon {
        /// The number of the user in the user namespace of this process.
        uid: u32,
        /// True if the number stands for every user without a number in the user namespace of this process
        /// (`user_namespaces(7)`). This process then cannot tell which user it is.
        is_overflow: bool,
    },

    /// The daemon serves its clients through datagram sockets: `qb_ipc_type: socket` in its configuration ([B18](crate::facts#b18)).
    ///
    /// libcpg then loses messages, delivers others with uninitialised memory in them, and does not notice the daemon's death.
    #[error(
        "cannot connect to corosync: it has qb_ipc_type: socket in its configuration, with which libcpg loses and alters \
         messages; remove that line from the section system of corosync.conf and restart corosync"
    )]
    DatagramIpc,

    /// There is no memory to share with the daemon for a zero-copy buffer, or no descriptor for its file.
    ///
    /// Without either, an assertion in libcpg ends this process ([A15](crate::facts#a15)). This crate therefore tries both
    /// first. With libcpg up to 3.1.10 a buffer also needs `/proc`, which is the only way to see that the daemon has accepted
    /// the buffer ([B27](crate::facts#b27)).
    #[error("no zero-copy buffer of {len} bytes in /dev/shm: {source}")]
    NoSharedMemory {
        /// Bytes asked for.
        len: usize,
        /// The error of the trial.
        source: SystemError,
    },

    /// The group has been left, or a leave is under way.
    ///
    /// A handler that gets the remaining events cannot send any more, nor can the senders of a session. libcpg would return `CS_OK`, and
    /// the message would be gone ([B1](crate::facts#b1)).
    #[error("the group has been left or is being left: a message sent now would be lost")]
    Left,

    /// The session has lost its connection, and has not [come back](crate::Reconnect) yet.
    ///
    /// The session has come back when the handler gets [`Event::Rejoined`](crate::Event::Rejoined), which takes further dispatching. A
    /// thread or task that does not dispatch waits with [`Sender::wait_joined`](crate::Sender::wait_joined).
    #[error(
        "the session has lost its connection to corosync and is not back in the group yet: it comes back while somebody \
         dispatches its receiver; a thread or task that only sends can wait with Sender::wait_joined"
    )]
    NoMembership,

    /// A handler was about to wait for something that only further dispatching can bring. Dispatching goes on when the handler
    /// has returned.
    #[error(
        "a handler cannot wait for {waiting_for}, which only further dispatching brings: continue when the handler has returned, or \
         wait in a thread or task that does not dispatch"
    )]
    WouldWait {
        /// The thing for which the handler would wait.
        waiting_for: &'static str,
    },

    /// The token is of a message that another session has accepted.
    ///
    /// A [`Sent`](crate::Sent) is valid only for the session that gave it, and for that session's senders.
    #[error(
        "the token is of a message that another session has accepted: make the ticket with a sender of that session"
    )]
    ForeignToken,

    /// The sending queue has no room for the message now.
    #[error("the sending queue is full: dispatch, so that self-deliveries make room, or wait")]
    QueueFull,

    /// The daemon accepted the message and then dropped it, although messages that were sent later were delivered.
    ///
    /// A daemon can do so while its ring re-forms ([B17](crate::facts#b17)).
    #[error(
        "corosync accepted this message and then dropped it, although later ones were delivered: send it again"
    )]
    DroppedByDaemon,

    /// The [`Receiver`](crate::Receiver) was dropped without a leave.
    ///
    /// Nobody can tell any more whether a message that was in flight is delivered. A session that had lost its connection does not
    /// come back, and accepts no message.
    #[error(
        "the session's receiver was dropped: messages sent before may or may not be delivered, and nothing can tell; keep the \
         receiver until its messages have come back, or leave"
    )]
    ReceiverDropped,

    /// The time limit or the deadline passed before the call was done.
    #[error("the deadline passed while waiting for {waiting_for}")]
    TimedOut {
        /// The thing that had not happened.
        waiting_for: &'static str,
    },

    /// An earlier request on this connection still waits for the daemon's answer, beyond its [time
    /// limit](crate::ConnectOptions::request_timeout). libcpg makes only one request at a time ([A4](crate::facts#a4)).
    ///
    /// The membership continues: events are dispatched, and the queue of a session takes messages. When the daemon answers,
    /// requests work as before. If the daemon dies, requests report that the connection is lost.
    #[error(
        "an earlier call on this connection still waits for corosync, which may be paused or starved; libcpg makes one call at a \
         time, so try again when corosync answers"
    )]
    CallOutstanding,

    /// The operating system refused a descriptor or a wait, or did not start a thread that this crate needs.
    #[error("{call}: {source}{}", remedy::of_the_system(call, source))]
    Io {
        /// The system call, or the attempted action.
        call: &'static str,
        /// The error of the operating system.
        source: SystemError,
    },
}

impl Error {
    /// Returns a function that makes an [`Io`](Self::Io) of this call's error.
    pub(crate) fn io(call: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { call, source: error.into() }
    }

    /// True for an error that ends a membership or a queue: it is permanent, and concerns more than one call.
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

    /// Returns the code of libcpg. `None` for an error that is not libcpg's.
    pub const fn code(&self) -> Option<CsError> {
        match self {
            Self::Cs { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// True if the same call may succeed in a moment.
    ///
    /// These errors are:
    ///
    /// - a full [queue](Self::QueueFull);
    /// - an [outstanding call](Self::CallOutstanding);
    /// - `CS_ERR_TRY_AGAIN`: flow control, or a ring that is re-forming ([B7](crate::facts#b7));
    /// - `CS_ERR_INTERRUPT`: a membership change stopped a message above the atomic size, and all of it must be sent again
    ///   ([B8](crate::facts#b8)).
    ///
    /// If the call was a send, the message has not been sent. If the queue is full, dispatch: self-deliveries make room. For
    /// the other errors nothing signals the time to try again. Make a pause before trying again, because trying without a pause
    /// takes processor time that the daemon needs.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::QueueFull | Self::CallOutstanding)
            || matches!(self.outlook(), Some(Outlook::Again))
    }

    /// True if the connection to the daemon was lost, or if there was no daemon to connect to ([B9](crate::facts#b9)).
    ///
    /// A new connection succeeds when the daemon is back. A session that [reconnects](crate::Reconnect) makes it by itself.
    /// [A table](crate::guide::codes) has each function and code. False for errors that a new connection does not mend, such as
    /// a daemon of [another user](Self::UntrustedDaemon), one with [datagrams](Self::DatagramIpc), or a [group that is too
    /// large](Self::GroupTooLarge).
    pub const fn is_connection_lost(&self) -> bool {
        matches!(self, Self::NoMembership) || matches!(self.outlook(), Some(Outlook::Reconnect))
    }

    /// True if waiting can mend what has kept a program from connecting or joining.
    ///
    /// False for the daemon of another user ([`UntrustedDaemon`](Self::UntrustedDaemon)). That daemon may go away too, but the
    /// program must hear that another user has the socket.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::TimedOut { .. }
            | Self::CallOutstanding
            | Self::NoDescriptors(_)
            | Self::TooManyHandles { .. } => true,
            // A connection takes threads of its own (A14, A19).
            Self::Io { source, .. } => source.is_shortage(),
            Self::NoList(error) => error.passes(),
            error => error.outlook().is_some_and(|outlook| outlook != Outlook::Nothing),
        }
    }

    /// Returns the possible cure of an error of libcpg.
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
            Self::QueueFull | Self::CallOutstanding => io::ErrorKind::WouldBlock,
            Self::Left | Self::NoMembership | Self::ReceiverDropped => io::ErrorKind::NotConnected,
            // Not the kind of the source: a missing thread is EAGAIN, and `WouldBlock` would ask for another try at once.
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

/// Prints the text of `Display`, because people see `Debug`: `unwrap`, `expect` and a `main` that returns an error print it.
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

/// Returns the end of the text of [`Error::MessageTooLong`]. All limits are near 2 GiB, except that of zero-copy buffers.
fn way(limit: usize) -> &'static str {
    if limit < 1 << 30 { " for a zero-copy buffer" } else { "" }
}

#[cfg(test)]
mod tests;
