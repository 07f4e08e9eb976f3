//! A corosync daemon: its process and its log.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Error, Result};
use crate::tools::Tools;

const POLL: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    pub(crate) paused: bool,
    /// The start of this daemon's part in the log of the node.
    pub(crate) log_start: u64,
}

impl Daemon {
    /// Starts a daemon in the namespaces of the calling thread.
    pub(crate) fn start(tools: &Tools, configuration: &Path, log: &File) -> Result<Self> {
        let failed = || Error::system(tools.corosync.display().to_string());
        let log_start = log.metadata().map_err(failed())?.len();
        let child = Command::new(&tools.setpriv)
            // If the daemon locked its memory, each client would at once use the memory of all its ring buffers.
            .arg("--bounding-set=-ipc_lock,-sys_resource")
            .arg(&tools.corosync)
            .arg("-f")
            .arg("-c")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed())?)
            .stderr(log.try_clone().map_err(failed())?)
            // In a new process group, so that ^C at a terminal ends the tests and not the daemon.
            .process_group(0)
            .spawn()
            .map_err(failed())?;
        Ok(Self { child, paused: false, log_start })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the exit status if the daemon has ended.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Asks the daemon to end, and kills it if it has not ended by the deadline.
    pub(crate) fn stop(&mut self, deadline: Instant) -> io::Result<()> {
        if self.ended()?.is_none() && !self.paused {
            self.signal(Signal::SIGTERM)?;
            while self.ended()?.is_none() && Instant::now() < deadline {
                thread::sleep(POLL);
            }
        }
        self.kill()
    }

    /// Pauses the process, and returns when it no longer runs.
    pub(crate) fn pause(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGSTOP)?;
        self.paused = true;
        while self.ended()?.is_none() && self.process_state()? != 'T' {
            thread::sleep(POLL);
        }
        Ok(())
    }

    pub(crate) fn resume(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGCONT)?;
        self.paused = false;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        // The child has not been waited for, so no other process can have its number.
        let pid = Pid::from_raw(self.pid().try_into().map_err(io::Error::other)?);
        Ok(kill(pid, signal)?)
    }

    fn process_state(&self) -> io::Result<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // The state comes after the name, which is in parentheses and may contain parentheses.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.ok_or_else(|| io::Error::other(format!("not understood: {stat}")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A daemon that has already ended is no error.
        if let Err(error) = self.kill() {
            eprintln!(
                "testcluster: the daemon with process number {} could not be ended: {error}",
                self.pid()
            );
        }
    }
}

/// The membership of a daemon according to its log.
#[derive(Debug)]
pub(crate) struct LogReader {
    offset: u64,
    unfinished: Vec<u8>,
    /// The name of the daemon's ring.
    pub(crate) ring: Option<String>,
    /// True once the services of a ring are synchronized, and until the next ring has formed. A daemon that starts forms one.
    pub(crate) synchronized: bool,
}

impl LogReader {
    pub(crate) fn new(offset: u64) -> Self {
        Self { offset, unfinished: Vec::new(), ring: None, synchronized: false }
    }

    /// Reads the next part of the log. Returns true if there was one.
    pub(crate) fn read(&mut self, log: &File) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let mut any = false;
        loop {
            let length = log.read_at(&mut buffer, self.offset)?;
            if length == 0 {
                return Ok(any);
            }
            any = true;
            self.offset += length as u64;
            self.unfinished.extend_from_slice(&buffer[..length]);
            let Some(end) = self.unfinished.iter().rposition(|&byte| byte == b'\n') else { continue };
            let lines: Vec<u8> = self.unfinished.drain(..=end).collect();
            String::from_utf8_lossy(&lines).lines().for_each(|line| self.line(line));
        }
    }

    fn line(&mut self, line: &str) {
        if let Some((_, rest)) = line.split_once("A new membership (") {
            self.ring = rest.split_once(')').map(|(ring, _)| ring.to_owned());
            self.synchronized = false;
        } else if line.contains("Completed service synchronization") {
            self.synchronized = true;
        }
    }
}
