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
/// Each leaves the caches and the daemon to the next, so each round begins with another one, and goes on with another step from
/// one to the next. What fails is reported and left out.
pub fn interleaved<K: Copy + Display>(
    field: &Field<'_>,
    rounds: usize,
    keys: &[K],
    task: impl Fn(K) -> Task,
) -> Vec<Series<K>> {
    let mut all: Vec<_> = keys.iter().map(|&key| Series { key, rounds: vec![None; rounds] }).collect();
    let steps: Vec<usize> = (1..=keys.len()).filter(|&step| gcd(step, keys.len()) == 1).collect();
    for round in 0..rounds {
        let step = steps[round / keys.len() % steps.len()];
        for place in 0..keys.len() {
            let series = &mut all[(round + place * step) % keys.len()];
            match field.run(&task(series.key)) {
                Ok(measured) => series.rounds[round] = Some(measured),
                Err(error) => eprintln!("{} on {}: {error}", series.key, table::nodes(field.nodes())),
            }
        }
    }
    all
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl<K> Series<K> {
    /// A figure of all rounds; none if all have failed.
    pub fn spread(&self, figure: impl Fn(&Measured) -> f64) -> Option<Spread> {
        Spread::of(self.rounds.iter().flatten().map(figure))
    }

    /// As [`spread`](Self::spread), as a ratio to another's of the same round: neighbours in time.
    pub fn ratio(&self, base: &Self, figure: impl Fn(&Measured) -> f64) -> Option<Spread> {
        Spread::of(self.ratios(base, figure))
    }

    /// The ratios round by round.
    pub fn ratios(&self, base: &Self, figure: impl Fn(&Measured) -> f64) -> impl Iterator<Item = f64> {
        let pairs = self.rounds.iter().zip(&base.rounds);
        pairs.filter_map(move |(own, base)| Some(figure(own.as_ref()?) / figure(base.as_ref()?)))
    }
}
