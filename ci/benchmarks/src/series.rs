//! Repeated measurements of several things in turn.

use std::fmt::Display;

use crate::field::{Field, Measured};
use crate::report::table;
use crate::stats::Spread;
use crate::task::Task;

/// The results of one of the things that are compared, round by round.
pub struct Series<K> {
    pub key: K,
    /// `None` for a round that failed.
    rounds: Vec<Option<Measured>>,
}

/// Measures each of `keys` once per round, so that a change in the speed of the machine affects all of them.
///
/// A measurement influences the next one by the state of the caches and of the daemon. So each round has another order.
/// A measurement that fails is reported and left out.
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
    /// Returns a figure of all rounds, and `None` if all have failed.
    pub fn spread(&self, figure: impl Fn(&Measured) -> f64) -> Option<Spread> {
        Spread::of(self.rounds.iter().flatten().map(figure))
    }

    /// Returns the ratio to another series, as [`spread`](Self::spread) does. Each ratio is of the same round, and so
    /// of neighbours in time.
    pub fn ratio(&self, base: &Self, figure: impl Fn(&Measured) -> f64) -> Option<Spread> {
        Spread::of(self.ratios(base, figure))
    }

    /// Returns the ratios, round by round.
    pub fn ratios(&self, base: &Self, figure: impl Fn(&Measured) -> f64) -> impl Iterator<Item = f64> {
        let pairs = self.rounds.iter().zip(&base.rounds);
        pairs.filter_map(move |(own, base)| Some(figure(own.as_ref()?) / figure(base.as_ref()?)))
    }
}
