//! Property 2: clients that go from one ring to the next together have seen the same on the way.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use crate::History;
use crate::astray::Astray;
use crate::compare::Compare;
use crate::record::Ring;
use crate::report::{Known, Report};
use crate::rings::Rings;
use crate::scan::Scan;
use crate::sight::Seen;
use crate::stretch::{End, Start, Stretch};

/// The key of a stretch: the group, the ring, and its end.
type Key = (u8, Ring, Option<Ring>);

/// Compares the stretches.
pub(crate) fn check(history: &History, scan: &Scan, report: &mut Report) -> io::Result<()> {
    let rings = Rings::new(&history.rings, &scan.stretches);
    let stretches = completed(&scan.stretches, &rings);
    let mut together: BTreeMap<Key, Vec<&Stretch>> = BTreeMap::new();
    let mut cut = Vec::new();
    for stretch in &stretches {
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
        if let Some(ring) = stretch.ring {
            together.entry((stretch.group, ring, next)).or_default().push(stretch);
        }
    }
    let mut mates: HashMap<(u32, u8, Ring), Vec<&Stretch>> = HashMap::new();
    for stretch in &stretches {
        if let Some(ring) = stretch.ring {
            mates.entry((stretch.me.node, stretch.group, ring)).or_default().push(stretch);
        }
    }
    let compare = Compare {
        history,
        scan,
        rings: &rings,
        mates: &mates,
        missed: RefCell::default(),
        astray: Astray::default(),
    };
    for (key, stretches) in &together {
        compare.together(*key, stretches, report)?;
    }
    // By node and group, to find the stretches of the same daemon.
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

/// Returns the stretches. Facts that the client could not see (the ring, and the nodes that came with it) are added
/// from other clients on its node or from the log.
fn completed(stretches: &[Stretch], rings: &Rings<'_>) -> Vec<Stretch> {
    let before = rings_before(stretches);
    let mut met: HashMap<(u32, Option<Ring>), BTreeSet<u32>> = HashMap::new();
    for stretch in stretches {
        met.entry((stretch.me.node, stretch.ring)).or_default().extend(&stretch.met_nodes);
    }
    let complete = |stretch: &Stretch| {
        let mut stretch = stretch.clone();
        let next = match stretch.end {
            End::Ring(ring) => Some(Some(ring)),
            End::Settled => Some(None),
            End::Cut { .. } => None,
        };
        if let (Start::Join, Some(next)) = (stretch.start, next) {
            stretch.ring = before.get(&(stretch.me.node, next)).copied().or(stretch.ring);
        }
        if let Some(nodes) = met.get(&(stretch.me.node, stretch.ring)) {
            stretch.met_nodes.extend(nodes);
        }
        if let Some(ring) = stretch.ring {
            stretch.met_nodes.append(&mut rings.met(stretch.me.node, ring));
        }
        stretch
    };
    stretches.iter().map(complete).collect()
}

/// Returns the ring from which a node came to another one, according to the clients that saw both.
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

impl Compare<'_> {
    /// Compares the stretches that lead from one ring to the same next ring.
    fn together(&self, (_, ring, next): Key, stretches: &[&Stretch], report: &mut Report) -> io::Result<()> {
        // Groups of stretches that went the same way. Without a log, this is known only of stretches on the same node.
        let mut ways: Vec<(Option<&[Ring]>, Vec<&Stretch>)> = Vec::new();
        for &stretch in stretches {
            let path = self.rings.path(stretch.me.node, ring, next);
            let fits = |(other, way): &&mut (Option<&[Ring]>, Vec<&Stretch>)| match (path, *other) {
                (Some(path), Some(other)) => path == other,
                _ => way.iter().all(|other| {
                    other.me.node == stretch.me.node
                        || (self.rings.is_empty()
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
            // First the clients that have seen the ring begin: they show the events that daemons have missed.
            let mut others: Vec<&Stretch> =
                way.iter().copied().filter(|other| !std::ptr::eq(*other, *leader)).collect();
            others.sort_by_key(|other| other.start == Start::Join);
            for other in others {
                let sight = self.load(other)?;
                report.counts.compared += 1;
                report.counts.compared_events += sight.count as u64;
                self.pair((leader, &seen), (other, &sight), way, report)?;
            }
            leaders.push((*leader, seen));
        }
        for (index, (a, seen)) in leaders.iter().enumerate() {
            for (b, other) in &leaders[index + 1..] {
                let told = a.lost_nodes.contains(&b.me.node) || b.lost_nodes.contains(&a.me.node);
                if !told && a.start == Start::Ring && b.start == Start::Ring && seen.whole() != other.whole()
                {
                    report.known(Known::PartedUnseen, || {
                        format!(
                            "{} and {} went from ring {ring:?} to {next:?} on different ways",
                            self.name(a),
                            self.name(b)
                        )
                    });
                }
            }
        }
        Ok(())
    }

    /// Checks that a stretch that ends in the middle is a part of a complete one of the same daemon.
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
                    self.difference_of_part((stretch, seen.whole()), (mate, place), &mut tolerated)?
                else {
                    report.counts.compared += 1;
                    report.counts.compared_events += seen.count as u64;
                    return Ok(());
                };
                // A client that joined later may know only of a later join.
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
}
