//! Lines of input for a program that waits for input and for its group at the same time.

use std::io::{self, Read};

/// The most bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// The lines of an input. The program reads when `poll` says that the input is ready, so that it never blocks.
///
/// The input is not `std::io::Stdin`: that has a buffer, and `poll` does not know of the lines in the buffer.
#[derive(Debug)]
pub struct Lines<I> {
    pub input: I,
    buffer: Vec<u8>,
    /// The start of the next line in `buffer`.
    start: usize,
    /// The end of what has been searched for a newline.
    searched: usize,
    ended: bool,
}

impl<I: Read> Lines<I> {
    pub fn of(input: I) -> Self {
        Self { input, buffer: Vec::new(), start: 0, searched: 0, ended: false }
    }

    /// Returns the next line without its newline, or `None` if it has not been read yet.
    pub fn line(&mut self) -> Option<&[u8]> {
        let rest = &self.buffer[self.searched..];
        self.searched += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let found = self.searched < self.buffer.len() || (self.ended && self.start < self.searched);
        found.then(|| &self.buffer[self.start..self.searched])
    }

    /// Goes on to the line after the one that [`line`](Self::line) has returned.
    pub fn advance(&mut self) {
        self.searched = self.buffer.len().min(self.searched + 1);
        self.start = self.searched;
    }

    /// Returns true if the input is at its end, so that the lines that have been read are the last.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Reads once. The caller has handled all complete lines by then, so the buffer holds one unfinished line and what
    /// this call reads.
    pub fn read(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        let kept = self.buffer.len();
        self.buffer.resize(kept + CHUNK, 0);
        let read = self.input.read(&mut self.buffer[kept..]);
        self.buffer.truncate(kept + read.as_ref().map_or(0, |&bytes| bytes));
        match read {
            Ok(bytes) => self.ended = bytes == 0,
            Err(error) if is_retryable(&error) => (),
            Err(error) => return Err(io::Error::other(format!("standard input: {error}"))),
        }
        Ok(())
    }
}

/// Returns true for an error of a read or a write that may succeed when the call is repeated. `WouldBlock` is one:
/// another program may have made the terminal non-blocking.
pub fn is_retryable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
