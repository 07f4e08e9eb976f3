//! The plan of a run: the faults of the torture test, and between them the fault that loses writes without a confirmation.

use std::fmt;
use std::time::Duration;

use cpg_faults::plan::{self, Fault};
use cpg_faults::random::Random;

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A fault of the torture test.
    Fault(Fault),
    /// Everything is mended, and then the node of the sequencer is separated from the others. The node delivers to itself what its clients
    /// write (B28), and the others go on without it.
    Take(How),
    /// The node of the sequencer comes back to the others.
    GiveBack,
}

/// The way in which a node is separated from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The daemon of the node is paused.
    Paused,
    /// The network of the node is cut.
    Cut,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Take(How::Paused) => f.write_str("the sequencer's daemon is paused"),
            Self::Take(How::Cut) => f.write_str("the sequencer is cut off"),
            Self::GiveBack => f.write_str("the sequencer is back"),
        }
    }
}

impl Act {
    /// Returns the kind of the step in a few words. The report counts by kind.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.name(),
            Self::Take(How::Paused) => "sequencer paused",
            Self::Take(How::Cut) => "sequencer cut off",
            Self::GiveBack => "sequencer back",
        }
    }
}

/// The time from the return of a sequencer to the next separation, in milliseconds.
const BETWEEN: (u64, u64) = (5_000, 9_000);

/// The time for which a sequencer is away, in milliseconds. Mostly this is longer than the others need to go on, which is a token's timeout
/// and as long again to agree.
const AWAY: (u64, u64) = (800, 2_500);

/// Makes the plan. It is a function of the seed, the number of nodes, and the length.
pub fn make(seed: u64, nodes: u32, length: Duration) -> Vec<(Duration, Act)> {
    let faults = plan::make(seed, nodes, nodes as usize, length).into_iter();
    let mut steps: Vec<_> =
        faults.filter(|(_, fault)| concerns(fault)).map(|(time, fault)| (time, Act::Fault(fault))).collect();
    if nodes > 2 {
        let mut random = Random::new(!seed);
        let mut time = Duration::from_secs(2);
        while time < length {
            let how = if random.one_in(2) { How::Paused } else { How::Cut };
            steps.push((time, Act::Take(how)));
            time += Duration::from_millis(random.range(AWAY.0, AWAY.1));
            steps.push((time, Act::GiveBack));
            time += Duration::from_millis(random.range(BETWEEN.0, BETWEEN.1));
        }
    }
    steps.sort_by_key(|(time, _)| *time);
    steps
}

/// Returns true for a fault of a member of the store, a daemon or the network.
fn concerns(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::StallClient(..) | Fault::ForkClient(_) | Fault::ForkInHandler(_) | Fault::SignalClient(..)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_function_of_its_seed_and_takes_the_sequencer_in_both_ways() {
        let make = |seed| make(seed, 3, Duration::from_secs(600));
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        let count = |act: &Act| make(1).iter().filter(|(_, other)| other == act).count();
        assert!(count(&Act::Take(How::Paused)) > 15 && count(&Act::Take(How::Cut)) > 15);
    }
}
