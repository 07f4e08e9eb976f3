//! Medians and their spread.

use serde::Serialize;

/// The median of figures, and the quartiles around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    /// Returns the spread of figures, and `None` if there are none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let last = figures.len().checked_sub(1)?;
        let at = |part: f64| {
            let place = part * last as f64;
            let below = place as usize;
            let above = (below + 1).min(last);
            figures[below] + (figures[above] - figures[below]) * place.fract()
        };
        Some(Self { low: at(0.25), median: at(0.5), high: at(0.75) })
    }

    /// Returns half the distance of the quartiles, in per cent of the median.
    pub fn percent(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.median * 100.0
    }
}

/// Returns the interval in which the median of all possible figures is with a certainty of 95 %, for any distribution:
/// each figure is above or below the median with equal probability. Returns `None` for fewer than six figures.
pub fn median_within(figures: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let count = figures.len() as f64;
    let below = (count / 2.0 - 0.98 * count.sqrt()).floor();
    (figures.len() >= 6).then(|| {
        let below = below.max(0.0) as usize;
        (figures[below], figures[figures.len() - 1 - below])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_median_is_that_of_a_fair_coin() {
        assert_eq!(median_within((0..5).map(f64::from)), None);
        // Of a hundred figures, the 41st and the 60th.
        assert_eq!(median_within((1..=100).map(f64::from)), Some((41.0, 60.0)));
        assert_eq!(median_within([6.0, 1.0, 5.0, 2.0, 3.0, 4.0]), Some((1.0, 6.0)));
    }

    #[test]
    fn quartiles_are_between_the_figures() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([2.0]), Some(Spread { low: 2.0, median: 2.0, high: 2.0 }));
        let four = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(four, Spread { low: 1.75, median: 2.5, high: 3.25 });
        assert!((four.percent() - 30.0).abs() < 1e-9);
    }
}
