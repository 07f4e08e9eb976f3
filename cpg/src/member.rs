//! Nodes, members, and the reasons why members join and leave.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use thiserror::Error;

/// The number of a node in the cluster (`nodeid` in `corosync.conf`).
///
/// ```
/// use cpg::NodeId;
///
/// assert_eq!("2".parse(), Ok(NodeId::new(2)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct NodeId(u32);

impl NodeId {
    /// Returns the node with this number.
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// Returns the number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl From<u32> for NodeId {
    fn from(id: u32) -> Self {
        Self(id)
    }
}

impl From<NodeId> for u32 {
    fn from(node: NodeId) -> Self {
        node.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads the format of `Display`: decimal digits.
impl FromStr for NodeId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let number = number(text).map(Self);
        number.ok_or_else(|| ParseError::new(text, "a node: a number from 0 to 4294967295, as 2"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// A process in a group: a node and a pid.
///
/// ```
/// use cpg::{Member, NodeId, Reason};
///
/// let member = Member::new(NodeId::new(2), 4711);
/// assert_eq!((member.node().get(), member.pid(), member.reason()), (2, 4711, Reason::Undefined));
/// assert_eq!((member.to_string(), "2:4711".parse()), ("2:4711".to_owned(), Ok(member)));
/// assert!(member < Member::new(NodeId::new(3), 1));
/// let gone = member.with_reason(Reason::ProcDown);
/// assert_eq!((gone, gone.reason()), (member, Reason::ProcDown));
/// ```
///
/// A member in the list of those who joined, or of those who left, has a [`reason`](Self::reason) too. The reason is not part of the
/// member's identity: members are compared, ordered and hashed by node and pid only. So a member from the list of those
/// who joined is found in the list of members.
#[doc(alias = "cpg_address")]
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Member {
    node: NodeId,
    pid: u32,
    reason: u32,
}

impl Member {
    /// Returns the member that is the process `pid` on `node`.
    pub const fn new(node: NodeId, pid: u32) -> Self {
        Self { node, pid, reason: cpg_sys::CPG_REASON_UNDEFINED }
    }

    /// Returns the same member with this reason, as in the lists of those who joined and of those who left.
    #[must_use]
    pub const fn with_reason(self, reason: Reason) -> Self {
        Self { reason: reason.code(), ..self }
    }

    /// Returns the node on which the member runs.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Returns the process id of the member on its node.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the reason why the member joined or left; [`Reason::Undefined`] for a member from any other list.
    pub const fn reason(&self) -> Reason {
        Reason::from_code(self.reason)
    }

    const fn identity(&self) -> (u32, u32) {
        (self.node.0, self.pid)
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Member {}

impl PartialOrd for Member {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Member {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.identity().cmp(&other.identity())
    }
}

impl Hash for Member {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

/// Prints `NODE:PID`.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}:{}", self.node, self.pid))
    }
}

/// Reads the format of `Display`: the numbers of node and process, with a colon between them. The reason is undefined.
impl FromStr for Member {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let numbers = text.split_once(':').and_then(|(node, pid)| number(node).zip(number(pid)));
        let member = numbers.map(|(node, pid)| Self::new(NodeId(node), pid));
        member
            .ok_or_else(|| ParseError::new(text, "a member: the numbers of its node and process, as 2:4711"))
    }
}

/// Reads a number of digits only. `u32` would accept a sign too.
fn number(digits: &str) -> Option<u32> {
    if digits.starts_with(|first: char| first.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// The error of a text that is not a [`NodeId`] or not a [`Member`].
///
/// ```
/// use cpg::{Member, ParseError};
///
/// let error: ParseError = "2".parse::<Member>().unwrap_err();
/// assert_eq!(error.to_string(), r#""2" is not a member: the numbers of its node and process, as 2:4711"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseError {
    text: String,
    expected: &'static str,
}

impl ParseError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.to_owned(), expected }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            Reason::Undefined => write!(f, "Member({self})"),
            reason => write!(f, "Member({self} {reason})"),
        }
    }
}

/// The reason why a member joined or left.
///
/// ```
/// use cpg::Reason;
///
/// assert_eq!(Reason::from(3), Reason::NodeDown);
/// assert_eq!((u32::from(Reason::NodeDown), Reason::NodeDown.to_string()), (3, "nodedown".to_owned()));
/// assert_eq!(Reason::from(42), Reason::Unknown(42));
/// ```
#[doc(alias = "cpg_reason_t")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// No reason: an entry of the member list, or the sender of a message.
    #[doc(alias = "CPG_REASON_UNDEFINED")]
    Undefined,
    /// The process joined the group.
    #[doc(alias = "CPG_REASON_JOIN")]
    Join,
    /// The process left the group.
    #[doc(alias = "CPG_REASON_LEAVE")]
    Leave,
    /// The member's node left the cluster, or this part of it.
    #[doc(alias = "CPG_REASON_NODEDOWN")]
    NodeDown,
    /// The member's node joined the cluster, and the process was a member on that node already.
    #[doc(alias = "CPG_REASON_NODEUP")]
    NodeUp,
    /// The process ended or closed its handle without leaving. Or it went, in any way, while this node could not see it, and
    /// was missing when the ring formed again.
    #[doc(alias = "CPG_REASON_PROCDOWN")]
    ProcDown,
    /// A number that `corosync/cpg.h` did not have when this was written.
    Unknown(u32),
}

impl Reason {
    const fn from_code(code: u32) -> Self {
        match code {
            cpg_sys::CPG_REASON_UNDEFINED => Self::Undefined,
            cpg_sys::CPG_REASON_JOIN => Self::Join,
            cpg_sys::CPG_REASON_LEAVE => Self::Leave,
            cpg_sys::CPG_REASON_NODEDOWN => Self::NodeDown,
            cpg_sys::CPG_REASON_NODEUP => Self::NodeUp,
            cpg_sys::CPG_REASON_PROCDOWN => Self::ProcDown,
            other => Self::Unknown(other),
        }
    }

    const fn code(self) -> u32 {
        match self {
            Self::Undefined => cpg_sys::CPG_REASON_UNDEFINED,
            Self::Join => cpg_sys::CPG_REASON_JOIN,
            Self::Leave => cpg_sys::CPG_REASON_LEAVE,
            Self::NodeDown => cpg_sys::CPG_REASON_NODEDOWN,
            Self::NodeUp => cpg_sys::CPG_REASON_NODEUP,
            Self::ProcDown => cpg_sys::CPG_REASON_PROCDOWN,
            Self::Unknown(code) => code,
        }
    }
}

/// Returns the reason with this number in C.
impl From<u32> for Reason {
    fn from(code: u32) -> Self {
        Self::from_code(code)
    }
}

/// Returns the number of the reason in C.
impl From<Reason> for u32 {
    fn from(reason: Reason) -> Self {
        reason.code()
    }
}

/// Prints one word: `join`, `leave`, `nodedown`, `nodeup`, `procdown`, `undefined`, or `reason 42`.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Undefined => "undefined",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::NodeDown => "nodedown",
            Self::NodeUp => "nodeup",
            Self::ProcDown => "procdown",
            Self::Unknown(code) => return f.pad(&format!("reason {code}")),
        })
    }
}

// `ffi/trampoline.rs` takes libcpg's lists of addresses and nodes as slices of these.
const _: () = {
    assert!(size_of::<Member>() == size_of::<cpg_sys::cpg_address>());
    assert!(align_of::<Member>() == align_of::<cpg_sys::cpg_address>());
    assert!(std::mem::offset_of!(Member, node) == std::mem::offset_of!(cpg_sys::cpg_address, nodeid));
    assert!(std::mem::offset_of!(Member, pid) == std::mem::offset_of!(cpg_sys::cpg_address, pid));
    assert!(std::mem::offset_of!(Member, reason) == std::mem::offset_of!(cpg_sys::cpg_address, reason));
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_keep_their_number() {
        for code in 0..10 {
            assert_eq!(u32::from(Reason::from(code)), code);
        }
        assert_eq!(Reason::from(42), Reason::Unknown(42));
        assert_eq!(Reason::Unknown(42).to_string(), "reason 42");
    }

    #[test]
    fn a_member_is_its_node_and_pid() {
        let listed = Member::new(NodeId::new(1), 7);
        let joiner = Member { reason: cpg_sys::CPG_REASON_JOIN, ..listed };
        assert_eq!(listed, joiner);
        assert_eq!(joiner.reason(), Reason::Join);
        assert_eq!(format!("{listed} {listed:?} {joiner:?}"), "1:7 Member(1:7) Member(1:7 join)");
        assert!(listed < Member::new(NodeId::new(2), 1));
    }
}
