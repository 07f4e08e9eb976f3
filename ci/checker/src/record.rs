//! The records that a client writes, in the order in which things happened, and their format.
//!
//! A record is its length, its bytes and a check byte. If a client is killed, only its last record can be incomplete.

use std::io::{self, Read};

/// A process in a group: a node and a pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The node.
    pub node: u32,
    /// The process on it.
    pub pid: u32,
}

/// A member that left or joined, with the number of the reason in `corosync/cpg.h`.
pub type Change = (Member, u8);

/// The reason of a member that left.
pub(crate) const LEAVE: u8 = 2;
/// The reason of a member whose node went down.
pub(crate) const NODE_DOWN: u8 = 3;
/// The reason of a member whose node came.
pub(crate) const NODE_UP: u8 = 4;
/// The reason of a member whose process ended without leaving.
pub(crate) const PROC_DOWN: u8 = 5;

/// The name of a totem ring. The sequence number first, which grows from ring to ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ring {
    /// Its sequence number.
    pub seq: u64,
    /// The node that represents it.
    pub node: u32,
}

/// The identity of a message: the client, the number of its process, and a number that grows with each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The client.
    pub client: u16,
    /// The number of the client's process. The first is 1, and the client gets a new process after it has been killed.
    pub launch: u16,
    /// The number of the message. The first is 0.
    pub seq: u32,
}

/// An answer that the sender got about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fate {
    /// The call that sends the message has returned without an error.
    Accepted,
    /// The call has failed, and the message has not been sent.
    Refused,
    /// The call has failed because the daemon died, so it is not known if the message was sent.
    Unclear,
    /// The ticket says that the message was delivered.
    Resolved,
    /// The ticket says that the message was not delivered.
    Failed,
    /// The message was handed back: the daemon had accepted it, and the connection was lost.
    BackSent,
    /// The message was handed back: the daemon had not accepted it.
    BackUnsent,
    /// The message was handed back: the daemon had accepted it and dropped it.
    BackDropped,
}

const FATES: [Fate; 8] = [
    Fate::Accepted,
    Fate::Refused,
    Fate::Unclear,
    Fate::Resolved,
    Fate::Failed,
    Fate::BackSent,
    Fate::BackUnsent,
    Fate::BackDropped,
];

/// The end of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ending {
    /// The connection to the daemon was lost.
    Lost,
    /// The client left, and the view without it was delivered.
    Left,
    /// The client gave the membership up, for example after a leave that failed.
    GivenUp,
}

/// The result of a forked child, which tries to use its parent's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Child {
    /// All attempts of the child were refused.
    Refused,
    /// The child could use the connection, or got another error than the one for a child.
    Used,
    /// The child did not end.
    Hung,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The first record of a process.
    Hello {
        /// The client.
        client: u16,
        /// The number of the process.
        launch: u16,
        /// The group that it joins.
        group: u8,
        /// True if the client sends through a queue, which promises more.
        queued: bool,
    },
    /// A membership begins.
    Begin {
        /// The number of the membership in this process. The first is 1.
        incarnation: u32,
        /// The member that the client is in the group.
        me: Member,
    },
    /// A message is about to be sent.
    Send {
        /// Its number.
        seq: u32,
        /// A hash of its bytes.
        hash: u32,
        /// Its length.
        len: u32,
        /// True if there will be a ticket.
        tracked: bool,
    },
    /// The sender has got an answer about a message.
    Fate {
        /// Its number.
        seq: u32,
        /// The answer.
        fate: Fate,
    },
    /// A message was delivered.
    Deliver {
        /// The identity of the message, according to its bytes.
        id: MessageId,
        /// A hash of its bytes.
        hash: u32,
        /// The sender, according to the event.
        sender: Member,
    },
    /// The group has changed.
    View(View),
    /// A new ring.
    Totem(Ring),
    /// A membership has ended.
    End(Ending),
    /// All last messages have been delivered to this client.
    Settled,
    /// The process ends because it was told to. It has got the answers about all its messages.
    Bye,
    /// Bytes were delivered that are not a message of a client.
    Alien {
        /// Their length.
        len: u32,
        /// The member from which they came.
        sender: Member,
        /// True if the crate could not have known better: the bytes came without a packet, or were reported as a packet with a part
        /// missing. False if the crate has delivered them as a message of a packet, or has reported another fault.
        excusable: bool,
    },
    /// The process has forked, and the child has ended.
    Fork(Child),
}

/// A change of a group, and its members after it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct View {
    /// The members of the group.
    pub members: Vec<Member>,
    /// The members that left.
    pub left: Vec<Change>,
    /// The members that joined.
    pub joined: Vec<Change>,
}

impl Record {
    /// Appends the record to `to`.
    pub fn write(&self, to: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(24);
        self.body(&mut body);
        number(to, body.len() as u64);
        to.extend_from_slice(&body);
        to.push(check(&body));
    }

    fn body(&self, to: &mut Vec<u8>) {
        match self {
            Self::Hello { client, launch, group, queued } => {
                numbers(to, 0, &[(*client).into(), (*launch).into(), (*group).into(), (*queued).into()]);
            }
            Self::Begin { incarnation, me } => {
                numbers(to, 1, &[(*incarnation).into(), me.node.into(), me.pid.into()]);
            }
            Self::Send { seq, hash, len, tracked } => {
                numbers(to, 2, &[(*seq).into(), (*hash).into(), (*len).into(), (*tracked).into()]);
            }
            Self::Fate { seq, fate } => numbers(to, 3, &[(*seq).into(), *fate as u64]),
            Self::Deliver { id, hash, sender } => {
                let id = [id.client.into(), id.launch.into(), id.seq.into()];
                numbers(to, 4, &id);
                for value in [u64::from(*hash), sender.node.into(), sender.pid.into()] {
                    number(to, value);
                }
            }
            Self::View(View { members, left, joined }) => {
                to.push(5);
                let plain: Vec<Change> = members.iter().map(|&member| (member, 0)).collect();
                for list in [&plain, left, joined] {
                    number(to, list.len() as u64);
                    for (member, reason) in list {
                        for value in [member.node, member.pid, (*reason).into()] {
                            number(to, value.into());
                        }
                    }
                }
            }
            Self::Totem(ring) => numbers(to, 6, &[ring.seq, ring.node.into()]),
            Self::End(ending) => numbers(to, 7, &[*ending as u64]),
            Self::Settled => to.push(8),
            Self::Bye => to.push(9),
            Self::Alien { len, sender, excusable } => {
                let numbers_of = [(*len).into(), sender.node.into(), sender.pid.into(), (*excusable).into()];
                numbers(to, 10, &numbers_of);
            }
            Self::Fork(child) => numbers(to, 11, &[*child as u64]),
        }
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let (&tag, mut rest) = body.split_first()?;
        let mut next = || take(&mut rest);
        Some(match tag {
            0 => Self::Hello {
                client: next()?.try_into().ok()?,
                launch: next()?.try_into().ok()?,
                group: next()?.try_into().ok()?,
                queued: next()? == 1,
            },
            1 => Self::Begin { incarnation: next()?.try_into().ok()?, me: member(&mut next)? },
            2 => Self::Send {
                seq: next()?.try_into().ok()?,
                hash: next()?.try_into().ok()?,
                len: next()?.try_into().ok()?,
                tracked: next()? == 1,
            },
            3 => Self::Fate {
                seq: next()?.try_into().ok()?,
                fate: *FATES.get(usize::try_from(next()?).ok()?)?,
            },
            4 => Self::Deliver {
                id: MessageId {
                    client: next()?.try_into().ok()?,
                    launch: next()?.try_into().ok()?,
                    seq: next()?.try_into().ok()?,
                },
                hash: next()?.try_into().ok()?,
                sender: member(&mut next)?,
            },
            5 => {
                let mut lists: [Vec<Change>; 3] = Default::default();
                for list in &mut lists {
                    for _ in 0..next()? {
                        list.push((member(&mut next)?, next()?.try_into().ok()?));
                    }
                }
                let [members, left, joined] = lists;
                Self::View(View {
                    members: members.into_iter().map(|(member, _)| member).collect(),
                    left,
                    joined,
                })
            }
            6 => Self::Totem(Ring { seq: next()?, node: next()?.try_into().ok()? }),
            7 => Self::End(match next()? {
                0 => Ending::Lost,
                1 => Ending::Left,
                2 => Ending::GivenUp,
                _ => return None,
            }),
            8 => Self::Settled,
            9 => Self::Bye,
            10 => Self::Alien {
                len: next()?.try_into().ok()?,
                sender: member(&mut next)?,
                excusable: next()? == 1,
            },
            11 => Self::Fork(match next()? {
                0 => Child::Refused,
                1 => Child::Used,
                2 => Child::Hung,
                _ => return None,
            }),
            _ => return None,
        })
    }

    /// Reads the next record. Returns it with its length in bytes, and `None` at the end or before an incomplete
    /// record.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(from: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<(Self, u64)>> {
        let (mut len, mut head) = (0_usize, 0_u64);
        loop {
            let Some([byte]) = bytes::<1>(from)? else { return Ok(None) };
            len |= usize::from(byte & 0x7f) << (7 * head);
            head += 1;
            if byte & 0x80 == 0 {
                break;
            }
            if head > 3 {
                return Ok(None);
            }
        }
        buffer.clear();
        let wanted = len as u64 + 1;
        if from.by_ref().take(wanted).read_to_end(buffer)? as u64 != wanted {
            return Ok(None);
        }
        let (body, last) = buffer.split_at(len);
        if last != [check(body)] {
            return Ok(None);
        }
        Ok(Self::parse(body).map(|record| (record, head + wanted)))
    }
}

fn bytes<const N: usize>(from: &mut impl Read) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match from.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn member(next: &mut impl FnMut() -> Option<u64>) -> Option<Member> {
    Some(Member { node: next()?.try_into().ok()?, pid: next()?.try_into().ok()? })
}

fn numbers(to: &mut Vec<u8>, tag: u8, values: &[u64]) {
    to.push(tag);
    for &value in values {
        number(to, value);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn number(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn take(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn check(body: &[u8]) -> u8 {
    body.iter().fold(0x5a, |sum: u8, &byte| sum.rotate_left(1) ^ byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Record> {
        let me = Member { node: 3, pid: 70_000 };
        let id = MessageId { client: 300, launch: 2, seq: u32::MAX };
        vec![
            Record::Hello { client: 300, launch: 2, group: 1, queued: true },
            Record::Begin { incarnation: 1, me },
            Record::Send { seq: u32::MAX, hash: u32::MAX, len: 0, tracked: true },
            Record::Fate { seq: 0, fate: Fate::BackDropped },
            Record::Deliver { id, hash: 9, sender: me },
            Record::View(View { members: vec![me; 100], left: vec![(me, 3)], joined: Vec::new() }),
            Record::Totem(Ring { seq: u64::MAX, node: 1 }),
            Record::End(Ending::GivenUp),
            Record::Settled,
            Record::Alien { len: 5, sender: Member { node: 3, pid: 4 }, excusable: true },
            Record::Fork(Child::Refused),
            Record::Fork(Child::Hung),
            Record::Bye,
        ]
    }

    fn read(mut bytes: &[u8]) -> Vec<Record> {
        let mut buffer = Vec::new();
        std::iter::from_fn(|| Record::read(&mut bytes, &mut buffer).unwrap())
            .map(|(record, _)| record)
            .collect()
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        for record in all() {
            record.write(&mut bytes);
        }
        assert_eq!(read(&bytes), all());
    }

    #[test]
    fn an_incomplete_record_is_the_end() {
        let mut bytes = Vec::new();
        for record in all() {
            record.write(&mut bytes);
        }
        let mut last = 0;
        for end in 0..bytes.len() {
            let records = read(&bytes[..end]);
            assert!(records.len() < all().len() && records.len() >= last);
            assert_eq!(records, all()[..records.len()]);
            last = records.len();
        }
    }
}
