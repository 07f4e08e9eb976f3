//! Members whose end is reported before their last messages come: [`Known::GoneBeforeItsMessages`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::History;
use crate::record::{Member, MessageId, Ring, View};
use crate::report::{Known, Property, Report};
use crate::scan::Scan;
use crate::sight;
use crate::stretch::Stretch;

/// A message that came while its sender was no member.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) process: usize,
    pub(crate) group: u8,
    pub(crate) node: u32,
    pub(crate) ring: Option<Ring>,
    pub(crate) sender: Member,
    pub(crate) id: MessageId,
}

/// The members whose end was reported while a ring was formed: after the last message of the ring before, and before
/// the event about the new ring.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// The key is group, member and ring. The value is the nodes whose clients were then told, before the event, that
    /// the member has come back.
    told: HashMap<(u8, Member), BTreeMap<Ring, BTreeSet<u32>>>,
    pub(crate) late: Vec<Late>,
}

impl Gone {
    /// Notes that a client on a node was told of the end.
    pub(crate) fn tell(&mut self, group: u8, node: u32, ring: Ring, member: Member, back: bool) {
        let nodes = self.told.entry((group, member)).or_default().entry(ring).or_default();
        nodes.extend(back.then_some(node));
    }

    /// Returns the nodes to which a member came back, if its end was reported.
    fn back(&self, group: u8, ring: Option<Ring>, member: Member) -> Option<&BTreeSet<u32>> {
        let (ring, told) = (ring?, self.told.get(&(group, member))?);
        // The clients to which the member came back are told of the end again when the next ring is formed. The
        // member's daemon knows of the end already.
        let again = told.range(..ring).any(|(_, nodes)| !nodes.is_empty());
        told.get(&ring).filter(|nodes| !again && !nodes.contains(&member.node))
    }

    /// Returns true if two views differ only in one member, which is gone on its node and has come back on other nodes.
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

/// Decides about the messages whose senders were no members.
pub(crate) fn check(history: &History, scan: &Scan, report: &mut Report) {
    for late in &scan.gone.late {
        let name = &history.processes[late.process].name;
        let (id, sender) = (late.id, late.sender);
        if is_known(history, scan, late) {
            report.known(Known::GoneBeforeItsMessages, || {
                format!(
                    "{name}: {id:?} came after its sender {sender:?} was reported as ended, before ring {:?}",
                    late.ring
                )
            });
        } else {
            report.violation(Property::Delivery, || {
                format!("{name}: {id:?} was delivered while its sender {sender:?} was not a member")
            });
        }
    }
}

fn is_known(history: &History, scan: &Scan, late: &Late) -> bool {
    // On other nodes the member has come back, unless it came back nowhere.
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

/// Returns true if the message, or a later one of the same membership, was delivered to its sender.
fn lived_on(scan: &Scan, id: MessageId) -> bool {
    let Some(process) = scan.process(id) else { return true };
    let messages = scan.messages.of(id.client, id.launch);
    let next = process.memberships.iter().find(|membership| membership.first_seq > id.seq);
    let end = next.map_or(messages.len(), |next| next.first_seq as usize);
    messages.get(id.seq as usize..end).is_none_or(|rest| rest.iter().any(|sent| sent.own))
}
