//! Medians and their spread.

use serde::Serialize;

/// The median of some figures, and the quartiles around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    /// None of no figures.
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

    /// Half the distance of the quartiles, in per cent of the median.
    pub fn percent(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.median * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_between_the_figures() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([2.0]), Some(Spread { low: 2.0, median: 2.0, high: 2.0 }));
        let four = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(four, Spread { low: 1.75, median: 2.5, high: 3.25 });
        assert!((four.percent() - 30.0).abs() < 1e-9);
    }
}
