//! What a client saw on a stretch.

use crate::record::{Member, MessageId, NODE_UP, View};

/// A thing that all see.
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
}

/// What a client saw on a stretch.
pub(crate) struct Sight {
    pub(crate) all: Vec<Seen>,
    /// How much of it, up to the last message. The views after that belong to the next ring, or are as many as the client
    /// saw before it ended.
    pub(crate) count: usize,
}

impl Sight {
    pub(crate) fn whole(&self) -> &[Seen] {
        &self.all[..self.count]
    }

    /// What is seen after each joining of a member.
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
