//! The last messages of a node that left, which some of the others did not get: [`Known::Released`].

use crate::compare::{Compare, Had};
use crate::record::MessageId;
use crate::sight::Seen;
use crate::stretch::{End, Stretch};

impl Compare<'_> {
    /// Returns true if a message that this client lacks is among the last of a node that left at the end of the ring: it came to no
    /// client of this daemon, and no later message of its node came to this client. `rest` has the client's later events.
    pub(crate) fn is_released(&self, stretch: &Stretch, seen: &Seen, rest: &[Seen], had: &Had) -> bool {
        let (Seen::Message(id), Some(ring), End::Ring(_)) = (seen, stretch.ring, stretch.end) else {
            return false;
        };
        let is_of = |id: MessageId, node: u32| self.nodes(id).any(|other| other == node);
        !had.daemon.contains(id)
            && self.nodes(*id).any(|node| {
                self.rings.part_after(ring, node, stretch.me.node)
                    && !rest.iter().filter_map(Seen::message).any(|later| is_of(later, node))
            })
    }
}
