//! What was measured, for people and for programs.

mod chart;
mod html;
mod machine;
pub mod table;

pub use chart::overview;
pub use html::page;
pub use machine::Machine;

use serde::Serialize;

use crate::measure::{Load, Plan, Results};

/// All that a report says.
#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub rounds: usize,
    /// Of one measurement.
    pub seconds: f64,
    #[serde(flatten)]
    pub results: Results,
}

impl Report {
    pub fn new(plan: &Plan, results: Results) -> Self {
        Self { machine: Machine::this(), rounds: plan.rounds, seconds: plan.duration.as_secs_f64(), results }
    }

    /// The numbers of nodes and sizes that throughput was measured with, in the order of measuring.
    fn throughput_cases(&self) -> Vec<(u32, usize)> {
        let mut cases: Vec<_> = self.results.throughput.iter().map(|row| (row.nodes, row.size)).collect();
        cases.dedup();
        cases
    }

    /// The same of latencies, with the loads.
    fn latency_cases(&self) -> Vec<(u32, usize, Load)> {
        let mut cases: Vec<_> =
            self.results.latency.iter().map(|row| (row.nodes, row.size, row.load)).collect();
        cases.dedup();
        cases
    }
}
