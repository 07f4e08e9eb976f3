//! The limits of what a session has under way.

use crate::packet::format::{HEADER_LEN, MAX_PREFIX};

/// The sizes of a session's sending queue, and the choice of packets for its messages.
///
/// Part of [`SessionOptions`](crate::SessionOptions). All sizes are in bytes. A size that is not set has a default, which packets
/// change.
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
/// In a session that [coalesces](crate::SessionOptions::coalesce) messages that wait together travel together, in
/// [packets](crate::packet). All members of the group must be able to read these.
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
/// let flow = Flow::new().window_size(256 << 10).packet_size(64 << 10).queue_size(1 << 20);
/// let session = Session::options().coalesce().flow(flow).join("ledger")?;
/// session.leave()?;
/// // Packets, also where the options are made elsewhere.
/// assert_ne!(Flow::new(), Flow::coalesced());
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[must_use = "it has no effect before it is given to SessionOptions::flow"]
pub struct Flow {
    pub(super) coalesce: bool,
    window: Option<usize>,
    packet: Option<usize>,
    queue: Option<usize>,
}

/// The sizes that hold for a session: those that were set, and the defaults that go with packets or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) coalesce: bool,
    pub(crate) window: usize,
    pub(crate) packet: usize,
    pub(crate) queue: usize,
}

/// The bytes that a message in flight counts for at least, so that small ones have a limit too.
pub(crate) const LEAST: usize = 128;

impl Flow {
    /// Makes the default sizes. One message is one delivery, as C programs send them, unless the session
    /// [coalesces](crate::SessionOptions::coalesce).
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the default sizes for messages that travel in [packets](crate::packet), as those of a session that
    /// [coalesces](crate::SessionOptions::coalesce) do.
    pub fn coalesced() -> Self {
        Self { coalesce: true, ..Self::new() }
    }

    /// Sets the bytes that may be in flight: 3 MiB if this is not called, 1 MiB with packets.
    ///
    /// A message may be sent while less than that is. A packet counts as one of full size, other messages as 128 bytes at least,
    /// so that the defaults come to 24576 small messages or 4 packets.
    pub fn window_size(self, bytes: usize) -> Self {
        Self { window: Some(bytes), ..self }
    }

    /// Sets the bytes up to which a packet grows: 256 KiB if this is not called. A message that is larger travels alone.
    pub fn packet_size(self, bytes: usize) -> Self {
        Self { packet: Some(bytes), ..self }
    }

    /// Sets the bytes that may wait to be sent: 512 KiB if this is not called, 4 MiB with packets.
    ///
    /// A message is accepted while less than that waits, however large it is: one may go past the limit, and none is accepted
    /// then before that has been sent.
    pub fn queue_size(self, bytes: usize) -> Self {
        Self { queue: Some(bytes), ..self }
    }

    /// Adds packets.
    pub(super) fn with_packets(self) -> Self {
        Self { coalesce: true, ..self }
    }

    /// Takes the sizes of `later`, which does not take packets away: the order of the options says nothing.
    pub(super) fn replaced_by(self, later: Self) -> Self {
        Self { coalesce: self.coalesce || later.coalesce, ..later }
    }

    /// Returns the sizes that hold.
    pub(crate) fn sizes(self) -> Sizes {
        let Self { coalesce, window, packet, queue } = self;
        let (default_window, default_queue) =
            if coalesce { (1 << 20, 4 << 20) } else { (3 << 20, 512 << 10) };
        Sizes {
            coalesce,
            window: window.unwrap_or(default_window),
            packet: packet.unwrap_or(256 << 10),
            queue: queue.unwrap_or(default_queue),
        }
    }
}

impl Sizes {
    /// Returns the bytes that go with a message that travels alone, at most.
    pub(crate) fn overhead(self) -> usize {
        if self.coalesce { HEADER_LEN + MAX_PREFIX } else { 0 }
    }

    /// Returns the bytes that a message, or a packet, of this length counts for in flight.
    pub(crate) fn cost(self, len: usize) -> usize {
        len.max(if self.coalesce { self.packet } else { LEAST })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_are_not_set_are_those_that_go_with_packets_or_without() {
        let sizes = |flow: Flow| {
            let Sizes { coalesce, window, packet, queue } = flow.sizes();
            (coalesce, window >> 10, packet >> 10, queue >> 10)
        };
        assert_eq!(sizes(Flow::new()), (false, 3072, 256, 512));
        assert_eq!(sizes(Flow::coalesced()), (true, 1024, 256, 4096));
        assert_eq!(sizes(Flow::new().window_size(8 << 10).with_packets()), (true, 8, 256, 4096));
        assert_eq!(sizes(Flow::coalesced().queue_size(8 << 10)), (true, 1024, 256, 8));
    }
}
