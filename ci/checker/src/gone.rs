//! Members that are said to have ended, and whose last messages come then: [`Known::GoneBeforeItsMessages`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::History;
use crate::record::{Member, MessageId, Ring, View};
use crate::report::{Known, Property, Report};
use crate::scan::Scan;
use crate::sight;
use crate::stretch::Stretch;

/// A message that came while its sender was no member, up to the end of its ring.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) process: usize,
    pub(crate) group: u8,
    pub(crate) node: u32,
    pub(crate) ring: Option<Ring>,
    pub(crate) sender: Member,
    pub(crate) id: MessageId,
}

/// Whose end was told while a ring was formed: after the last message of the one before, and before the event about it.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// By group, member and ring; and the nodes where clients were told after that, before the event, that it has come back.
    told: HashMap<(u8, Member), BTreeMap<Ring, BTreeSet<u32>>>,
    pub(crate) late: Vec<Late>,
}

impl Gone {
    /// Somebody on a node was told it.
    pub(crate) fn tell(&mut self, group: u8, node: u32, ring: Ring, member: Member, back: bool) {
        let nodes = self.told.entry((group, member)).or_default().entry(ring).or_default();
        nodes.extend(back.then_some(node));
    }

    /// The nodes to which a member came back, if it was said to have ended.
    fn back(&self, group: u8, ring: Option<Ring>, member: Member) -> Option<&BTreeSet<u32>> {
        let (ring, told) = (ring?, self.told.get(&(group, member))?);
        // Those to whom it came back are told once more, when the next ring is formed. Its own daemon knows that it has ended.
        let again = told.range(..ring).any(|(_, nodes)| !nodes.is_empty());
        told.get(&ring).filter(|nodes| !again && !nodes.contains(&member.node))
    }

    /// Whether two views differ in one member alone, who is gone to its own node and has come back to the others.
    pub(crate) fn explains(
        &self,
        (one, view): (&Stretch, &View),
        (other, others): (&Stretch, &View),
    ) -> bool {
        let Some(differ) = sight::astray(view, others) else { return false };
        let (Some(&member), 1) = (differ.first(), differ.len()) else { return false };
        let (lacks, has) = if view.members.contains(&member) { (other, one) } else { (one, other) };
        lacks.me.node == member.node
            && has.me.node != member.node
            && self.back(has.group, has.ring, member).is_some_and(|nodes| !nodes.is_empty())
    }
}

/// Decides over the messages of those who were no members.
pub(crate) fn check(history: &History, scan: &Scan, report: &mut Report) {
    for late in &scan.gone.late {
        let name = &history.processes[late.process].name;
        let (id, sender) = (late.id, late.sender);
        if is_known(history, scan, late) {
            report.known(Known::GoneBeforeItsMessages, || {
                format!(
                    "{name}: {id:?} of {sender:?}, who was said to have ended before ring {:?}",
                    late.ring
                )
            });
        } else {
            report.violation(Property::Delivery, || {
                format!("{name}: {id:?} was delivered while {sender:?} was no member")
            });
        }
    }
}

fn is_known(history: &History, scan: &Scan, late: &Late) -> bool {
    // Those on other nodes have it back, unless nobody has.
    let gone = scan
        .gone
        .back(late.group, late.ring, late.sender)
        .is_some_and(|nodes| nodes.is_empty() || late.node == late.sender.node);
    let there = history.rings.is_empty()
        || history
            .rings
            .get(&late.sender.node)
            .zip(late.ring)
            .is_some_and(|(rings, ring)| rings.contains(&ring));
    gone && there && !lived_on(scan, late.id)
}

/// Whether the sender itself has delivered the message, or a later one of the same membership.
fn lived_on(scan: &Scan, id: MessageId) -> bool {
    let Some(process) = scan.process(id) else { return true };
    let messages = scan.messages.of(id.client, id.launch);
    let next = process.memberships.iter().find(|membership| membership.first_seq > id.seq);
    let end = next.map_or(messages.len(), |next| next.first_seq as usize);
    messages.get(id.seq as usize..end).is_none_or(|rest| rest.iter().any(|sent| sent.own))
}
