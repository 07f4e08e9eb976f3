//! The ratios to watch for regressions, in less than a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Result;
use crate::field::{Field, Measured, Programs};
use crate::measure::{micros, rate};
use crate::series::interleaved;
use crate::stats::Spread;
use crate::task::{Job, Task};
use crate::variant::Variant::{self, C, Coalesced, Plain, Queued};

/// A typical size for programs with many small messages, and a large size that is still sent in one piece.
const SMALL: usize = 64;
const LARGE: usize = 1_000_000;

/// Measures the throughput and the idle latency as ratios to those of C. Each is the median of all rounds.
pub fn run(programs: &Programs) -> Result<BTreeMap<&'static str, Spread>> {
    let mut ratios = BTreeMap::new();
    {
        let field = Field::start(1, programs)?;
        let mut compare = Compare { field: &field, ratios: &mut ratios };
        // The difference from C is small here, so many rounds are needed to see it.
        compare.with_c(20, &[("nodes1.plain_vs_c_64", Plain)], rate, |variant| {
            Task::flood(variant, SMALL, Duration::from_millis(200))
        })?;
        compare
            .with_c(5, &[("nodes1.coalesced_vs_c_64", Coalesced)], rate, |variant| flood(variant, SMALL))?;
        compare.with_c(3, &[("nodes1.queued_vs_c_1m", Queued)], rate, |variant| flood(variant, LARGE))?;
        let p50 = |measured: &Measured| micros(measured, |all| all.p50);
        compare.with_c(5, &[("nodes1.latency_vs_c_64", Coalesced)], p50, |variant| Task {
            job: Job::Echo,
            ..flood(variant, SMALL)
        })?;
    }
    let field = Field::start(3, programs)?;
    let mut compare = Compare { field: &field, ratios: &mut ratios };
    compare.with_c(5, &[("nodes3.coalesced_vs_c_64", Coalesced)], rate, |variant| flood(variant, SMALL))?;
    Ok(ratios)
}

fn flood(variant: Variant, size: usize) -> Task {
    Task::flood(variant, size, Duration::from_millis(400))
}

struct Compare<'a, 'p> {
    field: &'a Field<'p>,
    ratios: &'a mut BTreeMap<&'static str, Spread>,
}

impl Compare<'_, '_> {
    fn with_c(
        &mut self,
        rounds: usize,
        others: &[(&'static str, Variant)],
        figure: impl Fn(&Measured) -> f64,
        task: impl Fn(Variant) -> Task,
    ) -> Result<()> {
        let variants: Vec<Variant> =
            [C].into_iter().chain(others.iter().map(|&(_, variant)| variant)).collect();
        let all = interleaved(self.field, rounds, &variants, task);
        for (&(key, _), series) in others.iter().zip(&all[1..]) {
            let ratio =
                series.ratio(&all[0], &figure).ok_or_else(|| format!("{key}: nothing was measured"))?;
            self.ratios.insert(key, ratio);
        }
        Ok(())
    }
}
