//! The sizes of a session's sending queue, its window and its packets.

use crate::packet::format::{HEADER_LEN, MAX_MESSAGE, MAX_PREFIX, SEAL_LEN};
use crate::packet::write;

/// The sizes of a session's sending queue, and the choice to send messages in packets.
///
/// A part of [`SessionOptions`](crate::SessionOptions). All sizes are in bytes. A size that is not set has a default, which is
/// different with packets and without.
///
/// ```no_run
/// use cpg::{Flow, Session};
///
/// // A small window, so that a new message does not wait behind many old ones.
/// let flow = Flow::new().window_size(256 << 10).packet_size(64 << 10).queue_size(1 << 20);
/// let session = Session::options().coalesce().flow(flow).join("ledger")?;
/// session.leave()?;
/// // Packets can be chosen here too.
/// assert_ne!(Flow::new(), Flow::coalesced());
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// # The queue
///
/// A [`Session`](crate::Session) sends through a queue. Messages that have been sent and have not come back are *in flight*.
/// While fewer bytes are in flight than the [window](Self::window_size) allows, a message goes out at once. Otherwise the message
/// waits in the queue. Each self-delivery that is dispatched makes room in the window, and the queue sends as much as fits. With
/// packets the queue waits until half of the window is free, so that packets are full. Self-deliveries show when the cluster has
/// room. So a message is seldom refused. (The daemon's queue is shared with other programs.) A refused message is tried again
/// at the next self-delivery, or with growing pauses if nothing is in flight.
///
/// # Packets
///
/// In a session that [coalesces](crate::SessionOptions::coalesce), messages that wait at the same time share
/// [packets](crate::packet). All members of the group must be able to read packets.
///
/// # How the defaults were found
///
/// `ci/bench --tune` sends messages of 64 bytes, 8 KiB and 1 MB. It tries windows from 64 KiB to 8 MiB and packets from 16 to 512
/// KiB, on one node and on three. The numbers below are from a machine of 2 cores with corosync's default transport. The daemon's
/// own queue holds 4 MiB.
///
/// **With packets**, a window of a quarter of the daemon's queue and packets of a quarter of the window were the fastest on three
/// nodes and among the fastest on one. Smaller packets cost more calls. Larger windows gained nothing and made latency worse.
///
/// | nodes | messages of 64 bytes per second |
/// |---|---|
/// | 1 | 15 million |
/// | 3 | 1.4 million |
///
/// **Without packets**, many messages must be in flight to keep the daemons busy. In this measurement one thread sent, and
/// dispatched whenever the queue was full. The C program beside it sent until the daemon refused, and dispatched after each
/// message. The results differ from run to run, because the daemon's one thread sets the pace on one node.
///
/// | nodes | size of the messages | messages per second, compared with the C program |
/// |---|---|---|
/// | 1 | 64 bytes | 1.1 to 2.6 times as many (0.8 once) |
/// | 1 | 8 KiB, 100 kB | 0.8 to 1.7 times as many |
/// | 3 | 64 bytes | 1.0 times as many |
/// | 3 | from 64 bytes to 1 MB | rising from 1.0 to 1.7 times as many |
///
/// Windows of 512 KiB and 1 MiB made messages of 8 KiB slower by a quarter. A window of 4 MiB gained nothing. A queue of 4 MiB
/// was slower by a tenth than a queue of 512 KiB: a message that has waited for long is no longer in the processor's cache when
/// its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[must_use = "it has no effect before it is given to SessionOptions::flow"]
pub struct Flow {
    pub(super) coalesce: bool,
    window: Option<usize>,
    packet: Option<usize>,
    queue: Option<usize>,
}

/// The sizes of a session: those that were set, and the defaults with packets or without for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) coalesce: bool,
    pub(crate) window: usize,
    pub(crate) packet: usize,
    pub(crate) queue: usize,
    /// The size of the longest message of libcpg that goes out in one piece. It is that of the session's first daemon; all
    /// releases of corosync have the same.
    atomic: usize,
}

/// What is put around a message that travels alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrap {
    Plain,
    Packet,
    /// A packet that travels in parts, one of which can be missing at its delivery ([B31](crate::facts#b31)).
    Sealed,
}

/// The lowest number of bytes that a message in flight counts for. It limits the number of small messages.
pub(crate) const LEAST: usize = 128;

impl Flow {
    /// Makes the default sizes. Each message is sent by itself, as C programs do, unless the session
    /// [coalesces](crate::SessionOptions::coalesce).
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the default sizes of a session that [coalesces](crate::SessionOptions::coalesce), whose messages travel in
    /// [packets](crate::packet).
    pub fn coalesced() -> Self {
        Self { coalesce: true, ..Self::new() }
    }

    /// Sets the size of the window: the bytes that may be in flight. The default is 3 MiB, with packets 1 MiB.
    ///
    /// A message may be sent while fewer bytes than this are in flight. A packet counts with the full packet size, and a
    /// message that travels outside of packets with at least 128 bytes. So the default windows hold 24576 small messages, or 4
    /// packets.
    pub fn window_size(self, bytes: usize) -> Self {
        Self { window: Some(bytes), ..self }
    }

    /// Sets the size up to which a packet grows. The default is 256 KiB. A message that is larger travels alone.
    pub fn packet_size(self, bytes: usize) -> Self {
        Self { packet: Some(bytes), ..self }
    }

    /// Sets the bytes that may wait in the queue. The default is 512 KiB, with packets 4 MiB.
    ///
    /// The queue accepts a message of any size while fewer bytes than this wait. So one message can exceed the limit; until that
    /// message has been sent, the queue accepts no other.
    pub fn queue_size(self, bytes: usize) -> Self {
        Self { queue: Some(bytes), ..self }
    }

    /// Turns packets on.
    pub(super) fn with_packets(self) -> Self {
        Self { coalesce: true, ..self }
    }

    /// Takes the sizes of `later`, and keeps packets if either has them, so that the order of the options does not matter.
    pub(super) fn replaced_by(self, later: Self) -> Self {
        Self { coalesce: self.coalesce || later.coalesce, ..later }
    }

    /// Returns all sizes, with the defaults where none was set. `atomic` is the size of the longest message of libcpg that goes out
    /// in one piece, and no packet of several messages grows beyond it.
    pub(crate) fn sizes(self, atomic: usize) -> Sizes {
        let Self { coalesce, window, packet, queue } = self;
        let (default_window, default_queue) =
            if coalesce { (1 << 20, 4 << 20) } else { (3 << 20, 512 << 10) };
        Sizes {
            coalesce,
            window: window.unwrap_or(default_window),
            packet: packet.unwrap_or(256 << 10).min(atomic),
            queue: queue.unwrap_or(default_queue),
            atomic,
        }
    }
}

impl Sizes {
    /// Returns what is put around a message of this length that travels alone.
    #[inline]
    pub(crate) fn wrap(self, len: usize) -> Wrap {
        match self.coalesce {
            false => Wrap::Plain,
            true if HEADER_LEN + write::frame_len(len) <= self.atomic => Wrap::Packet,
            true => Wrap::Sealed,
        }
    }

    /// Returns the length of the longest message that goes out in one piece, whatever is put around it.
    #[inline]
    pub(crate) fn most_in_one_piece(self) -> usize {
        self.atomic.saturating_sub(self.overhead())
    }

    /// Returns the length of the longest message.
    #[inline]
    pub(crate) fn most(self) -> usize {
        MAX_MESSAGE - self.overhead() - if self.coalesce { 2 * SEAL_LEN } else { 0 }
    }

    /// Returns the largest number of bytes that are added to a message that goes out in one piece.
    fn overhead(self) -> usize {
        if self.coalesce { HEADER_LEN + MAX_PREFIX } else { 0 }
    }

    /// Returns the bytes that a message or packet of this length counts for while it is in flight.
    pub(crate) fn cost(self, len: usize) -> usize {
        len.max(if self.coalesce { self.packet } else { LEAST })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_are_not_set_have_the_defaults_with_packets_or_without() {
        let sizes = |flow: Flow| {
            let Sizes { coalesce, window, packet, queue, .. } = flow.sizes(1 << 20);
            (coalesce, window >> 10, packet >> 10, queue >> 10)
        };
        assert_eq!(sizes(Flow::new()), (false, 3072, 256, 512));
        assert_eq!(sizes(Flow::coalesced()), (true, 1024, 256, 4096));
        assert_eq!(sizes(Flow::new().window_size(8 << 10).with_packets()), (true, 8, 256, 4096));
        assert_eq!(sizes(Flow::coalesced().queue_size(8 << 10)), (true, 1024, 256, 8));
    }

    #[test]
    fn what_goes_out_in_parts_is_sealed_and_shares_no_packet() {
        let sizes = Flow::coalesced().packet_size(5000).sizes(1000);
        assert_eq!((sizes.packet, sizes.most_in_one_piece()), (1000, 989));
        // A length in two bytes, after a header of six.
        assert_eq!([0, 989, 992, 993].map(|len| sizes.wrap(len) == Wrap::Packet), [true, true, true, false]);
        assert_eq!(sizes.wrap(993), Wrap::Sealed);
        let plain = Flow::new().sizes(1000);
        assert_eq!([1000, 1001].map(|len| plain.wrap(len)), [Wrap::Plain; 2]);
        assert_eq!((plain.most_in_one_piece(), plain.most()), (1000, MAX_MESSAGE));
        // The longest message, with all that is around it, is one that libcpg takes.
        assert_eq!(write::sealed_len(sizes.most()), MAX_MESSAGE);
    }
}
