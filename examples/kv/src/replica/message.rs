//! The messages between replicas.

use std::collections::BTreeSet;

use cpg::Member;

use super::format::Format;
use super::primary::{Epoch, Place};
use super::transfer::Part;

/// A message, and the epoch that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// The epoch.
    pub epoch: Epoch,
    /// The content of the message.
    pub body: Body<'a>,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<'a> {
    /// An invitation to take part in the epoch.
    Open {
        /// The number of nodes in the cluster, as the opener was told.
        nodes: u32,
        /// The opener's view.
        members: BTreeSet<Member>,
    },
    /// A promise to take part in no lower epoch from now on, and the place that the sender holds.
    Promise(Option<Place>),
    /// The beginning of the epoch.
    Form {
        /// The place that the epoch begins with; `None` for an empty state.
        base: Option<Place>,
        /// The member that accepts changes in the epoch.
        sequencer: Member,
    },
    /// A change.
    Change {
        /// The number of the change among those of its sender.
        number: u64,
        /// The program's bytes.
        command: &'a [u8],
    },
    /// A statement that the sender holds the changes of the epoch up to this position. When the sequencer sends it, these changes are
    /// accepted.
    Hold {
        /// The position.
        position: u64,
        /// The chain at the position.
        chain: u64,
    },
    /// A request for the state at the place of this message in the order.
    Want,
    /// A part of the state.
    Part {
        /// The member that has asked for the state.
        to: Member,
        /// The part.
        part: Part<'a>,
    },
}

/// The first byte of all messages of this format. A receiver ignores messages with an unknown first byte.
const VERSION: u8 = 0x20;

impl<'a> Format<'a> for Message<'a> {
    fn write(&self, to: &mut Vec<u8>) {
        (VERSION, self.epoch).write(to);
        match &self.body {
            Body::Open { nodes, members } => {
                (0_u8, *nodes).write(to);
                members.write(to);
            }
            Body::Promise(held) => (1_u8, *held).write(to),
            Body::Form { base, sequencer } => (2_u8, *base, *sequencer).write(to),
            Body::Change { number, command } => (3_u8, *number, *command).write(to),
            Body::Hold { position, chain } => (4_u8, *position, *chain).write(to),
            Body::Want => 5_u8.write(to),
            Body::Part { to: member, part: Part { offset, total, bytes } } => {
                (6_u8, *member).write(to);
                (*offset, *total, *bytes).write(to);
            }
        }
    }

    fn read(from: &mut &'a [u8]) -> Option<Self> {
        if u8::read(from)? != VERSION {
            return None;
        }
        let (epoch, kind) = Format::read(from)?;
        let body = match kind {
            0_u8 => Format::read(from).map(|(nodes, members)| Body::Open { nodes, members }),
            1 => Format::read(from).map(Body::Promise),
            2 => Format::read(from).map(|(base, sequencer)| Body::Form { base, sequencer }),
            3 => Format::read(from).map(|(number, command)| Body::Change { number, command }),
            4 => Format::read(from).map(|(position, chain)| Body::Hold { position, chain }),
            5 => Some(Body::Want),
            6 => Format::read(from)
                .map(|(to, offset, total, bytes)| Body::Part { to, part: Part { offset, total, bytes } }),
            _ => None,
        };
        Some(Self { epoch, body: body? })
    }
}

#[cfg(test)]
mod tests {
    use cpg::NodeId;

    use super::*;

    #[test]
    fn a_message_is_what_its_bytes_say_and_no_other_bytes_are_that_message() {
        let epoch = Epoch { begun: 1, number: 2, opener: 3 };
        let place = Place { epoch, position: 4, chain: 5 };
        let member = Member::new(NodeId::new(6), 7);
        for body in [
            Body::Open { nodes: 3, members: BTreeSet::from([member, Member::new(NodeId::new(8), 9)]) },
            Body::Promise(None),
            Body::Promise(Some(place)),
            Body::Form { base: Some(place), sequencer: member },
            Body::Change { number: 8, command: b"put" },
            Body::Hold { position: 9, chain: 10 },
            Body::Want,
            Body::Part { to: member, part: Part { offset: 12, total: 13, bytes: b"state" } },
        ] {
            let message = Message { epoch, body };
            let bytes = message.to_bytes();
            assert_eq!(Message::of(&bytes).as_ref(), Some(&message));
            for len in 0..bytes.len() {
                assert_eq!(Message::of(&bytes[..len]), None);
            }
            assert_eq!(Message::of(&[&bytes[..], &[0]].concat()), None);
        }
        assert_eq!(Message::of(b"hello, somebody else's message"), None);
    }
}
