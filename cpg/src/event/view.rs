//! A change of membership.

use crate::group_name::GroupName;
use crate::member::{Member, NodeId};

/// A view: a change of a group's membership, and the membership after the change.
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
///
/// Rely on the member list. The lists of those who left and joined only explain it.
///
/// - CPG works without quorum: both sides of a partition go on, each with its own views. When they merge, a member that was in
///   the group all the time can appear as left in one view and as joined in the next, or the other way round
///   ([B15](crate::facts#b15)).
/// - The member list can keep *ghosts*, members of a node that is no longer there ([B26](crate::facts#b26)):
///   [`Ring::ghosts`](crate::Ring::ghosts) finds them.
/// - While two parts of a cluster merge, the news that a process has left can miss the other part. That part then lists the process
///   until the next ring ([B29](crate::facts#b29)).
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
    /// Returns the group.
    pub fn group(&self) -> &'a GroupName {
        self.group
    }

    /// Returns the members of the group from now on.
    pub fn members(&self) -> &'a [Member] {
        self.members
    }

    /// Returns the members that left, each with a [reason](Member::reason). If a process is in this list and in
    /// [`members`](Self::members), the member list decides: it is in the group.
    pub fn left(&self) -> &'a [Member] {
        self.left
    }

    /// Returns the members that joined, each with a [reason](Member::reason).
    pub fn joined(&self) -> &'a [Member] {
        self.joined
    }

    /// True if this member is in the group from now on.
    pub fn includes_me(&self) -> bool {
        self.contains(self.me)
    }

    /// True for the first view of this member, in which it joined.
    pub fn is_first(&self) -> bool {
        self.joined.contains(&self.me)
    }

    /// True if `member` is in the group from now on.
    pub fn contains(&self, member: Member) -> bool {
        self.members.contains(&member)
    }

    /// Returns the member with the lowest node, and on that node with the lowest pid.
    ///
    /// All members of one view get the same result, so this is a leader without an election. The lowest member can be a ghost,
    /// a member whose node is gone ([B26](crate::facts#b26)); then nobody leads. [`Ring::ghosts`](crate::Ring::ghosts) finds
    /// ghosts.
    pub fn lowest(&self) -> Option<Member> {
        self.members.iter().min().copied()
    }

    /// Returns the members on one node.
    pub fn on_node(&self, node: NodeId) -> impl Iterator<Item = Member> + use<'a> {
        self.members.iter().filter(move |member| member.node() == node).copied()
    }

    /// Copies the view into an owned view, which can be kept.
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
    /// Makes a view for the member `me`, in which nobody has left or joined, for
    /// [tests](crate::OwnedEvent#tests-without-a-cluster).
    pub fn new(group: GroupName, me: Member, members: impl Into<Vec<Member>>) -> Self {
        Self { group, members: members.into(), left: Vec::new(), joined: Vec::new(), me }
    }

    /// Returns the view with these members as those that left. Does not change the member list.
    #[must_use]
    pub fn with_left(self, left: impl Into<Vec<Member>>) -> Self {
        Self { left: left.into(), ..self }
    }

    /// Returns the view with these members as those that joined. Does not change the member list.
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

    /// Returns the group.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// Returns the members of the group after the change.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns the members that left.
    pub fn left(&self) -> &[Member] {
        &self.left
    }

    /// Returns the members that joined.
    pub fn joined(&self) -> &[Member] {
        &self.joined
    }

    /// True if this member is in the group after the change.
    pub fn includes_me(&self) -> bool {
        self.as_view().includes_me()
    }

    /// True for the first view of this member, in which it joined.
    pub fn is_first(&self) -> bool {
        self.as_view().is_first()
    }

    /// True if `member` is in the group after the change.
    pub fn contains(&self, member: Member) -> bool {
        self.as_view().contains(member)
    }

    /// Returns the member with the lowest node, and on that node with the lowest pid.
    pub fn lowest(&self) -> Option<Member> {
        self.as_view().lowest()
    }

    /// Returns the members on one node.
    pub fn on_node(&self, node: NodeId) -> impl Iterator<Item = Member> + use<'_> {
        self.as_view().on_node(node)
    }
}
