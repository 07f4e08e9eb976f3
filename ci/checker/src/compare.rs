//! The comparison of the histories of two clients.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;

use crate::History;
use crate::astray::Astray;
use crate::messages::LONG;
use crate::record::{Fate, MessageId, Record, Ring};
use crate::report::{Known, Property, Report};
use crate::rings::Rings;
use crate::scan::{Process, Scan};
use crate::sight::{Seen, Sight};
use crate::stretch::{Start, Stretch};

/// The part of the history that one side of a comparison has passed.
pub(crate) struct Had {
    /// The senders of messages above the atomic size that it got.
    long: BTreeSet<(u16, u16)>,
    /// The nodes from which it got messages.
    nodes: BTreeSet<u32>,
    /// All messages that its daemon has delivered on this ring, to this client or to another one.
    pub(crate) daemon: HashSet<MessageId>,
}

/// A process, its membership, and a sender.
type Whose = (usize, usize, (u16, u16));

pub(crate) struct Compare<'a> {
    pub(crate) history: &'a History,
    pub(crate) scan: &'a Scan,
    pub(crate) rings: &'a Rings<'a>,
    /// The stretches of the clients of one daemon, by its node, the group and the ring.
    pub(crate) mates: &'a HashMap<(u32, u8, Ring), Vec<&'a Stretch>>,
    /// The number of long messages that each membership of a process has missed, by sender.
    pub(crate) missed: RefCell<HashMap<Whose, BTreeSet<u32>>>,
    pub(crate) astray: Astray,
}

impl Compare<'_> {
    pub(crate) fn name(&self, stretch: &Stretch) -> &str {
        &self.history.processes[stretch.process].name
    }

    pub(crate) fn load(&self, stretch: &Stretch) -> io::Result<Sight> {
        let mut reader = self.history.processes[stretch.process].source.open_at(stretch.from)?;
        let (mut all, mut count) = (Vec::new(), 0);
        while reader.offset() < stretch.until {
            let before = reader.offset();
            match reader.read()? {
                Some(Record::Deliver { id, .. }) => all.push(Seen::Message(id)),
                Some(Record::View(view)) => all.push(Seen::View(Box::new(view))),
                Some(_) => {}
                None => break,
            }
            if before < stretch.to {
                count = all.len();
            }
        }
        Ok(Sight { all, count })
    }

    pub(crate) fn pair(
        &self,
        (one, ones): (&Stretch, &Sight),
        (other, others): (&Stretch, &Sight),
        way: &[&Stretch],
        report: &mut Report,
    ) -> io::Result<()> {
        let (left, right) = match (one.start, other.start) {
            (Start::Ring, Start::Ring) => (ones.whole(), others.whole()),
            _ => match (ones.after_join(other.me).last(), others.after_join(one.me).last()) {
                (Some(rest), _) if other.start == Start::Join => (rest, others.whole()),
                (_, Some(rest)) if one.start == Start::Join => (ones.whole(), rest),
                _ if self.joined_again((one, ones), (other, others), report) => return Ok(()),
                _ => {
                    report.violation(Property::Views, || {
                        format!(
                            "{} and {} were together on {:?}, until {:?} and {:?}, but did not see each other join",
                            self.name(one),
                            self.name(other),
                            one.ring,
                            one.end,
                            other.end
                        )
                    });
                    return Ok(());
                }
            },
        };
        if left == right {
            return Ok(());
        }
        // The part that one client saw before the other joined.
        let mut had = [self.had(one)?, self.had(other)?];
        for (whole, rest, side) in [(ones.whole(), left, 0), (others.whole(), right, 1)] {
            for item in &whole[..whole.len().saturating_sub(rest.len())] {
                self.note(item, &mut had[side]);
                self.overhear(item, &mut had[1 - side]);
            }
        }
        let difference = self.difference((one, left), (other, right), &mut had, false, report);
        if let Some((i, j)) = difference {
            self.complain((one, &left[i..]), (other, &right[j..]), way, report);
        }
        Ok(())
    }

    /// Returns the place where a history differs from another one of the same daemon. Both begin at the same place, and
    /// the other may be longer.
    pub(crate) fn difference_of_part(
        &self,
        (one, ones): (&Stretch, &[Seen]),
        (other, others): (&Stretch, &[Seen]),
        report: &mut Report,
    ) -> io::Result<Option<(usize, usize)>> {
        if others.starts_with(ones) {
            return Ok(None);
        }
        let mut had = [self.had(one)?, self.had(other)?];
        Ok(self.difference((one, ones), (other, others), &mut had, true, report))
    }

    /// Returns the place where two histories that begin at the same place differ. With `part`, the first may end
    /// earlier.
    fn difference(
        &self,
        (one, ones): (&Stretch, &[Seen]),
        (other, others): (&Stretch, &[Seen]),
        had: &mut [Had; 2],
        part: bool,
        report: &mut Report,
    ) -> Option<(usize, usize)> {
        let (mut i, mut j) = (0, 0);
        loop {
            match (ones.get(i), others.get(j)) {
                (None, None) => return None,
                (None, Some(_)) if part => return None,
                (Some(left), Some(right)) if left == right => {
                    for had in had.iter_mut() {
                        self.note(left, had);
                    }
                    (i, j) = (i + 1, j + 1);
                }
                (Some(Seen::View(left)), Some(Seen::View(right)))
                    if self.scan.gone.explains((one, left), (other, right)) =>
                {
                    report.known(Known::GoneBeforeItsMessages, || {
                        format!("{} has {left:?}, and {} has {right:?}", self.name(one), self.name(other))
                    });
                    (i, j) = (i + 1, j + 1);
                }
                (Some(Seen::View(left)), Some(Seen::View(right)))
                    if self.astray.explains((one, left), (other, right)) =>
                {
                    (i, j) = (i + 1, j + 1);
                }
                // Messages first: each is there once, so one that does not follow was missed. A view can come again.
                (Some(left), _) if self.may_miss(other, left, &had[1]) && !others[j..].contains(left) => {
                    self.note(left, &mut had[0]);
                    self.miss(other, left, part);
                    report.known(Known::UnderWay, || format!("{} did not get {left:?}", self.name(other)));
                    i += 1;
                }
                (_, Some(right)) if self.may_miss(one, right, &had[0]) && !ones[i..].contains(right) => {
                    self.note(right, &mut had[1]);
                    self.miss(one, right, part);
                    report.known(Known::UnderWay, || format!("{} did not get {right:?}", self.name(one)));
                    j += 1;
                }
                (Some(left), _) if self.is_released(other, left, &others[j..], &had[1]) => {
                    report.known(Known::Released, || format!("{} did not get {left:?}", self.name(other)));
                    i += 1;
                }
                (_, Some(right)) if self.is_released(one, right, &ones[i..], &had[0]) => {
                    report.known(Known::Released, || format!("{} did not get {right:?}", self.name(one)));
                    j += 1;
                }
                (Some(left), _) if self.misses_change(other, left, &had[1]) => {
                    report.known(Known::UnderWay, || format!("{} did not get {left:?}", self.name(other)));
                    i += 1;
                }
                (_, Some(right)) if self.misses_change(one, right, &had[0]) => {
                    report.known(Known::UnderWay, || format!("{} did not get {right:?}", self.name(one)));
                    j += 1;
                }
                _ => return Some((i, j)),
            }
        }
    }

    fn sender(&self, id: MessageId) -> Option<&Process> {
        self.scan.process(id)
    }

    fn had(&self, stretch: &Stretch) -> io::Result<Had> {
        let mut daemon = HashSet::new();
        let key = stretch.ring.map(|ring| (stretch.me.node, stretch.group, ring));
        for mate in key.and_then(|key| self.mates.get(&key)).into_iter().flatten() {
            daemon.extend(self.load(mate)?.whole().iter().filter_map(Seen::message));
        }
        Ok(Had { long: BTreeSet::new(), nodes: BTreeSet::new(), daemon })
    }

    /// Notes a message that came before a client joined, and may have come to its daemon.
    fn overhear(&self, seen: &Seen, had: &mut Had) {
        if let Some(id) = seen.message().filter(|id| had.daemon.contains(id)) {
            had.nodes.extend(self.nodes(id));
        }
    }

    /// Returns the nodes of the sender.
    pub(crate) fn nodes(&self, id: MessageId) -> impl Iterator<Item = u32> {
        self.sender(id).into_iter().flat_map(|process| process.members.iter().map(|member| member.node))
    }

    /// Notes a message that has come.
    fn note(&self, seen: &Seen, had: &mut Had) {
        if let Seen::Message(id) = seen {
            if self.scan.messages.get(*id).len >= LONG {
                had.long.insert((id.client, id.launch));
            }
            had.nodes.extend(self.nodes(*id));
        }
    }

    /// Notes a message that did not come, if it may be missed.
    fn miss(&self, stretch: &Stretch, seen: &Seen, part: bool) {
        if let (Seen::Message(id), false) = (seen, part) {
            if self.scan.messages.get(*id).len >= LONG {
                let key = (stretch.process, stretch.membership, (id.client, id.launch));
                self.missed.borrow_mut().entry(key).or_default().insert(id.seq);
            }
        }
    }

    /// Returns true if parts of a message may have been sent before this client and the sender met.
    fn may_miss(&self, stretch: &Stretch, seen: &Seen, had: &Had) -> bool {
        let Seen::Message(id) = seen else { return false };
        let of = (id.client, id.launch);
        let nodes = || self.nodes(*id);
        let met = nodes().any(|node| stretch.met_nodes.contains(&node));
        let len = self.scan.messages.get(*id).len;
        if len >= LONG {
            // One message for each time that they met, and one for the client's join. Several rings may come and go
            // before the end of a message.
            let meetings =
                nodes().map(|node| stretch.meetings.get(&node).copied().unwrap_or(0)).max().unwrap_or(0);
            let key = (stretch.process, stretch.membership, of);
            let missed = self.missed.borrow();
            let again = missed.get(&key).is_some_and(|missed| missed.contains(&id.seq));
            let fewer = missed.get(&key).map_or(0, BTreeSet::len) <= meetings as usize;
            return again || (fewer && !had.long.contains(&of));
        }
        met && !had.daemon.contains(id) && !nodes().any(|node| had.nodes.contains(&node))
    }

    /// Returns true if the client's daemon misses the join or the leave of a process: because it had not met the node
    /// of the process before, or because it has missed an earlier leave of the process. Then this is noted.
    fn misses_change(&self, stretch: &Stretch, seen: &Seen, had: &Had) -> bool {
        let Some(single) = seen.single() else { return false };
        let node = single.member.node;
        let under_way = stretch.met_nodes.contains(&node) && !had.nodes.contains(&node);
        if under_way {
            self.astray.miss(stretch, single.member);
        }
        under_way || self.astray.knows_already(stretch, single)
    }

    pub(crate) fn complain(
        &self,
        (one, ones): (&Stretch, &[Seen]),
        (other, others): (&Stretch, &[Seen]),
        way: &[&Stretch],
        report: &mut Report,
    ) {
        report.violation(Property::Views, || {
            format!(
                "{} and {} were together on {:?}, until {:?} and {:?}, but saw different events: the first {}, the second {}",
                self.name(one),
                self.name(other),
                one.ring,
                one.end,
                other.end,
                glance(ones),
                glance(others)
            )
        });
        for (has, lacks, stretch) in [(ones, others, other), (others, ones, one)] {
            let Some(Seen::Message(id)) = has.first() else { continue };
            let stayed = way.iter().any(|stretch| {
                let process = &self.scan.processes[stretch.process];
                (process.client, process.launch) == (id.client, id.launch)
            });
            if stayed && !lacks.contains(&has[0]) && self.scan.messages.get(*id).has(Fate::Resolved) {
                report.violation(Property::Fate, || {
                    format!(
                        "the ticket of {id:?} says delivered, but {}, which stayed with the sender, did not get the message",
                        self.name(stretch)
                    )
                });
            }
        }
    }
}

fn glance(seen: &[Seen]) -> String {
    match seen {
        [] => "nothing more".to_owned(),
        all => format!("{:?}", &all[..all.len().min(3)]),
    }
}
