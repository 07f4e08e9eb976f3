//! The protocol between a client and its server on a socket: frames, each preceded by its length and a number that the client chooses.

use std::io::{self, Read};

use crate::replica::format::Format;
use crate::store::{Command, Outcome};

/// The maximum length of a frame, in bytes.
pub const LONGEST: usize = 4 << 20;

/// A request of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A command to do at its place in the order.
    Do(Command),
    /// A command to read from this member's own state, however old the state is.
    Local(Command),
    /// A request for the status of the member.
    Status,
    /// A statement of an operator that no member with more state comes back, so that the state can begin.
    Begin,
}

/// A reply to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The outcome of a command that was done and survives.
    Done(Outcome),
    /// The outcome of a local read; true if the member is in the primary component and has its state.
    Local(bool, Outcome),
    /// The request was not done and will not be; the text says why.
    Refused(String),
    /// The command may have been done, or may be done later; the text says why.
    Unknown(String),
    /// A text for the user.
    Text(String),
}

/// Returns the frame of a value: its length, the client's number, and the value.
pub fn frame<'a>(number: u64, value: &impl Format<'a>) -> Vec<u8> {
    let mut frame = vec![0; 4];
    number.write(&mut frame);
    value.write(&mut frame);
    let len = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&len.to_le_bytes());
    frame
}

impl Format<'_> for Request {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Do(command) => {
                0_u8.write(to);
                command.write(to);
            }
            Self::Local(command) => {
                1_u8.write(to);
                command.write(to);
            }
            Self::Status => 2_u8.write(to),
            Self::Begin => 3_u8.write(to),
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        match u8::read(from)? {
            0 => Format::read(from).map(Self::Do),
            1 => Format::read(from).map(Self::Local),
            2 => Some(Self::Status),
            3 => Some(Self::Begin),
            _ => None,
        }
    }
}

impl Format<'_> for Reply {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Done(outcome) => {
                0_u8.write(to);
                outcome.write(to);
            }
            Self::Local(is_in_step, outcome) => {
                (1_u8, *is_in_step).write(to);
                outcome.write(to);
            }
            Self::Refused(text) => (2_u8, text.as_bytes()).write(to),
            Self::Unknown(text) => (3_u8, text.as_bytes()).write(to),
            Self::Text(text) => (4_u8, text.as_bytes()).write(to),
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let text = |from: &mut &[u8]| String::from_utf8(Format::read(from)?).ok();
        match u8::read(from)? {
            0 => Format::read(from).map(Self::Done),
            1 => Format::read(from).map(|(is_in_step, outcome)| Self::Local(is_in_step, outcome)),
            2 => text(from).map(Self::Refused),
            3 => text(from).map(Self::Unknown),
            4 => text(from).map(Self::Text),
            _ => None,
        }
    }
}

/// A decoder of frames from bytes that come in pieces.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    taken: usize,
}

impl Frames {
    /// Reads once. Returns false at the end of the stream.
    ///
    /// # Errors
    /// The errors of the read.
    pub fn read(&mut self, mut from: impl Read) -> io::Result<bool> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let mut chunk = [0; 16 << 10];
        let read = from.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read > 0)
    }

    /// Returns the number and the value of the next whole frame; `None` if more bytes are needed.
    ///
    /// # Errors
    /// The frame is too long, or its bytes are no value of this type.
    pub fn next_frame<'a, T: Format<'a>>(&'a mut self) -> io::Result<Option<(u64, T)>> {
        let mut rest = &self.buffer[self.taken..];
        let Some(len) = u32::read(&mut rest).and_then(|len| usize::try_from(len).ok()) else {
            return Ok(None);
        };
        if len > LONGEST {
            return Err(io::Error::other(format!("a frame of {len} bytes: {LONGEST} is the most")));
        }
        let Some(frame) = rest.get(..len) else { return Ok(None) };
        self.taken += 4 + len;
        Format::of(frame).map(Some).ok_or_else(|| {
            io::Error::other("the other side sent bytes that are no message: is it of another version?")
        })
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
        let mut bytes: Vec<u8> = requests.iter().flat_map(|request| frame(1, request)).collect();
        let asked = bytes.len();
        bytes.extend(replies.iter().flat_map(|reply| frame(2, reply)));
        for piece in [1, 7, usize::MAX] {
            let (mut frames, mut found, mut told) = (Frames::default(), Vec::new(), Vec::new());
            for mut bytes in bytes[..asked].chunks(piece.min(asked)) {
                frames.read(&mut bytes).unwrap();
                while let Some((1, request)) = frames.next_frame::<Request>().unwrap() {
                    found.push(request);
                }
            }
            for mut bytes in bytes[asked..].chunks(piece.min(asked)) {
                frames.read(&mut bytes).unwrap();
                while let Some((2, reply)) = frames.next_frame::<Reply>().unwrap() {
                    told.push(reply);
                }
            }
            assert_eq!((&found[..], &told[..]), (&requests[..], &replies[..]));
        }
        assert!(Frames { buffer: vec![255; 8], taken: 0 }.next_frame::<Reply>().is_err());
        assert!(Frames { buffer: frame(1, &Request::Begin), taken: 0 }.next_frame::<Reply>().is_err());
    }
}
