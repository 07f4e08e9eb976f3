//! What a client and its server tell each other over a socket: frames, each with its length before it and a number of the client's.

use std::io::{self, Read};

use crate::replica::message::{Reader, Writer};
use crate::store::{Command, Outcome};

/// The longest frame.
pub const LONGEST: usize = 4 << 20;

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To be done in its place in the order.
    Do(Command),
    /// To be read from what this member has, however old.
    Local(Command),
    /// How it goes.
    Status,
    /// An operator's word.
    Begin,
}

/// What it hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It was done, and survives.
    Done(Outcome),
    /// This member has that; true if it is in the primary component.
    Local(bool, Outcome),
    /// It was not done and will not be.
    Refused(String),
    /// It may have been done, or be done yet.
    Unknown(String),
    /// In words.
    Text(String),
}

fn frame(number: u64, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut to = Writer(Vec::with_capacity(bytes.len() + 13));
    to.u32(u32::try_from(bytes.len() + 9).unwrap_or(u32::MAX)).u64(number).byte(kind).bytes(bytes);
    to.0
}

impl Request {
    /// The frame of a request.
    pub fn to_frame(&self, number: u64) -> Vec<u8> {
        match self {
            Self::Do(command) => frame(number, 0, &command.to_bytes()),
            Self::Local(command) => frame(number, 1, &command.to_bytes()),
            Self::Status => frame(number, 2, &[]),
            Self::Begin => frame(number, 3, &[]),
        }
    }

    /// The request in a frame, and its number; `None` if it is none.
    pub fn of(frame: &[u8]) -> Option<(u64, Self)> {
        let mut from = Reader(frame);
        let (number, kind) = (from.u64()?, from.byte()?);
        let request = match kind {
            0 => Self::Do(Command::of(from.rest())?),
            1 => Self::Local(Command::of(from.rest())?),
            2 => Self::Status,
            3 => Self::Begin,
            _ => return None,
        };
        Some((number, request))
    }
}

impl Reply {
    /// The frame of a reply.
    pub fn to_frame(&self, number: u64) -> Vec<u8> {
        match self {
            Self::Done(outcome) => frame(number, 0, &outcome.to_bytes()),
            Self::Local(false, outcome) => frame(number, 1, &outcome.to_bytes()),
            Self::Local(true, outcome) => frame(number, 2, &outcome.to_bytes()),
            Self::Refused(text) => frame(number, 3, text.as_bytes()),
            Self::Unknown(text) => frame(number, 4, text.as_bytes()),
            Self::Text(text) => frame(number, 5, text.as_bytes()),
        }
    }

    /// The reply in a frame, and its number; `None` if it is none.
    pub fn of(frame: &[u8]) -> Option<(u64, Self)> {
        let mut from = Reader(frame);
        let (number, kind, rest) = (from.u64()?, from.byte()?, from.rest());
        let text = || String::from_utf8_lossy(rest).into_owned();
        let reply = match kind {
            0 => Self::Done(Outcome::of(rest)?),
            1 | 2 => Self::Local(kind == 2, Outcome::of(rest)?),
            3 => Self::Refused(text()),
            4 => Self::Unknown(text()),
            5 => Self::Text(text()),
            _ => return None,
        };
        Some((number, reply))
    }
}

/// Frames out of bytes that come in pieces.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    taken: usize,
}

impl Frames {
    /// Reads once; false at the end.
    ///
    /// # Errors
    /// Those of the read.
    pub fn read(&mut self, mut from: impl Read) -> io::Result<bool> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let mut chunk = [0; 16 << 10];
        let read = from.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read > 0)
    }

    /// The next frame that is whole, without its length.
    ///
    /// # Errors
    /// One that is too long.
    pub fn next_frame(&mut self) -> io::Result<Option<&[u8]>> {
        let mut from = Reader(&self.buffer[self.taken..]);
        let Some(len) = from.u32().and_then(|len| usize::try_from(len).ok()) else { return Ok(None) };
        if len > LONGEST {
            return Err(io::Error::other(format!("a frame of {len} bytes: {LONGEST} is the most")));
        }
        if from.0.len() < len {
            return Ok(None);
        }
        let start = self.taken + 4;
        self.taken = start + len;
        Ok(Some(&self.buffer[start..start + len]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_also_byte_by_byte() {
        let key = || b"key".to_vec();
        let requests = [
            Request::Do(Command::Put(key(), vec![7; 1_000])),
            Request::Local(Command::Get(key())),
            Request::Status,
            Request::Begin,
        ];
        let replies = [
            Reply::Done(Outcome::Done),
            Reply::Local(true, Outcome::Value(None)),
            Reply::Local(false, Outcome::Value(Some(key()))),
            Reply::Refused("no".to_owned()),
            Reply::Unknown("who knows".to_owned()),
            Reply::Text(String::new()),
        ];
        let mut bytes: Vec<u8> = requests.iter().flat_map(|request| request.to_frame(1)).collect();
        bytes.extend(replies.iter().flat_map(|reply| reply.to_frame(2)));
        for piece in [1, 7, usize::MAX] {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for bytes in bytes.chunks(piece.min(bytes.len())) {
                let mut bytes = bytes;
                while !bytes.is_empty() {
                    assert!(frames.read(&mut bytes).unwrap());
                    while let Some(frame) = frames.next_frame().unwrap() {
                        found.push(frame.to_vec());
                    }
                }
            }
            let (asked, told) = found.split_at(requests.len());
            assert!(
                asked
                    .iter()
                    .zip(&requests)
                    .all(|(frame, request)| Request::of(frame) == Some((1, request.clone())))
            );
            assert!(
                told.iter().zip(&replies).all(|(frame, reply)| Reply::of(frame) == Some((2, reply.clone())))
            );
            assert_eq!(told.len(), replies.len());
        }
        assert!(Frames { buffer: vec![255; 8], taken: 0 }.next_frame().is_err());
    }
}
