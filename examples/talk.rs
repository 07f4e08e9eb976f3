//! What each of the examples of event loops does in its loop: saying lines of standard input, hearing what is said.

use std::io::{self, BufRead as _, Write as _};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use cpg::{Event, Link};

use crate::joined::show;
use crate::program::End;

/// How long to wait before a line that flow control refused is tried again: nothing tells when it will be taken.
const RETRY: Duration = Duration::from_millis(2);

/// So many own messages may be on their way. More would wait in the daemon's memory.
const WINDOW: usize = 256;

/// What is to be said and what has been heard.
pub struct Talk {
    lines: Receiver<io::Result<Vec<u8>>>,
    /// The line that is next: flow control refused it.
    refused: Option<Vec<u8>>,
    ended: bool,
    /// Own messages that have not come back.
    in_flight: usize,
    output: Vec<u8>,
}

impl Talk {
    /// Begins to read lines, and calls `wake` from another thread when there is a line to [`say`](Self::say), or no more.
    ///
    /// A thread, because epoll refuses standard input when that is a file, and reading it can block at any time.
    pub fn start(wake: impl Fn() + Send + 'static) -> Self {
        let (sender, lines) = sync_channel(WINDOW);
        std::thread::spawn(move || {
            read(&sender, &wake);
            // First the end, then the call to come and see it.
            drop(sender);
            wake();
        });
        Self { lines, refused: None, ended: false, in_flight: 0, output: Vec::new() }
    }

    /// For the handler of a dispatch.
    pub fn hear(&mut self, link: &Link, event: &Event<'_>) {
        if let Event::Deliver(message) = event {
            self.in_flight -= usize::from(message.sender() == link.me());
        }
        show(&mut self.output, event).expect("a Vec takes everything");
    }

    /// Prints what has been heard and sends what can be sent, without waiting. After that the loop has to wait for events, for
    /// the call of `wake` and, if one is given, for some time; or all is done.
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
