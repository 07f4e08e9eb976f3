//! What replicas tell each other.

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
    /// What it says.
    pub body: Body<'a>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<'a> {
    /// Who is to take part in the epoch?
    Open {
        /// The number of nodes that there are.
        nodes: u32,
        /// The opener's view.
        members: BTreeSet<Member>,
    },
    /// The sender takes part in no lower epoch from now on, and holds this.
    Promise(Option<Place>),
    /// The epoch begins.
    Form {
        /// The state that it begins with; `None` for nothing.
        base: Option<Place>,
        /// Who says in it which changes are accepted.
        sequencer: Member,
    },
    /// A change.
    Change {
        /// Its number among those of its sender.
        number: u64,
        /// The program's bytes.
        command: &'a [u8],
    },
    /// The sender holds this position of the epoch. Of the sequencer it accepts the changes up to there.
    Hold {
        /// The position.
        position: u64,
        /// The chain there.
        chain: u64,
    },
    /// The sender wants the state at this place in the order.
    Want,
    /// A part of it.
    Part {
        /// Who wants it.
        to: Member,
        /// The part.
        part: Part<'a>,
    },
}

/// The first byte of all messages of this format. Who does not know it passes over the message.
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
