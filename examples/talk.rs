//! The work that each example of an event loop does in its loop: it sends the lines of standard input, and prints what
//! the group delivers.

use std::io::{self, BufRead as _, Write as _};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use cpg::{Event, Link};

use crate::joined::show;
use crate::program::End;

/// The pause before a line that flow control refused is sent again: nothing tells when flow control ends.
const RETRY: Duration = Duration::from_millis(2);

/// The most messages of this member that may be in flight. More would wait in the daemon's memory.
const WINDOW: usize = 256;

/// The lines to send and the events to print.
pub struct Talk {
    lines: Receiver<io::Result<Vec<u8>>>,
    /// The line that flow control refused. It is the next to be sent.
    refused: Option<Vec<u8>>,
    ended: bool,
    /// The number of messages of this member that have not been delivered.
    in_flight: usize,
    output: Vec<u8>,
}

impl Talk {
    /// Starts a thread that reads lines. The thread calls `wake` when there is a line to [`say`](Self::say), and at the
    /// end of the input.
    ///
    /// Standard input is not in the event loop, because epoll refuses a file, and because reading can block.
    pub fn start(wake: impl Fn() + Send + 'static) -> Self {
        let (sender, lines) = sync_channel(WINDOW);
        std::thread::spawn(move || {
            read(&sender, &wake);
            // In this order, so that the loop sees the end when it wakes.
            drop(sender);
            wake();
        });
        Self { lines, refused: None, ended: false, in_flight: 0, output: Vec::new() }
    }

    /// Takes an event: to be called by the handler of a dispatch.
    pub fn hear(&mut self, link: &Link, event: &Event<'_>) {
        if let Event::Deliver(message) = event {
            self.in_flight -= usize::from(message.sender() == link.me());
        }
        show(&mut self.output, event).expect("a Vec takes everything");
    }

    /// Prints what has been delivered and sends the lines that the daemon takes, without waiting.
    ///
    /// `Continue` tells the loop to wait until there are events or `wake` is called, and no longer than the time in it.
    /// `Break` says that all is done.
    pub fn say(&mut self, to: &Link) -> Result<ControlFlow<(), Option<Duration>>, End> {
        io::stdout().write_all(&self.output)?;
        io::stdout().flush()?;
        self.output.clear();
        while self.in_flight < WINDOW {
            let Some(line) = self.next_line()? else { break };
            match to.send(&line) {
                Ok(()) => self.in_flight += 1,
                Err(error) if error.is_retryable() => {
                    self.refused = Some(line);
                    return Ok(ControlFlow::Continue(Some(RETRY)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let done = self.ended && self.in_flight == 0;
        Ok(if done { ControlFlow::Break(()) } else { ControlFlow::Continue(None) })
    }

    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.refused.is_some() {
            return Ok(self.refused.take());
        }
        let line = self.lines.try_recv();
        self.ended = matches!(line, Err(TryRecvError::Disconnected));
        line.ok().transpose()
    }
}

fn read(lines: &SyncSender<io::Result<Vec<u8>>>, wake: &impl Fn()) {
    for line in io::stdin().lock().split(b'\n') {
        let line = line.map_err(|error| io::Error::other(format!("standard input: {error}")));
        if lines.send(line).is_err() {
            break;
        }
        wake();
    }
}
