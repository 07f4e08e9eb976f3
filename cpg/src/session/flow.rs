//! The limits of what a session has under way.

use crate::packet::format::{HEADER_LEN, MAX_PREFIX};

/// The sizes of a session's sending queue, and the choice of packets for its messages.
///
/// Part of [`SessionOptions`](crate::SessionOptions). All sizes are in bytes.
///
/// # The queue
///
/// A [`Session`](crate::Session) sends through a queue. What has been sent and not yet come back is *in
/// flight*: a message goes out at once while that is less than the [window](Self::window_size), and waits else. As own deliveries
/// are dispatched it is filled again; with packets when half of it is free, so that these are full. Own deliveries say when the
/// cluster has room, so nothing is tried in vain, and nothing waits by the clock.
///
/// # Packets
///
/// In a [coalesced](Self::coalesced) session messages that wait together travel together, in [packets](crate::packet). All
/// members of the group must be able to read these.
///
/// # How the defaults were found
///
/// `ci/bench --tune` sends messages of 64 bytes, 8 KiB and 1 MB through windows from 64 KiB to 8 MiB, with packets from 16 to
/// 512 KiB, on one node and on three; here on a machine of 2 cores with corosync's default transport. The daemon's own queue
/// holds 4 MiB.
///
/// With packets a window of a quarter of that, and packets of a quarter of the window, was among the fastest on one node
/// (15 million messages of 64 bytes a second) and the fastest on three (1.4 million); smaller packets cost more calls, larger
/// windows gained nothing and made latency worse.
///
/// Without packets messages need many in flight to keep the daemons at work. Beside the loop in C that tries until the daemon
/// refuses and dispatches after each message, with one thread that dispatches when the queue is full, 1.1 to 2.6 times as many
/// messages of 64 bytes came through on one node (0.8 once), 0.8 to 1.7 times as many of 8 KiB and of 100 kB, from run to run:
/// the daemon's one thread sets the pace there. On three nodes it was 1.0 at 64 bytes, growing with the size to 1.7 at 1 MB. With
/// windows of 512 KiB and 1 MiB messages of 8 KiB were slower by a quarter, 4 MiB gained nothing. A queue of 4 MiB was slower
/// than one of 512 KiB, by a tenth: what has waited for long has left the processor's cache when its turn comes.
///
/// # An example
///
/// ```no_run
/// use cpg::{Flow, Session};
///
/// // Less under way, so that a new message is not behind many old ones.
/// let flow = Flow::coalesced().window_size(256 << 10).packet_size(64 << 10).queue_size(1 << 20);
/// let session = Session::options().flow(flow).join("ledger")?;
/// session.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it has no effect before it is given to SessionOptions::flow"]
pub struct Flow {
    pub(crate) coalesce: bool,
    pub(crate) window: usize,
    pub(crate) packet: usize,
    pub(crate) queue: usize,
}

/// The bytes that a message in flight counts for at least, so that small ones have a limit too.
pub(crate) const LEAST: usize = 128;

impl Flow {
    /// One message, one delivery, as C programs send them.
    pub fn new() -> Self {
        Self { coalesce: false, window: 3 << 20, packet: 256 << 10, queue: 512 << 10 }
    }

    /// Messages that wait together travel in one [packet](crate::packet).
    pub fn coalesced() -> Self {
        Self { coalesce: true, window: 1 << 20, queue: 4 << 20, ..Self::new() }
    }

    /// The bytes that may be in flight: 3 MiB if this is not called, in a coalesced session 1 MiB.
    ///
    /// A message may be sent while less than that is. A packet counts as one of full size, other messages as 128 bytes at least,
    /// so that the defaults come to 24576 small messages or 4 packets.
    pub fn window_size(self, bytes: usize) -> Self {
        Self { window: bytes, ..self }
    }

    /// The size up to which a packet grows: 256 KiB if this is not called. A message that is larger travels alone.
    pub fn packet_size(self, bytes: usize) -> Self {
        Self { packet: bytes, ..self }
    }

    /// The bytes that may wait to be sent: 512 KiB if this is not called, in a coalesced session 4 MiB. One message may always
    /// wait, however large.
    pub fn queue_size(self, bytes: usize) -> Self {
        Self { queue: bytes, ..self }
    }

    /// The bytes that go with a message that travels alone, at most.
    pub(crate) fn overhead(self) -> usize {
        if self.coalesce { HEADER_LEN + MAX_PREFIX } else { 0 }
    }

    /// The bytes that a message, or a packet, of this length counts for in flight.
    pub(crate) fn cost(self, len: usize) -> usize {
        len.max(if self.coalesce { self.packet } else { LEAST })
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self::new()
    }
}
