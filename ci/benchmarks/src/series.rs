//! Measuring several things in turn, again and again.

use std::fmt::Display;

use crate::field::{Field, Measured};
use crate::report::table;
use crate::stats::Spread;
use crate::task::Task;

/// What came out for one of the things compared, round by round.
pub struct Series<K> {
    pub key: K,
    /// None where it failed.
    rounds: Vec<Option<Measured>>,
}

/// Measures each of `keys` once a round, so that a machine that changes its speed changes it for all.
///
/// Each round begins with another one, as each leaves the caches and the daemon to the next. What fails is reported and left
/// out.
pub fn interleaved<K: Copy + Display>(
    field: &Field<'_>,
    rounds: usize,
    keys: &[K],
    task: impl Fn(K) -> Task,
) -> Vec<Series<K>> {
    let mut all: Vec<_> = keys.iter().map(|&key| Series { key, rounds: vec![None; rounds] }).collect();
    for round in 0..rounds {
        for step in 0..keys.len() {
            let series = &mut all[(round + step) % keys.len()];
            match field.run(&task(series.key)) {
                Ok(measured) => series.rounds[round] = Some(measured),
                Err(error) => eprintln!("{} on {}: {error}", series.key, table::nodes(field.nodes())),
            }
        }
    }
    all
}

impl<K> Series<K> {
    /// A figure of all rounds; none if all have failed.
    pub fn spread(&self, figure: impl Fn(&Measured) -> f64) -> Option<Spread> {
        Spread::of(self.rounds.iter().flatten().map(figure))
    }

    /// As [`spread`](Self::spread), as a ratio to another's of the same round: neighbours in time.
    pub fn ratio(&self, base: &Self, figure: impl Fn(&Measured) -> f64) -> Option<Spread> {
        let pairs = self.rounds.iter().zip(&base.rounds);
        Spread::of(pairs.filter_map(|(own, base)| Some(figure(own.as_ref()?) / figure(base.as_ref()?))))
    }
}
