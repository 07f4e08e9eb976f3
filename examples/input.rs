//! Lines of standard input for a program that waits for its group, too.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};

/// Bytes to read at once.
const CHUNK: usize = 64 << 10;

/// Lines of standard input, which are read when it is ready and never waited for.
#[derive(Debug)]
pub struct Lines {
    // Not `std::io::Stdin`, which has a buffer that poll does not know of.
    input: File,
    buffer: Vec<u8>,
    /// Where the line begins, and how far its end has been looked for.
    start: usize,
    searched: usize,
    ended: bool,
}

impl Lines {
    pub fn new() -> io::Result<Self> {
        let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Self { input, buffer: Vec::new(), start: 0, searched: 0, ended: false })
    }

    /// The line that is to be handled now, without its newline; none until more is read.
    pub fn line(&mut self) -> Option<&[u8]> {
        let rest = &self.buffer[self.searched..];
        self.searched += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let found = self.searched < self.buffer.len() || (self.ended && self.start < self.searched);
        found.then(|| &self.buffer[self.start..self.searched])
    }

    /// That line has been handled.
    pub fn advance(&mut self) {
        self.searched = self.buffer.len().min(self.searched + 1);
        self.start = self.searched;
    }

    /// Whether there will be no more lines after those that have been read.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Reads once. All complete lines have been handled, so that no more is kept than one line and what was read with it.
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
            Err(error) if is_passing(&error) => (),
            Err(error) => return Err(io::Error::other(format!("standard input: {error}"))),
        }
        Ok(())
    }
}

impl AsFd for Lines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }
}

/// Whether a read or a write will do when it is tried again. A terminal that another program made non-blocking stays so.
pub fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
