//! A change of membership.

use crate::group_name::GroupName;
use crate::member::{Member, NodeId};

/// A change of a group's membership, and the membership after it.
///
/// The member list is the truth, the lists of those who left and joined say what led to it. Without quorum both
/// sides of a partition go on, each with a view of its own, and after they merge a node can stand in the left
/// and in the joined list of neighbouring views (B15).
///
/// ```no_run
/// use cpg::{ConfChg, Event, Group, View};
///
/// fn print(conf_chg: ConfChg<'_>) {
///     for member in conf_chg.joined() {
///         println!("{member} joined {}: {}", conf_chg.group(), member.reason());
///     }
///     for member in conf_chg.left().iter().filter(|member| !conf_chg.contains(**member)) {
///         println!("{member} is gone: {}", member.reason());
///     }
/// }
///
/// let mut group = Group::join("ledger")?;
/// let view: View = group.run(|link, event| {
///     let Event::ConfChg(conf_chg) = event else { return std::ops::ControlFlow::Continue(()) };
///     print(conf_chg);
///     assert!(conf_chg.is_first() && conf_chg.includes_me());
///     assert!(conf_chg.on_node(link.me().node()).any(|member| member == link.me()));
///     std::ops::ControlFlow::Break(conf_chg.to_view())
/// })?;
/// println!("{:?} leads", view.lowest());
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_confchg_fn_t")]
#[derive(Debug, Clone, Copy)]
pub struct ConfChg<'a> {
    pub(crate) group: &'a GroupName,
    pub(crate) members: &'a [Member],
    pub(crate) left: &'a [Member],
    pub(crate) joined: &'a [Member],
    pub(crate) me: Member,
}

impl<'a> ConfChg<'a> {
    /// The group.
    pub fn group(&self) -> &'a GroupName {
        self.group
    }

    /// Everybody who is in the group now, by node and pid.
    pub fn members(&self) -> &'a [Member] {
        self.members
    }

    /// Who left, each with a [reason](Member::reason).
    pub fn left(&self) -> &'a [Member] {
        self.left
    }

    /// Who joined, each with a [reason](Member::reason).
    pub fn joined(&self) -> &'a [Member] {
        self.joined
    }

    /// Whether this member is in the group now.
    pub fn includes_me(&self) -> bool {
        self.contains(self.me)
    }

    /// Whether this is the view that this member joined with: its first.
    pub fn is_first(&self) -> bool {
        self.joined.contains(&self.me)
    }

    /// Whether `member` is in the group now.
    pub fn contains(&self, member: Member) -> bool {
        self.members.contains(&member)
    }

    /// The member with the lowest node, and on it the lowest pid: the same on all members of one view, and so
    /// a leader that needs no election.
    pub fn lowest(&self) -> Option<Member> {
        self.members.iter().min().copied()
    }

    /// The members on one node.
    pub fn on_node(&self, node: NodeId) -> impl Iterator<Item = Member> + use<'a> {
        self.members.iter().filter(move |member| member.node() == node).copied()
    }

    /// A copy that can be kept.
    pub fn to_view(&self) -> View {
        View {
            group: self.group.clone(),
            members: self.members.to_vec(),
            left: self.left.to_vec(),
            joined: self.joined.to_vec(),
            me: self.me,
        }
    }
}

/// A membership that can be kept: who is in a group, and what the last change was.
///
/// See [`ConfChg`] for what the lists mean.
///
/// ```no_run
/// use cpg::{Group, Member, NodeId, OwnedEvent, View};
///
/// let mut group = Group::join("ledger")?;
/// let mut current: Option<View> = None;
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
/// println!("{}: {:?}, {:?} leads", view.group(), view.members(), view.as_confchg().lowest());
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub(crate) group: GroupName,
    pub(crate) members: Vec<Member>,
    pub(crate) left: Vec<Member>,
    pub(crate) joined: Vec<Member>,
    pub(crate) me: Member,
}

impl View {
    /// The same view, borrowed: all that a [`ConfChg`] can be asked.
    pub fn as_confchg(&self) -> ConfChg<'_> {
        ConfChg {
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

    /// Who left with the last change.
    pub fn left(&self) -> &[Member] {
        &self.left
    }

    /// Who joined with the last change.
    pub fn joined(&self) -> &[Member] {
        &self.joined
    }

    /// Whether this member is in the group.
    pub fn includes_me(&self) -> bool {
        self.as_confchg().includes_me()
    }

    /// Whether this is the view that this member joined with: its first.
    pub fn is_first(&self) -> bool {
        self.as_confchg().is_first()
    }

    /// Whether `member` is in the group.
    pub fn contains(&self, member: Member) -> bool {
        self.as_confchg().contains(member)
    }

    /// The member with the lowest node, and on it the lowest pid.
    pub fn lowest(&self) -> Option<Member> {
        self.as_confchg().lowest()
    }

    /// The members on one node.
    pub fn on_node(&self, node: NodeId) -> impl Iterator<Item = Member> + use<'_> {
        self.as_confchg().on_node(node)
    }
}
