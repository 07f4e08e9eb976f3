//! A benchmark of acknowledged writes: many clients of one member, each of which writes, waits for the answer, and
//! writes again.

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

/// Clients that share a connection.
struct Connection {
    stream: UnixStream,
    frames: Frames,
    /// The time at which each client began its write. A client's requests have its place in this list as their number.
    began: Vec<Instant>,
    requests: Vec<u8>,
}

/// Makes this number of clients write values of `size` bytes while `goes_on` returns true. Each client has one write under way, and
/// `sharing` clients share a connection, as the threads of one program do.
///
/// # Errors
/// No member serves the socket, or a connection ends.
pub fn bench(
    socket: &Path,
    clients: usize,
    sharing: usize,
    size: usize,
    goes_on: impl Fn() -> bool,
) -> io::Result<Measured> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let start = Instant::now();
    let (mut connections, mut number) = (Vec::new(), 0_u64);
    let value = vec![b'x'; size];
    let mut next = |requests: &mut Vec<u8>, client: u64| {
        number += 1;
        requests.extend(frame(client, &Request::Do(Command::Put(key(number), value.clone()))));
    };
    for first in (0..clients).step_by(sharing) {
        let stream = UnixStream::connect(socket)?;
        epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, connections.len() as u64))?;
        let began = vec![Instant::now(); sharing.min(clients - first)];
        let mut requests = Vec::new();
        (0..began.len() as u64).for_each(|client| next(&mut requests, client));
        let mut connection = Connection { stream, frames: Frames::default(), began, requests };
        connection.send()?;
        connections.push(connection);
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
            let connection = usize::try_from(event.data()).ok().and_then(|index| connections.get_mut(index));
            let Some(connection) = connection else { continue };
            if !connection.frames.read(&connection.stream)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            while let Some((client, reply)) = connection.frames.next_frame()? {
                let began = usize::try_from(client).ok().and_then(|client| connection.began.get_mut(client));
                let Some(began) = began else { continue };
                if matches!(reply, Reply::Done(_)) {
                    measured.latencies.push(began.elapsed());
                } else {
                    measured.failed += 1;
                }
                if goes_on() {
                    *began = Instant::now();
                    next(&mut connection.requests, client);
                } else {
                    waiting -= 1;
                }
            }
            connection.send()?;
        }
    }
    measured.time = start.elapsed();
    Ok(measured)
}

impl Connection {
    fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.requests)?;
        self.requests.clear();
        Ok(())
    }
}
