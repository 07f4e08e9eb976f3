//! The events that a client saw on a stretch.

use std::collections::BTreeSet;

use crate::record::{Member, MessageId, NODE_DOWN, NODE_UP, View};

/// An event that all clients see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Message(MessageId),
    View(Box<View>),
}

impl Seen {
    pub(crate) fn message(&self) -> Option<MessageId> {
        match self {
            Self::Message(id) => Some(*id),
            Self::View(_) => None,
        }
    }

    /// Returns the process that joined or left, if this is a view of a single join or leave. Daemons report these in a
    /// small message.
    pub(crate) fn single(&self) -> Option<Single> {
        let Self::View(view) = self else { return None };
        match (&view.left[..], &view.joined[..]) {
            (&[(member, reason)], []) if reason != NODE_DOWN => Some(Single { member, joins: false }),
            (&[], &[(member, reason)]) if reason != NODE_UP => Some(Single { member, joins: true }),
            _ => None,
        }
    }
}

/// A process that joined or left in a single change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Single {
    pub(crate) member: Member,
    pub(crate) joins: bool,
}

/// Returns the members in which two views of the same change differ.
pub(crate) fn astray(one: &View, other: &View) -> Option<BTreeSet<Member>> {
    let members = |view: &View| view.members.iter().copied().collect::<BTreeSet<Member>>();
    let same = (&one.left, &one.joined) == (&other.left, &other.joined);
    same.then(|| &members(one) ^ &members(other))
}

/// The events that a client saw on a stretch.
pub(crate) struct Sight {
    pub(crate) all: Vec<Seen>,
    /// The number of events up to the last message. The views after the last message belong to the next ring, or are
    /// only those that the client saw before it ended.
    pub(crate) count: usize,
}

impl Sight {
    pub(crate) fn whole(&self) -> &[Seen] {
        &self.all[..self.count]
    }

    /// The events after each join of a member.
    pub(crate) fn after_join(&self, who: Member) -> impl Iterator<Item = &[Seen]> {
        self.all.iter().enumerate().filter_map(move |(index, item)| match item {
            Seen::View(view)
                if view.joined.iter().any(|&(member, reason)| member == who && reason != NODE_UP) =>
            {
                Some(self.all.get(index + 1..self.count).unwrap_or_default())
            }
            _ => None,
        })
    }
}
