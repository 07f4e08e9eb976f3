//! A client of a store: one connection to the member on this node.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::wire::{Frames, Reply, Request, frame};

/// A connection to a member.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    frames: Frames,
    next: u64,
}

impl Client {
    /// Connects to the member that serves this socket.
    ///
    /// # Errors
    /// No member serves the socket.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        Ok(Self { stream, frames: Frames::default(), next: 0 })
    }

    /// Sets the time that [`ask`](Self::ask) waits for a reply.
    ///
    /// # Errors
    /// The system refuses the time, as it does a time of zero.
    pub fn give_up_after(&self, time: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(time))
    }

    /// Sends a request, and waits for the reply.
    ///
    /// # Errors
    /// The connection has ended, or the time has passed. The request may or may not have been done. Use another connection for the next
    /// request.
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
