//! A benchmark of acknowledged writes: many clients of one member, each of which writes, waits for the answer, and writes again.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::store::Command;
use crate::wire::{Frames, Reply, Request, frame};

/// The number of keys that are written, over and over.
const KEYS: u64 = 10_000;

/// The result of a benchmark.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// The latency of each acknowledged write.
    pub latencies: Vec<Duration>,
    /// The number of writes that were refused, or whose outcome is unknown.
    pub failed: u64,
    /// The time from the first write to the last reply.
    pub time: Duration,
}

impl Measured {
    /// Returns the number of acknowledged writes per second.
    #[allow(clippy::cast_precision_loss, reason = "a number of writes")]
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    /// Returns percentiles of the latency. They are given in thousandths: 500 is the median.
    pub fn percentiles<const N: usize>(&self, thousandths: [usize; N]) -> [Duration; N] {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        thousandths.map(|thousandths| {
            let rank = (sorted.len() * thousandths).div_ceil(1000);
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        })
    }
}

/// Returns the key of the write with this number.
pub fn key(number: u64) -> Vec<u8> {
    format!("bench {:08}", number % KEYS).into_bytes()
}

struct Writer {
    stream: UnixStream,
    frames: Frames,
    began: Instant,
}

/// Makes this number of clients write values of `size` bytes while `goes_on` returns true. Each client has one write under way.
///
/// # Errors
/// No member serves the socket, or the connection ends.
pub fn bench(socket: &Path, clients: usize, size: usize, goes_on: impl Fn() -> bool) -> io::Result<Measured> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let start = Instant::now();
    let (mut writers, mut number) = (HashMap::new(), 0_u64);
    let value = vec![b'x'; size];
    let mut next = |stream: &mut UnixStream| {
        number += 1;
        stream.write_all(&frame(number, &Request::Do(Command::Put(key(number), value.clone()))))
    };
    for client in 0..clients as u64 {
        let mut stream = UnixStream::connect(socket)?;
        epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, client))?;
        next(&mut stream)?;
        writers.insert(client, Writer { stream, frames: Frames::default(), began: Instant::now() });
    }
    let mut measured = Measured::default();
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
                if matches!(reply, Reply::Done(_)) {
                    measured.latencies.push(writer.began.elapsed());
                } else {
                    measured.failed += 1;
                }
                if goes_on() {
                    writer.began = Instant::now();
                    next(&mut writer.stream)?;
                } else {
                    waiting -= 1;
                }
            }
        }
    }
    measured.time = start.elapsed();
    Ok(measured)
}
