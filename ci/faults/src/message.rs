//! The bytes of a message: its sender, its number, and enough to notice any change on the way.

use cpg_checker::record::MessageId;

use cpg_faults::random::Random;

const MAGIC: [u8; 4] = *b"cpgt";
const HEADER: usize = 24;
const TRAILER: usize = 8;

/// The content of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    pub id: MessageId,
    /// True if this is the last message of its sender.
    pub last: bool,
    pub hash: u32,
}

/// Makes a message of about this length.
pub fn make(id: MessageId, incarnation: u32, last: bool, len: usize) -> Vec<u8> {
    let len = len.max(HEADER + TRAILER);
    let mut bytes = Vec::with_capacity(len);
    bytes.extend(MAGIC);
    bytes.extend(id.client.to_le_bytes());
    bytes.extend(id.launch.to_le_bytes());
    bytes.extend(id.seq.to_le_bytes());
    bytes.extend(incarnation.to_le_bytes());
    bytes.extend(u32::from(last).to_le_bytes());
    bytes.extend(u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    let mut random = Random::new(u64::from(id.seq) << 32 | u64::from(id.client) << 16 | u64::from(id.launch));
    while bytes.len() < len - TRAILER {
        let word = random.number().to_le_bytes();
        let room = len - TRAILER - bytes.len();
        bytes.extend(&word[..room.min(8)]);
    }
    bytes.extend(hash(&bytes).to_le_bytes());
    bytes
}

/// Reads a message. Returns `None` if the bytes are not one.
pub fn parse(bytes: &[u8]) -> Option<Parsed> {
    let (body, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER)?)?;
    let hash = hash(body);
    let number = |at: usize| body.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let short = |at: usize| body.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes);
    let good =
        body.starts_with(&MAGIC) && trailer == hash.to_le_bytes() && number(20)? as usize == bytes.len();
    let id = MessageId { client: short(4)?, launch: short(6)?, seq: number(8)? };
    good.then_some(Parsed { id, last: number(16)? == 1, hash: fold(hash) })
}

/// Returns the hash of a message that was made here, as [`parse`] does.
pub fn hash_of(bytes: &[u8]) -> u32 {
    fold(hash(&bytes[..bytes.len() - TRAILER]))
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are in it")]
fn fold(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = bytes.len() as u64;
    let (words, rest) = bytes.split_at(bytes.len() / 8 * 8);
    for word in words.chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        sum = (sum.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    }
    for &byte in rest {
        sum = (sum.rotate_left(23) ^ u64::from(byte)).wrapping_mul(FACTOR);
    }
    sum ^ (sum >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_made_and_a_changed_one_is_not() {
        let id = MessageId { client: 7, launch: 2, seq: 99 };
        for len in [0, 32, 33, 40, 1000] {
            let bytes = make(id, 1, true, len);
            assert_eq!(parse(&bytes), Some(Parsed { id, last: true, hash: hash_of(&bytes) }));
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 4;
                assert_eq!(parse(&changed), None, "byte {at} of {len}");
            }
            assert_eq!(parse(&bytes[..bytes.len() - 1]), None);
        }
    }
}
