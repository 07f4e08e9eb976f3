//! A client of a store: one connection to the member on this node.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::wire::{Frames, Reply, Request, frame};

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    frames: Frames,
    next: u64,
}

impl Client {
    /// Connects to the member that has this socket.
    ///
    /// # Errors
    /// Nobody is there.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        Ok(Self { stream, frames: Frames::default(), next: 0 })
    }

    /// Has [`ask`](Self::ask) give up after that time.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn give_up_after(&self, time: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(time))
    }

    /// Asks, and waits for the reply.
    ///
    /// # Errors
    /// The connection has ended, or the time has passed: what was asked may have been done or not. Ask on another connection then.
    pub fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        let number = self.next;
        self.next += 1;
        self.stream.write_all(&frame(number, request))?;
        loop {
            while let Some((of, reply)) = self.frames.next_frame()? {
                if of == number {
                    return Ok(reply);
                }
            }
            if !self.frames.read(&self.stream)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
