//! Long messages that come with a part missing: [`Known::Damaged`].

use std::ops::RangeInclusive;

use crate::History;
use crate::messages::LONG;
use crate::record::Member;
use crate::report::{Known, Property, Report};
use crate::rings::Rings;
use crate::scan::Scan;
use crate::stretch::{End, Stretch};

/// Bytes that were delivered, and are not a message of a client.
#[derive(Debug)]
pub(crate) struct Damaged {
    pub(crate) process: usize,
    /// The place in the records of the process.
    pub(crate) at: u64,
    pub(crate) sender: Member,
    pub(crate) len: u32,
    pub(crate) excusable: bool,
}

/// The bytes that a sealed packet has beside its message: the header, two seals, and the length of the message in 1 to 5 bytes.
const AROUND: RangeInclusive<u32> = 23..=27;

/// Decides about the bytes that are not a message.
pub(crate) fn check(history: &History, scan: &Scan, report: &mut Report) {
    let rings = Rings::new(&history.rings, &scan.stretches);
    for damaged in &scan.damaged {
        let name = &history.processes[damaged.process].name;
        let (sender, len) = (damaged.sender, damaged.len);
        if is_known(scan, &rings, damaged) {
            report.known(Known::Damaged, || format!("{name}: {len} bytes of {sender:?}"));
        } else {
            report.violation(Property::Delivery, || {
                format!("{name}: {len} bytes of {sender:?} were delivered that are not a message of a client")
            });
        }
    }
}

/// Returns true if the crate could not have known better, the sender has sent a long message of this length, and its node came to
/// the ring by another way.
fn is_known(scan: &Scan, rings: &Rings<'_>, damaged: &Damaged) -> bool {
    let mut senders = scan.processes.iter().filter(|process| process.members.contains(&damaged.sender));
    let was_sent = senders.any(|process| {
        let sent = scan.messages.of(process.client, process.launch);
        let around = |sent: u32| damaged.len.checked_sub(sent);
        sent.iter().any(|sent| {
            sent.known && around(sent.len).is_some_and(|around| around == 0 || AROUND.contains(&around))
        })
    });
    let before = scan
        .stretches
        .iter()
        .rfind(|stretch| stretch.process == damaged.process && stretch.until <= damaged.at);
    damaged.excusable
        && damaged.len >= LONG
        && was_sent
        && before.is_some_and(|stretch| is_parted(rings, stretch, damaged.sender.node))
}

/// Returns true if a node went from the ring of a stretch to the next ring by another way than the client's node.
fn is_parted(rings: &Rings<'_>, stretch: &Stretch, node: u32) -> bool {
    let (Some(ring), End::Ring(next)) = (stretch.ring, stretch.end) else { return false };
    let way = |node| rings.path(node, ring, Some(next));
    way(node).zip(way(stretch.me.node)).is_some_and(|(one, other)| one != other)
}
