//! Property 2: who goes from one ring to the next together has seen the same on the way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use crate::History;
use crate::record::{Fate, Member, MessageId, Record, Ring, View};
use crate::report::{Known, Property, Report};
use crate::scan::{End, LONG, NODE_UP, Process, Scan, Start, Stretch};

/// A thing that all see.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Message(MessageId),
    View(Box<View>),
}

/// What a client saw on a stretch.
struct Sight {
    all: Vec<Seen>,
    /// How much of it, up to the last message. The views after that belong to the next ring, or are as many as the client
    /// saw before it ended.
    count: usize,
}

impl Sight {
    fn whole(&self) -> &[Seen] {
        &self.all[..self.count]
    }

    /// What is seen after each joining of a member.
    fn after_join(&self, who: Member) -> impl Iterator<Item = &[Seen]> {
        self.all.iter().enumerate().filter_map(move |(index, item)| match item {
            Seen::View(view)
                if view.joined.iter().any(|&(member, reason)| member == who && reason != NODE_UP) =>
            {
                Some(self.all.get(index + 1..self.count).unwrap_or_default())
            }
            _ => None,
        })
    }
}

/// What one side of a comparison has had so far.
#[derive(Default)]
struct Had {
    /// Whose messages above the atomic size.
    long: BTreeSet<(u16, u16)>,
    /// From which nodes.
    nodes: BTreeSet<u32>,
    /// Whose message has been missed that was under way.
    missed: Option<(u16, u16)>,
}

impl Had {
    fn miss(&mut self, seen: &Seen) {
        if let Seen::Message(id) = seen {
            self.missed.get_or_insert((id.client, id.launch));
        }
    }
}

/// From here on a message does not go into one frame of the network with what corosync adds.
const FRAME: u32 = 1000;

/// The group in which messages travel in packets, which can be longer than a frame when they are not.
const PACKED: u8 = 1;

/// What a stretch is known by: the group, the ring, and how it ends.
type Key = (u8, Ring, Option<Ring>);

/// Compares the stretches.
pub(crate) fn check(history: &History, scan: &Scan, report: &mut Report) -> io::Result<()> {
    let before = rings_before(&scan.stretches);
    let mut together: BTreeMap<Key, Vec<&Stretch>> = BTreeMap::new();
    let mut cut = Vec::new();
    for stretch in &scan.stretches {
        let next = match stretch.end {
            End::Ring(ring) => Some(ring),
            End::Settled => None,
            End::Cut { daemon } => {
                if daemon {
                    cut.push(stretch);
                }
                continue;
            }
        };
        let ring = match stretch.start {
            Start::Ring => stretch.ring,
            Start::Join => before.get(&(stretch.me.node, next)).copied().or(stretch.ring),
        };
        if let Some(ring) = ring {
            together.entry((stretch.group, ring, next)).or_default().push(stretch);
        }
    }
    let compare = Compare { history, scan };
    for (key, stretches) in &together {
        compare.together(*key, stretches, report)?;
    }
    // By node and group, to find those of the same daemon.
    let mut mates: HashMap<(u32, u8), Vec<(Ring, &Stretch)>> = HashMap::new();
    for ((group, ring, _), stretches) in &together {
        for stretch in stretches {
            mates.entry((stretch.me.node, *group)).or_default().push((*ring, stretch));
        }
    }
    for stretch in cut {
        if let Some(mates) = mates.get(&(stretch.me.node, stretch.group)) {
            compare.cut(stretch, mates, report)?;
        }
    }
    Ok(())
}

/// The ring from which a node came to another one, as those say who saw both.
fn rings_before(stretches: &[Stretch]) -> HashMap<(u32, Option<Ring>), Ring> {
    let mut before = HashMap::new();
    for stretch in stretches {
        let next = match stretch.end {
            End::Ring(ring) => Some(ring),
            End::Settled => None,
            End::Cut { .. } => continue,
        };
        if let (Start::Ring, Some(ring)) = (stretch.start, stretch.ring) {
            before.insert((stretch.me.node, next), ring);
        }
    }
    before
}

struct Compare<'a> {
    history: &'a History,
    scan: &'a Scan,
}

impl Compare<'_> {
    fn name(&self, stretch: &Stretch) -> &str {
        &self.history.processes[stretch.process].name
    }

    fn load(&self, stretch: &Stretch) -> io::Result<Sight> {
        let mut reader = self.history.processes[stretch.process].source.open_at(stretch.from)?;
        let (mut all, mut count) = (Vec::new(), 0);
        while reader.offset() < stretch.until {
            let before = reader.offset();
            match reader.next()? {
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

    /// The rings that a node was on, from one to another, as its daemon's log says.
    fn path(&self, node: u32, from: Ring, to: Option<Ring>) -> Option<&[Ring]> {
        let rings = self.history.rings.get(&node)?;
        let first = rings.iter().position(|&ring| ring == from)?;
        let last = match to {
            Some(to) => first + rings[first..].iter().position(|&ring| ring == to)?,
            None => rings.len() - 1,
        };
        Some(&rings[first..=last])
    }

    /// Those that end on the same ring, from the same ring.
    fn together(&self, (_, ring, next): Key, stretches: &[&Stretch], report: &mut Report) -> io::Result<()> {
        // Parts of them that went the same way. Without a log only a node is known to go with itself.
        let mut ways: Vec<(Option<&[Ring]>, Vec<&Stretch>)> = Vec::new();
        for &stretch in stretches {
            let path = self.path(stretch.me.node, ring, next);
            let fits = |(other, way): &&mut (Option<&[Ring]>, Vec<&Stretch>)| match (path, *other) {
                (Some(path), Some(other)) => path == other,
                _ => way.iter().all(|other| {
                    other.me.node == stretch.me.node
                        || (self.history.rings.is_empty()
                            && !other.lost_nodes.contains(&stretch.me.node)
                            && !stretch.lost_nodes.contains(&other.me.node))
                }),
            };
            match ways.iter_mut().find(fits) {
                Some((_, way)) => way.push(stretch),
                None => ways.push((path, vec![stretch])),
            }
        }
        let mut leaders = Vec::new();
        for (_, way) in &ways {
            let leader =
                way.iter().max_by_key(|stretch| (stretch.start == Start::Ring, stretch.to - stretch.from));
            let Some(leader) = leader else { continue };
            let seen = self.load(leader)?;
            for other in way.iter().filter(|other| !std::ptr::eq(**other, *leader)) {
                let others = self.load(other)?;
                report.counts.compared += 1;
                report.counts.compared_events += others.count as u64;
                self.pair((leader, &seen), (other, &others), way, report);
            }
            leaders.push((*leader, seen));
        }
        for (index, (a, seen)) in leaders.iter().enumerate() {
            for (b, other) in &leaders[index + 1..] {
                let told = a.lost_nodes.contains(&b.me.node) || b.lost_nodes.contains(&a.me.node);
                if !told && a.start == Start::Ring && b.start == Start::Ring && seen.whole() != other.whole()
                {
                    report.known(Known::PartedUnseen, || {
                        format!("{} and {} from ring {ring:?} to {next:?}", self.name(a), self.name(b))
                    });
                }
            }
        }
        Ok(())
    }

    fn pair(
        &self,
        (a, a_seen): (&Stretch, &Sight),
        (b, b_seen): (&Stretch, &Sight),
        way: &[&Stretch],
        report: &mut Report,
    ) {
        let (a_rest, b_rest) = match (a.start, b.start) {
            (Start::Ring, Start::Ring) => (a_seen.whole(), b_seen.whole()),
            _ => match (a_seen.after_join(b.me).last(), b_seen.after_join(a.me).last()) {
                (Some(rest), _) if b.start == Start::Join => (rest, b_seen.whole()),
                (_, Some(rest)) if a.start == Start::Join => (a_seen.whole(), rest),
                _ => {
                    return report.violation(Property::Views, || {
                        format!("{} and {} did not see each other join", self.name(a), self.name(b))
                    });
                }
            },
        };
        let difference = self.difference((a, a_rest), (b, b_rest), false, report);
        if let Some((i, j)) = difference {
            self.complain((a, &a_rest[i..]), (b, &b_rest[j..]), way, report);
        }
    }

    /// A stretch that ends in the middle must be a part of one of the same daemon that does not.
    fn cut(&self, stretch: &Stretch, mates: &[(Ring, &Stretch)], report: &mut Report) -> io::Result<()> {
        let Some(ring) = stretch.ring else { return Ok(()) };
        let seen = self.load(stretch)?;
        let mut complaint = None;
        for &(_, mate) in mates.iter().filter(|(of, _)| *of == ring) {
            let others = self.load(mate)?;
            let places: Vec<&[Seen]> = match (stretch.start, mate.start) {
                (Start::Ring, Start::Ring) => vec![others.whole()],
                (Start::Join, _) => others.after_join(stretch.me).collect(),
                (Start::Ring, Start::Join) => Vec::new(),
            };
            for place in places {
                let mut tolerated = Report::default();
                let Some((i, j)) =
                    self.difference((stretch, seen.whole()), (mate, place), true, &mut tolerated)
                else {
                    report.counts.compared += 1;
                    report.counts.compared_events += seen.count as u64;
                    return Ok(());
                };
                // One that joined later itself may know only of a later joining.
                if mate.start == Start::Join {
                    continue;
                }
                complaint = Some((mate, seen.whole()[i..].to_vec(), place[j..].to_vec()));
            }
        }
        if let Some((mate, rest, others)) = complaint {
            self.complain((stretch, &rest), (mate, &others), &[], report);
        }
        Ok(())
    }

    /// Where two histories that begin at the same place part; `part` when the first may end earlier.
    fn difference(
        &self,
        (a, a_seen): (&Stretch, &[Seen]),
        (b, b_seen): (&Stretch, &[Seen]),
        part: bool,
        report: &mut Report,
    ) -> Option<(usize, usize)> {
        let (mut i, mut j) = (0, 0);
        let mut had: [Had; 2] = Default::default();
        loop {
            match (a_seen.get(i), b_seen.get(j)) {
                (None, None) => return None,
                (None, Some(_)) if part => return None,
                (Some(x), Some(y)) if x == y => {
                    for had in &mut had {
                        self.note(x, had);
                    }
                    (i, j) = (i + 1, j + 1);
                }
                (Some(x), _) if self.may_miss(b, x, &had[1]) => {
                    self.note(x, &mut had[0]);
                    had[1].miss(x);
                    report.known(Known::UnderWay, || format!("{} did not get {x:?}", self.name(b)));
                    i += 1;
                }
                (_, Some(y)) if self.may_miss(a, y, &had[0]) => {
                    self.note(y, &mut had[1]);
                    had[0].miss(y);
                    report.known(Known::UnderWay, || format!("{} did not get {y:?}", self.name(a)));
                    j += 1;
                }
                _ => return Some((i, j)),
            }
        }
    }

    fn sender(&self, id: MessageId) -> Option<&Process> {
        self.scan.processes.iter().find(|process| (process.client, process.launch) == (id.client, id.launch))
    }

    /// A message has come.
    fn note(&self, seen: &Seen, had: &mut Had) {
        if let Seen::Message(id) = seen {
            if self.scan.messages.get(*id).len >= LONG {
                had.long.insert((id.client, id.launch));
            }
            if let Some(process) = self.sender(*id) {
                had.nodes.extend(process.members.iter().map(|member| member.node));
            }
        }
    }

    /// Whether parts of a message may have gone before this client and its sender met.
    fn may_miss(&self, stretch: &Stretch, seen: &Seen, had: &Had) -> bool {
        let Seen::Message(id) = seen else { return false };
        let Some(process) = self.sender(*id) else { return false };
        let of = (id.client, id.launch);
        let nodes = || process.members.iter().map(|member| member.node);
        let met = nodes().any(|node| stretch.met_nodes.contains(&node));
        let len = self.scan.messages.get(*id).len;
        if len >= LONG && (met || stretch.start == Start::Join) && !had.long.contains(&of) {
            return true;
        }
        // The first that came from that node: one message, or what was in one packet with it.
        let first = !nodes().any(|node| had.nodes.contains(&node));
        let alone = had.missed.is_none_or(|missed| missed == of && process.group == PACKED);
        met && first && alone && (len >= FRAME || process.group == PACKED)
    }

    fn complain(
        &self,
        (a, a_rest): (&Stretch, &[Seen]),
        (b, b_rest): (&Stretch, &[Seen]),
        way: &[&Stretch],
        report: &mut Report,
    ) {
        report.violation(Property::Views, || {
            format!(
                "{} and {} were together from {:?} to {:?} and {:?}, and saw different things: one {}, the other {}",
                self.name(a),
                self.name(b),
                a.ring,
                a.end,
                b.end,
                glance(a_rest),
                glance(b_rest)
            )
        });
        for (one, other, stretch) in [(a_rest, b_rest, b), (b_rest, a_rest, a)] {
            let Some(Seen::Message(id)) = one.first() else { continue };
            let stayed = way.iter().any(|stretch| {
                let process = &self.scan.processes[stretch.process];
                (process.client, process.launch) == (id.client, id.launch)
            });
            if stayed && !other.contains(&one[0]) && self.scan.messages.get(*id).has(Fate::Resolved) {
                report.violation(Property::Fate, || {
                    format!(
                        "{id:?} has a ticket that says delivered, and {}, who stayed with its sender, did not deliver it",
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
