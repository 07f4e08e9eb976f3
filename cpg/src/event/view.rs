//! A change of membership.

use crate::group_name::GroupName;
use crate::member::{Member, NodeId};

/// A change of a group's membership, and the membership after it.
///
/// The member list counts, and the lists of those who left and joined say what led to it. Without quorum both
/// sides of a partition go on, each with a view of its own, and after they merge a node can stand in the left
/// and in the joined list of neighbouring views (B15). Of nodes that are not there any more the list can keep members:
/// [`Ring::ghosts`](crate::Ring::ghosts) tells them (B26). While a cluster merges, the news that a process has left can miss the other
/// part, which then lists the process until the next ring (B29).
///
/// ```no_run
/// use cpg::{Event, Group, Limits, OwnedView, View};
///
/// fn print(view: View<'_>) {
///     for member in view.joined() {
///         println!("{member} joined {}: {}", view.group(), member.reason());
///     }
///     for member in view.left().iter().filter(|member| !view.contains(**member)) {
///         println!("{member} is gone: {}", member.reason());
///     }
/// }
///
/// let mut group = Group::join("ledger")?;
/// let ended = group.run(Limits::forever(), |link, event| {
///     let Event::ConfChg(view) = event else { return std::ops::ControlFlow::Continue(()) };
///     print(view);
///     assert!(view.is_first() && view.includes_me());
///     assert!(view.on_node(link.me().node()).any(|member| member == link.me()));
///     std::ops::ControlFlow::Break(view.into_owned())
/// })?;
/// let view: OwnedView = ended.broke().unwrap();
/// println!("{:?} leads", view.lowest());
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_confchg_fn_t")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View<'a> {
    pub(crate) group: &'a GroupName,
    pub(crate) members: &'a [Member],
    pub(crate) left: &'a [Member],
    pub(crate) joined: &'a [Member],
    pub(crate) me: Member,
}

impl<'a> View<'a> {
    /// The group.
    pub fn group(&self) -> &'a GroupName {
        self.group
    }

    /// Everybody who is in the group now, by node and pid.
    pub fn members(&self) -> &'a [Member] {
        self.members
    }

    /// The members that left, each with a [reason](Member::reason).
    pub fn left(&self) -> &'a [Member] {
        self.left
    }

    /// The members that joined, each with a [reason](Member::reason).
    pub fn joined(&self) -> &'a [Member] {
        self.joined
    }

    /// True if this member is in the group now.
    pub fn includes_me(&self) -> bool {
        self.contains(self.me)
    }

    /// True for the view that this member joined with: its first.
    pub fn is_first(&self) -> bool {
        self.joined.contains(&self.me)
    }

    /// True if `member` is in the group now.
    pub fn contains(&self, member: Member) -> bool {
        self.members.contains(&member)
    }

    /// The member with the lowest node, and on it the lowest pid: the same on all members of one view, and so
    /// a leader that needs no election. It can be a ghost, which leads nobody: see [`Ring::ghosts`](crate::Ring::ghosts) (B26).
    pub fn lowest(&self) -> Option<Member> {
        self.members.iter().min().copied()
    }

    /// The members on one node.
    pub fn on_node(&self, node: NodeId) -> impl Iterator<Item = Member> + use<'a> {
        self.members.iter().filter(move |member| member.node() == node).copied()
    }

    /// Copies the view into one that can be kept.
    pub fn into_owned(self) -> OwnedView {
        OwnedView {
            group: self.group.clone(),
            members: self.members.to_vec(),
            left: self.left.to_vec(),
            joined: self.joined.to_vec(),
            me: self.me,
        }
    }
}

/// A [`View`] that owns its lists.
///
/// ```no_run
/// use cpg::{Group, Member, NodeId, OwnedEvent, OwnedView};
///
/// let mut group = Group::join("ledger")?;
/// let mut current: Option<OwnedView> = None;
/// while current.is_none() {
///     if let OwnedEvent::ConfChg(view) = group.recv()? {
///         current = Some(view);
///     }
/// }
/// let view = current.unwrap();
/// assert!(view.is_first() && view.includes_me() && view.joined().contains(&group.me()));
/// assert!(view.left().is_empty() && view.contains(group.me()));
/// assert!(view.on_node(group.me().node()).any(|member| member == group.me()));
/// assert!(!view.contains(Member::new(NodeId::new(99), 1)));
/// println!("{}: {:?}, {:?} leads", view.group(), view.members(), view.as_view().lowest());
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedView {
    pub(crate) group: GroupName,
    pub(crate) members: Vec<Member>,
    pub(crate) left: Vec<Member>,
    pub(crate) joined: Vec<Member>,
    pub(crate) me: Member,
}

impl OwnedView {
    /// Makes the view of the member `me` in which nobody has left or joined, for
    /// [tests](crate::OwnedEvent#tests-without-a-cluster).
    pub fn new(group: GroupName, me: Member, members: impl Into<Vec<Member>>) -> Self {
        Self { group, members: members.into(), left: Vec::new(), joined: Vec::new(), me }
    }

    /// Returns the view with these as those that left; `members` is as it was.
    #[must_use]
    pub fn with_left(self, left: impl Into<Vec<Member>>) -> Self {
        Self { left: left.into(), ..self }
    }

    /// Returns the view with these as those that joined; `members` is as it was.
    #[must_use]
    pub fn with_joined(self, joined: impl Into<Vec<Member>>) -> Self {
        Self { joined: joined.into(), ..self }
    }

    /// Borrows the view.
    pub fn as_view(&self) -> View<'_> {
        View {
            group: &self.group,
            members: &self.members,
            left: &self.left,
            joined: &self.joined,
            me: self.me,
        }
    }

    /// The group.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// Everybody who is in the group, by node and pid.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The members that left with the last change.
    pub fn left(&self) -> &[Member] {
        &self.left
    }

    /// The members that joined with the last change.
    pub fn joined(&self) -> &[Member] {
        &self.joined
    }

    /// True if this member is in the group.
    pub fn includes_me(&self) -> bool {
        self.as_view().includes_me()
    }

    /// True for the view that this member joined with: its first.
    pub fn is_first(&self) -> bool {
        self.as_view().is_first()
    }

    /// True if `member` is in the group.
    pub fn contains(&self, member: Member) -> bool {
        self.as_view().contains(member)
    }

    /// The member with the lowest node, and on it the lowest pid.
    pub fn lowest(&self) -> Option<Member> {
        self.as_view().lowest()
    }

    /// The members on one node.
    pub fn on_node(&self, node: NodeId) -> impl Iterator<Item = Member> + use<'_> {
        self.as_view().on_node(node)
    }
}
