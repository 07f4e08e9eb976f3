//! How fast acknowledged writes are: many clients of one member, each of which writes, waits, and writes again.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::store::Command;
use crate::wire::{Frames, Reply, Request, frame};

/// The keys that are written, over and over.
const KEYS: u64 = 10_000;

/// What has come of a run.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Writes that were acknowledged, and those that were not.
    pub done: u64,
    /// Refused or unknown.
    pub failed: u64,
    /// From the first write to the last reply.
    pub time: Duration,
    latencies: Vec<Duration>,
}

impl Measured {
    /// What so many thousandths of the writes did not exceed.
    pub fn latency(&self, thousandths: usize) -> Duration {
        let rank = (self.latencies.len() * thousandths).div_ceil(1000);
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

struct Writer {
    stream: UnixStream,
    frames: Frames,
    began: Instant,
}

/// Has so many clients write values of this size for so long.
///
/// # Errors
/// Nobody is there, or it goes.
pub fn bench(socket: &Path, clients: usize, size: usize, time: Duration) -> io::Result<Measured> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let start = Instant::now();
    let (mut writers, mut number) = (HashMap::new(), 0_u64);
    let value = vec![b'x'; size];
    let mut next = |stream: &mut UnixStream| {
        number += 1;
        let key = format!("bench {:08}", number % KEYS).into_bytes();
        stream.write_all(&frame(number, &Request::Do(Command::Put(key, value.clone()))))
    };
    for client in 0..clients as u64 {
        let mut stream = UnixStream::connect(socket)?;
        epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, client))?;
        next(&mut stream)?;
        writers.insert(client, Writer { stream, frames: Frames::default(), began: Instant::now() });
    }
    let mut measured = Measured { done: 0, failed: 0, time: Duration::ZERO, latencies: Vec::new() };
    let mut events = vec![EpollEvent::empty(); 256];
    let mut waiting = clients;
    while waiting > 0 {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => 0,
            count => count?,
        };
        for event in &events[..count] {
            let Some(writer) = writers.get_mut(&event.data()) else { continue };
            if !writer.frames.read(&writer.stream)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            while let Some((_, reply)) = writer.frames.next_frame()? {
                let now = Instant::now();
                if matches!(reply, Reply::Done(_)) {
                    measured.done += 1;
                    measured.latencies.push(now - writer.began);
                } else {
                    measured.failed += 1;
                }
                if now - start < time {
                    writer.began = now;
                    next(&mut writer.stream)?;
                } else {
                    waiting -= 1;
                }
            }
        }
    }
    measured.time = start.elapsed();
    measured.latencies.sort_unstable();
    Ok(measured)
}
