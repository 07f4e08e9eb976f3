//! The report of the measurements, for people and for programs.

mod chart;
mod html;
mod machine;
pub mod table;

pub use chart::overview;
pub use html::page;
pub use machine::Machine;

use serde::Serialize;

use crate::measure::{Load, Plan, Results};

/// The content of a report.
#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub rounds: usize,
    /// The time of one measurement.
    pub seconds: f64,
    #[serde(flatten)]
    pub results: Results,
}

impl Report {
    pub fn new(plan: &Plan, results: Results) -> Self {
        Self { machine: Machine::this(), rounds: plan.rounds, seconds: plan.duration.as_secs_f64(), results }
    }

    /// Returns the numbers of nodes and the sizes of the throughput measurements, in the order of measuring.
    fn throughput_cases(&self) -> Vec<(u32, usize)> {
        let mut cases: Vec<_> = self.results.throughput.iter().map(|row| (row.nodes, row.size)).collect();
        cases.dedup();
        cases
    }

    /// Returns the same for the latencies, with the loads.
    fn latency_cases(&self) -> Vec<(u32, usize, Load)> {
        let mut cases: Vec<_> =
            self.results.latency.iter().map(|row| (row.nodes, row.size, row.load)).collect();
        cases.dedup();
        cases
    }
}
