//! The plan: what breaks, and when. It is a function of the seed, the numbers of nodes and clients, and the length of
//! the run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::random::Random;

/// A fault: something that is done to the cluster or to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The network is parted into these groups of nodes.
    Partition(Vec<Vec<u32>>),
    /// The network is whole again.
    Heal,
    /// SIGKILL to a daemon.
    Kill(u32),
    /// A daemon is started, again if it runs.
    Restart(u32),
    /// SIGKILL to a daemon that has just been started.
    KillYoung(u32),
    /// SIGSTOP to a daemon, and the SIGCONT after it.
    Pause(u32),
    /// The end of a pause.
    Resume(u32),
    /// The `/dev/shm` of a node is filled.
    FillShm(u32),
    /// The `/dev/shm` of the node has room again.
    FreeShm(u32),
    /// SIGKILL to a client.
    KillClient(usize),
    /// The client is started again.
    StartClient(usize),
    /// SIGSTOP to a client, and later SIGCONT.
    StopClient(usize),
    /// The SIGCONT after it.
    ContinueClient(usize),
    /// A client does not dispatch for this number of milliseconds.
    StallClient(usize, u64),
    /// A client forks between dispatches.
    ForkClient(usize),
    /// A client forks in a handler.
    ForkInHandler(usize),
    /// A number of signals to a client.
    SignalClient(usize, u32),
}

/// The target of a fault. The report counts faults by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breaks {
    /// Daemons and network.
    Cluster,
    /// A client.
    Client,
    /// The fault should break nothing.
    Nothing,
}

impl Breaks {
    /// Returns the words under which these faults are listed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cluster => "faults of daemons and network",
            Self::Client => "faults of clients",
            Self::Nothing => "forks and signals",
        }
    }
}

impl Fault {
    /// Returns the part that the fault should break.
    pub fn breaks(&self) -> Breaks {
        match self {
            Self::Partition(_)
            | Self::Heal
            | Self::Kill(_)
            | Self::Restart(_)
            | Self::KillYoung(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::FillShm(_)
            | Self::FreeShm(_) => Breaks::Cluster,
            Self::KillClient(_)
            | Self::StartClient(_)
            | Self::StopClient(_)
            | Self::ContinueClient(_)
            | Self::StallClient(..) => Breaks::Client,
            Self::ForkClient(_) | Self::ForkInHandler(_) | Self::SignalClient(..) => Breaks::Nothing,
        }
    }

    /// Returns the kind in one or two words. The report counts faults by it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Partition(_) => "partition",
            Self::Heal => "heal",
            Self::Kill(_) => "kill",
            Self::Restart(_) => "restart",
            Self::KillYoung(_) => "kill at start",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::KillClient(_) => "kill client",
            Self::StartClient(_) => "start client",
            Self::StopClient(_) => "stop client",
            Self::ContinueClient(_) => "continue client",
            Self::StallClient(..) => "stall client",
            Self::FillShm(_) => "fill /dev/shm",
            Self::FreeShm(_) => "free /dev/shm",
            Self::ForkClient(_) => "fork",
            Self::ForkInHandler(_) => "fork in a handler",
            Self::SignalClient(..) => "signals",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(groups) => {
                write!(f, "partition")?;
                groups.iter().try_for_each(|group| write!(f, " {group:?}"))
            }
            Self::Heal => write!(f, "heal"),
            Self::Kill(node)
            | Self::Restart(node)
            | Self::KillYoung(node)
            | Self::Pause(node)
            | Self::Resume(node)
            | Self::FillShm(node)
            | Self::FreeShm(node) => write!(f, "{}, node {node}", self.name()),
            Self::ForkClient(client) | Self::ForkInHandler(client) => {
                write!(f, "{}, client {client}", self.name())
            }
            Self::SignalClient(client, count) => write!(f, "{count} signals to client {client}"),
            Self::KillClient(client)
            | Self::StartClient(client)
            | Self::StopClient(client)
            | Self::ContinueClient(client) => write!(f, "{} {client}", self.name()),
            Self::StallClient(client, millis) => write!(f, "stall client {client} for {millis} ms"),
        }
    }
}

/// A fault and the time from the start of the run at which it happens.
pub type Step = (Duration, Fault);

/// The longest time for which a node serves no client. A send without a deadline waits for the daemon as long as it is away, and must
/// not be taken for a hang, which is a silence of a minute.
const LONGEST: Duration = Duration::from_secs(12);

/// The time in which clients come back to a node that is whole. Until then it counts as away, and nothing more happens to it if it has
/// been away for long.
const BACK: Duration = Duration::from_secs(3);

/// The times of a node that is away, or was not long ago.
#[derive(Clone, Copy)]
struct Away {
    since: Duration,
    /// None while something of the node is broken.
    whole_since: Option<Duration>,
}

/// The things that are broken at a point of the plan.
#[derive(Default)]
struct Broken {
    away: BTreeMap<u32, Away>,
    parted: bool,
    dead: BTreeSet<u32>,
    paused: BTreeSet<u32>,
    killed: BTreeSet<usize>,
    stopped: BTreeSet<usize>,
    full: BTreeSet<u32>,
}

impl Broken {
    /// True if nothing of the node is broken.
    fn is_whole(&self, node: u32) -> bool {
        !self.dead.contains(&node) && !self.paused.contains(&node) && !self.full.contains(&node)
    }

    /// True if the node is to be left alone, since its clients come back.
    fn is_spared(&self, node: u32) -> bool {
        self.away
            .get(&node)
            .is_some_and(|away| away.whole_since.is_some_and(|whole| whole >= away.since + LONGEST))
    }

    /// Notes which nodes are away at this time.
    fn note(&mut self, now: Duration, nodes: u32) {
        for node in 1..=nodes {
            let whole = self.is_whole(node);
            match self.away.get_mut(&node) {
                None if whole => {}
                None => drop(self.away.insert(node, Away { since: now, whole_since: None })),
                Some(away) if !whole => away.whole_since = None,
                Some(away) => {
                    let whole_since = *away.whole_since.get_or_insert(now);
                    if now >= whole_since + BACK {
                        self.away.remove(&node);
                    }
                }
            }
        }
    }

    /// Mends something of a node that has been away for too long.
    fn mend_overdue(&mut self, now: Duration) -> Option<Fault> {
        let overdue = |(&node, away): (&u32, &Away)| {
            (now >= away.since + LONGEST && !self.is_whole(node)).then_some(node)
        };
        let node = self.away.iter().find_map(overdue)?;
        if self.full.remove(&node) {
            Some(Fault::FreeShm(node))
        } else if self.paused.remove(&node) {
            Some(Fault::Resume(node))
        } else {
            self.dead.remove(&node);
            Some(Fault::Restart(node))
        }
    }
}

/// Makes the plan. At its end, things may still be broken.
pub fn make(seed: u64, nodes: u32, clients: usize, length: Duration) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut broken = Broken::default();
    let mut steps = Vec::new();
    let mut time = Duration::from_secs(1);
    while time < length {
        broken.note(time, nodes);
        if let Some(fault) = broken.mend_overdue(time) {
            steps.push((time, fault));
            continue;
        }
        let fault = next(&mut random, &mut broken, nodes, clients);
        let started = match fault {
            Fault::Restart(node) => Some(node),
            _ => None,
        };
        steps.push((time, fault));
        // While the daemon connects, joins the ring, or agrees with the others.
        if let Some(node) = started.filter(|&node| random.one_in(3) && !broken.is_spared(node)) {
            if broken.dead.len() + broken.paused.len() + 1 < nodes as usize {
                time += Duration::from_millis(random.range(0, 600));
                broken.dead.insert(node);
                steps.push((time, Fault::KillYoung(node)));
            }
        }
        // Sometimes a fault comes while the cluster still reacts to the fault before.
        let gap = if random.one_in(3) { random.range(10, 300) } else { random.range(300, 2500) };
        time += Duration::from_millis(gap);
    }
    steps
}

fn next(random: &mut Random, broken: &mut Broken, nodes: u32, clients: usize) -> Fault {
    let client_count = clients as u64;
    loop {
        let node = u32::try_from(random.range(1, u64::from(nodes) + 1)).unwrap_or(1);
        let client = usize::try_from(random.range(0, client_count)).unwrap_or(0);
        let spared = broken.is_spared(node);
        let whole = !spared && !broken.dead.contains(&node) && !broken.paused.contains(&node);
        match random.range(0, 28) {
            0..=2 => {
                let groups = parts(random, nodes);
                if groups.len() > 1 {
                    broken.parted = true;
                    return Fault::Partition(groups);
                }
            }
            3..=5 if broken.parted => {
                broken.parted = false;
                return Fault::Heal;
            }
            6 | 7 if whole && broken.dead.len() + broken.paused.len() + 1 < nodes as usize => {
                broken.dead.insert(node);
                return Fault::Kill(node);
            }
            8..=10 => {
                if let Some(node) = broken.dead.pop_first() {
                    return Fault::Restart(node);
                }
            }
            11 if whole && broken.dead.len() + broken.paused.len() + 1 < nodes as usize => {
                broken.paused.insert(node);
                return Fault::Pause(node);
            }
            12 | 13 => {
                if let Some(node) = broken.paused.pop_first() {
                    return Fault::Resume(node);
                }
            }
            // This restarts a daemon that runs.
            14 if whole => return Fault::Restart(node),
            15 if !broken.killed.contains(&client) && !broken.stopped.contains(&client) => {
                broken.killed.insert(client);
                return Fault::KillClient(client);
            }
            16 => {
                if let Some(client) = broken.killed.pop_first() {
                    return Fault::StartClient(client);
                }
            }
            17 if !broken.killed.contains(&client) && broken.stopped.insert(client) => {
                return Fault::StopClient(client);
            }
            18 => {
                if let Some(client) = broken.stopped.pop_first() {
                    return Fault::ContinueClient(client);
                }
            }
            19 if !broken.killed.contains(&client) && !broken.stopped.contains(&client) => {
                return Fault::StallClient(client, random.range(50, 3000));
            }
            20 | 21 if !broken.killed.contains(&client) => return Fault::ForkClient(client),
            22 | 23 if !broken.killed.contains(&client) => return Fault::ForkInHandler(client),
            24 | 25 if !broken.killed.contains(&client) => {
                return Fault::SignalClient(client, u32::try_from(random.range(1, 50)).unwrap_or(1));
            }
            26 if !spared && broken.full.insert(node) => return Fault::FillShm(node),
            27 => {
                if let Some(node) = broken.full.pop_first() {
                    return Fault::FreeShm(node);
                }
            }
            _ => {}
        }
    }
}

/// Divides the nodes into groups at random.
fn parts(random: &mut Random, nodes: u32) -> Vec<Vec<u32>> {
    let count = if nodes > 3 && random.one_in(3) { 3 } else { 2 };
    let mut groups = vec![Vec::new(); count];
    for node in 1..=nodes {
        let index = usize::try_from(random.range(0, count as u64)).unwrap_or(0);
        groups[index].push(node);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_function_of_its_seed() {
        let plan = |seed| make(seed, 5, 25, Duration::from_secs(600));
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    /// Restarts of running daemons and kills right after a start, which take less, are left out.
    #[test]
    fn no_node_is_away_for_long() {
        for (seed, nodes) in [(2026, 3), (4, 3), (5, 5), (6, 4)] {
            let mut broken = BTreeMap::<(u32, &str), Duration>::new();
            let mut away = BTreeMap::<u32, Duration>::new();
            for (time, fault) in make(seed, nodes, 30, Duration::from_secs(3600)) {
                let (node, kind, breaks) = match fault {
                    Fault::Kill(node) | Fault::KillYoung(node) => (node, "dead", true),
                    Fault::Restart(node) => (node, "dead", false),
                    Fault::Pause(node) => (node, "paused", true),
                    Fault::Resume(node) => (node, "paused", false),
                    Fault::FillShm(node) => (node, "full", true),
                    Fault::FreeShm(node) => (node, "full", false),
                    _ => continue,
                };
                if breaks {
                    broken.entry((node, kind)).or_insert(time);
                    away.entry(node).or_insert(time);
                } else {
                    broken.remove(&(node, kind));
                }
                if !broken.keys().any(|&(broken, _)| broken == node) {
                    if let Some(since) = away.remove(&node) {
                        let late = since + LONGEST + 2 * BACK;
                        assert!(time < late, "seed {seed}: node {node} from {since:?} to {time:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_plan_has_every_kind_of_fault() {
        let names: BTreeSet<_> =
            make(3, 3, 15, Duration::from_secs(600)).iter().map(|(_, fault)| fault.name()).collect();
        assert_eq!(names.len(), 17, "{names:?}");
    }
}
