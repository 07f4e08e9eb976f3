//! How much a group has under way.

use crate::packet;

/// How the sending queue of a group works, and whether its messages travel in packets.
///
/// Part of [`Connect`](crate::Connect), since it is chosen when joining. All sizes are in bytes.
///
/// # The queue
///
/// A group that is [split](crate::Group::split) sends through a queue. What has been sent and not yet come back is *in
/// flight*: the queue sends while that is less than the [window](Self::window), and each own delivery that is dispatched lets
/// the next message out. Own deliveries say when the cluster has room, so nothing is tried in vain, and nothing waits by the
/// clock. When nothing is in flight a message goes out at once.
///
/// # Packets
///
/// In a [coalesced](Self::coalesced) group messages that wait together travel together, in [packets](crate::packet). All
/// members of the group must be able to read these.
///
/// # How the defaults were found
///
/// `ci/bench --tune` sends 64-byte and 1 MB messages through windows from 64 KiB to 8 MiB on one node and on three, on a
/// machine of 2 cores. The daemon's own queue holds 4 MiB; a window of a quarter of it keeps the ring busy on three nodes and
/// the daemon free of flow control, and more than that gains nothing. Packets from 64 to 256 KiB are the fastest on one node
/// and on three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it has no effect before it is given to Connect::flow"]
pub struct Flow {
    pub(crate) coalesce: bool,
    pub(crate) window: usize,
    pub(crate) packet: usize,
    pub(crate) queue: usize,
}

/// What a message in flight counts for at least: the socket to the daemon has room for some 280 notes of messages (B16).
const LEAST: usize = 4096;

impl Flow {
    /// One message, one delivery, as C programs send them.
    pub fn new() -> Self {
        Self { coalesce: false, window: 1 << 20, packet: 256 << 10, queue: 4 << 20 }
    }

    /// Messages that wait together travel in one [packet](crate::packet).
    pub fn coalesced() -> Self {
        Self { coalesce: true, ..Self::new() }
    }

    /// What may be in flight: a mebibyte if this is not called.
    ///
    /// A message may be sent while less than that is. A packet counts as one of full size, other messages as 4 KiB at least,
    /// so that the defaults come to 4 packets or 256 small messages.
    pub fn window(self, bytes: usize) -> Self {
        Self { window: bytes, ..self }
    }

    /// The size up to which a packet grows: 256 KiB if this is not called. A message that is larger travels alone.
    pub fn packet_size(self, bytes: usize) -> Self {
        Self { packet: bytes, ..self }
    }

    /// What may wait to be sent: 4 MiB if this is not called. One message may always wait, however large.
    pub fn queue(self, bytes: usize) -> Self {
        Self { queue: bytes, ..self }
    }

    /// What goes with a message that travels alone, at most.
    pub(crate) fn overhead(self) -> usize {
        if self.coalesce { packet::HEADER_LEN + packet::MAX_PREFIX } else { 0 }
    }

    /// What a message, or a packet, of this length counts for in flight.
    pub(crate) fn cost(self, len: usize) -> usize {
        len.max(if self.coalesce { self.packet } else { LEAST })
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self::new()
    }
}
