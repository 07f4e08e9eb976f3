//! What replicas tell each other, and its bytes.
//!
//! All numbers are little-endian. The first byte is a version and a kind; who does not know it passes over the message.

use cpg::{Member, NodeId};

/// The identity of an epoch of the primary component, which is the ballot that it was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch {
    /// When the operator had the state begin, in milliseconds since 1970.
    pub begun: u64,
    /// One more than any that the opener had heard of.
    pub number: u64,
    /// The process that opened it: a number that no other process has.
    pub opener: u64,
}

/// What a member holds: the state after so many changes, the last of them in this epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The epoch.
    pub epoch: Epoch,
    /// The number of changes.
    pub position: u64,
    /// The hash of the changes of that epoch up to there. It follows from the rest.
    pub chain: u64,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// Asks for promises. `fresh` is an operator's word: who holds nothing counts too.
    Open {
        /// The ballot.
        epoch: Epoch,
        /// An operator's word.
        fresh: bool,
        /// The nodes that there are.
        nodes: u32,
        /// The opener's view.
        members: Vec<Member>,
    },
    /// The sender takes part in no lower epoch from now on, and holds this.
    Promise {
        /// The ballot.
        epoch: Epoch,
        /// What it holds.
        held: Option<Place>,
    },
    /// The sender has promised this one, and so not what it was asked for.
    Refuse {
        /// The higher ballot.
        promised: Epoch,
    },
    /// The epoch begins, with the state at this place, or with nothing.
    Form {
        /// The ballot.
        epoch: Epoch,
        /// The state that it begins with.
        base: Option<Place>,
        /// Who accepts changes in it.
        sequencer: Member,
    },
    /// A change, and its number among those of its sender.
    Change {
        /// The epoch that the sender is in.
        epoch: Epoch,
        /// Its number.
        number: u64,
        /// The program's bytes.
        command: &'a [u8],
    },
    /// The sequencer has these changes in the state.
    Accept {
        /// The epoch.
        epoch: Epoch,
        /// Up to there.
        position: u64,
        /// The chain there.
        chain: u64,
    },
    /// The sender holds this position of the epoch.
    Confirm {
        /// The epoch.
        epoch: Epoch,
        /// Up to there.
        position: u64,
    },
    /// The sender wants the state at this place in the order.
    Want {
        /// The epoch.
        epoch: Epoch,
        /// How often the sender has wanted it.
        number: u64,
    },
    /// A part of it: the bytes from `offset` on, of so many.
    Part {
        /// The epoch.
        epoch: Epoch,
        /// Who wants it.
        to: Member,
        /// The number of that wish.
        number: u64,
        /// Where it begins.
        offset: u64,
        /// The length of the whole.
        total: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
}

/// Version 1 of the format, in the upper half of the first byte.
const VERSION: u8 = 0x10;

impl<'a> Message<'a> {
    /// The epoch that the message is about.
    pub fn epoch(&self) -> Epoch {
        match *self {
            Self::Open { epoch, .. }
            | Self::Promise { epoch, .. }
            | Self::Refuse { promised: epoch }
            | Self::Form { epoch, .. }
            | Self::Change { epoch, .. }
            | Self::Accept { epoch, .. }
            | Self::Confirm { epoch, .. }
            | Self::Want { epoch, .. }
            | Self::Part { epoch, .. } => epoch,
        }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer(Vec::with_capacity(64));
        let kind = |kind: u8| VERSION | kind;
        match self {
            Self::Open { epoch, fresh, nodes, members } => {
                to.byte(kind(0)).epoch(*epoch).byte(u8::from(*fresh)).u32(*nodes);
                for &member in members {
                    to.member(member);
                }
            }
            Self::Promise { epoch, held } => drop(to.byte(kind(1)).epoch(*epoch).place(*held)),
            Self::Refuse { promised } => drop(to.byte(kind(2)).epoch(*promised)),
            Self::Form { epoch, base, sequencer } => {
                to.byte(kind(3)).epoch(*epoch).member(*sequencer).place(*base);
            }
            Self::Change { epoch, number, command } => {
                to.byte(kind(4)).epoch(*epoch).u64(*number).bytes(command);
            }
            Self::Accept { epoch, position, chain } => {
                to.byte(kind(5)).epoch(*epoch).u64(*position).u64(*chain);
            }
            Self::Confirm { epoch, position } => drop(to.byte(kind(6)).epoch(*epoch).u64(*position)),
            Self::Want { epoch, number } => drop(to.byte(kind(7)).epoch(*epoch).u64(*number)),
            Self::Part { epoch, to: member, number, offset, total, bytes } => {
                to.byte(kind(8))
                    .epoch(*epoch)
                    .member(*member)
                    .u64(*number)
                    .u64(*offset)
                    .u64(*total)
                    .bytes(bytes);
            }
        }
        to.0
    }

    /// The message of these bytes; `None` if it is not one of ours.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let kind = from.byte()?.checked_sub(VERSION)?;
        let epoch = from.epoch()?;
        let message = match kind {
            0 => {
                let (fresh, nodes, mut members) = (from.byte()? != 0, from.u32()?, Vec::new());
                while !from.0.is_empty() {
                    members.push(from.member()?);
                }
                Self::Open { epoch, fresh, nodes, members }
            }
            1 => Self::Promise { epoch, held: if from.0.is_empty() { None } else { Some(from.place()?) } },
            2 => Self::Refuse { promised: epoch },
            3 => {
                let sequencer = from.member()?;
                let base = if from.0.is_empty() { None } else { Some(from.place()?) };
                Self::Form { epoch, base, sequencer }
            }
            4 => Self::Change { epoch, number: from.u64()?, command: from.rest() },
            5 => Self::Accept { epoch, position: from.u64()?, chain: from.u64()? },
            6 => Self::Confirm { epoch, position: from.u64()? },
            7 => Self::Want { epoch, number: from.u64()? },
            8 => {
                let (to, number) = (from.member()?, from.u64()?);
                let (offset, total) = (from.u64()?, from.u64()?);
                Self::Part { epoch, to, number, offset, total, bytes: from.rest() }
            }
            _ => return None,
        };
        Some(message)
    }
}

/// Bytes that grow.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds one.
    pub fn byte(&mut self, byte: u8) -> &mut Self {
        self.bytes(&[byte])
    }

    /// Adds a number.
    pub fn u32(&mut self, number: u32) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    /// Adds a number.
    pub fn u64(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    /// Adds bytes with their length before them.
    pub fn field(&mut self, field: &[u8]) -> &mut Self {
        self.u64(field.len() as u64).bytes(field)
    }

    /// Adds a member.
    pub fn member(&mut self, member: Member) -> &mut Self {
        self.u32(member.node().get()).u32(member.pid())
    }

    fn epoch(&mut self, Epoch { begun, number, opener }: Epoch) -> &mut Self {
        self.u64(begun).u64(number).u64(opener)
    }

    fn place(&mut self, place: Option<Place>) -> &mut Self {
        match place {
            Some(Place { epoch, position, chain }) => self.epoch(epoch).u64(position).u64(chain),
            None => self,
        }
    }
}

/// Bytes that are taken from the front.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    /// Takes one.
    pub fn byte(&mut self) -> Option<u8> {
        self.chunk().map(|[byte]| byte)
    }

    /// Takes a number.
    pub fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    /// Takes a number.
    pub fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    /// Takes bytes with their length before them.
    pub fn field(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u64()?).ok()?;
        let (field, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(field)
    }

    /// Takes all that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Takes a member.
    pub fn member(&mut self) -> Option<Member> {
        Some(Member::new(NodeId::new(self.u32()?), self.u32()?))
    }

    fn epoch(&mut self) -> Option<Epoch> {
        Some(Epoch { begun: self.u64()?, number: self.u64()?, opener: self.u64()? })
    }

    /// The place that ends a message which may have one.
    fn place(&mut self) -> Option<Place> {
        Some(Place { epoch: self.epoch()?, position: self.u64()?, chain: self.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_what_its_bytes_say_and_a_piece_of_one_is_none_or_another() {
        let epoch = Epoch { begun: 1, number: 2, opener: 3 };
        let place = Place { epoch, position: 4, chain: 5 };
        let member = Member::new(NodeId::new(6), 7);
        for message in [
            Message::Open { epoch, fresh: true, nodes: 3, members: vec![member; 2] },
            Message::Promise { epoch, held: None },
            Message::Promise { epoch, held: Some(place) },
            Message::Refuse { promised: epoch },
            Message::Form { epoch, base: Some(place), sequencer: member },
            Message::Change { epoch, number: 8, command: b"put" },
            Message::Accept { epoch, position: 9, chain: 10 },
            Message::Confirm { epoch, position: 11 },
            Message::Want { epoch, number: 14 },
            Message::Part { epoch, to: member, number: 15, offset: 12, total: 13, bytes: b"state" },
        ] {
            let bytes = message.to_bytes();
            assert_eq!(Message::of(&bytes).as_ref(), Some(&message));
            for len in 0..bytes.len() {
                assert_ne!(Message::of(&bytes[..len]).as_ref(), Some(&message));
            }
        }
        assert_eq!(Message::of(b"hello, somebody else's message"), None);
    }
}
