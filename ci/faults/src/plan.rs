//! What breaks, and when: a function of the seed, the number of nodes and of clients, and the length of the run.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::random::Random;

/// Something that is done to the cluster, or to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Partition(Vec<Vec<u32>>),
    Heal,
    Kill(u32),
    Restart(u32),
    Pause(u32),
    Resume(u32),
    /// SIGKILL to a client.
    KillClient(usize),
    /// The client is started again.
    StartClient(usize),
    /// SIGSTOP to a client, and the SIGCONT after it.
    StopClient(usize),
    ContinueClient(usize),
    /// A client does not dispatch for so many milliseconds.
    StallClient(usize, u64),
}

impl Fault {
    /// One or two words, to count them by.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Partition(_) => "partition",
            Self::Heal => "heal",
            Self::Kill(_) => "kill",
            Self::Restart(_) => "restart",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::KillClient(_) => "kill client",
            Self::StartClient(_) => "start client",
            Self::StopClient(_) => "stop client",
            Self::ContinueClient(_) => "continue client",
            Self::StallClient(..) => "stall client",
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
            Self::Kill(node) | Self::Restart(node) | Self::Pause(node) | Self::Resume(node) => {
                write!(f, "{} node {node}", self.name())
            }
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

/// What is broken at a point of the plan.
#[derive(Default)]
struct Broken {
    parted: bool,
    dead: BTreeSet<u32>,
    paused: BTreeSet<u32>,
    killed: BTreeSet<usize>,
    stopped: BTreeSet<usize>,
}

/// Makes the plan; at its end things are broken as they are.
pub fn make(seed: u64, nodes: u32, clients: usize, length: Duration) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut broken = Broken::default();
    let mut steps = Vec::new();
    let mut time = Duration::from_secs(1);
    while time < length {
        let fault = next(&mut random, &mut broken, nodes, clients);
        steps.push((time, fault));
        // Now and then one comes in the middle of what the one before has begun.
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
        let whole = !broken.dead.contains(&node) && !broken.paused.contains(&node);
        match random.range(0, 20) {
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
            // A restart of a daemon that runs.
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
            _ => {}
        }
    }
}

/// Parts the nodes at random.
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

    #[test]
    fn a_plan_has_everything_in_it() {
        let names: BTreeSet<_> =
            make(3, 3, 15, Duration::from_secs(600)).iter().map(|(_, fault)| fault.name()).collect();
        assert_eq!(names.len(), 11, "{names:?}");
    }
}
