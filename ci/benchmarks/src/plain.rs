//! Sending and dispatching without a queue beside C, closely.
//!
//! What a program pays for a message itself is a few per cent of what it pays altogether, and less than what a measurement
//! differs by from the next. So each is short, they take turns in changing order, and there are many: the median of the ratios of
//! neighbours is then known to a per cent. C is measured twice, to see that.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::Result;
use crate::field::{Field, Programs};
use crate::measure::rate;
use crate::series::interleaved;
use crate::stats::median_within;
use crate::task::Task;
use crate::variant::Variant;

/// Bytes of a message.
const SIZE: usize = 64;

/// Of one measurement.
const DURATION: Duration = Duration::from_millis(200);

/// Rounds for each that was asked for.
const ROUNDS: usize = 24;

#[derive(Debug, Clone, Copy)]
struct Program {
    variant: Variant,
    again: bool,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", self.variant, if self.again { " again" } else { "" }))
    }
}

/// Messages a second by those of C.
#[derive(Debug, Serialize)]
pub struct Ratio {
    median: f64,
    /// The median is between these with 95 % certainty.
    from: f64,
    to: f64,
}

pub fn run(rounds: usize, programs: &Programs) -> Result<BTreeMap<String, Ratio>> {
    let field = Field::start_apart(programs)?;
    let compared: Vec<_> = [Variant::C, Variant::C, Variant::COne, Variant::Plain]
        .into_iter()
        .chain(Variant::built().filter(|variant| variant.is_peer()))
        .enumerate()
        .map(|(place, variant)| Program { variant, again: place == 1 })
        .collect();
    let rounds = rounds * ROUNDS;
    let all = interleaved(&field, rounds, &compared, |program| Task::flood(program.variant, SIZE, DURATION));
    println!("{SIZE} bytes, the sender and the daemon on a CPU each, {rounds} rounds of {DURATION:?}");
    println!("{:<16} {:>12} {:>14} {:>8} {:>16}", "", "messages/s", "CPU s/million", "× C", "within");
    let mut ratios = BTreeMap::new();
    for series in &all {
        let failed = || format!("{}: too little was measured", series.key);
        let rates = series.spread(rate).ok_or_else(failed)?;
        let cpu = series.spread(|measured| measured.sender.cpu_per_million()).ok_or_else(failed)?;
        let ratio = series.ratio(&all[0], rate).ok_or_else(failed)?;
        let (from, to) = median_within(series.ratios(&all[0], rate)).ok_or_else(failed)?;
        println!(
            "{:<16} {:>12.0} {:>14.2} {:>8.3} {:>16}",
            series.key,
            rates.median,
            cpu.median,
            ratio.median,
            format!("{from:.3} – {to:.3}")
        );
        ratios.insert(series.key.to_string(), Ratio { median: ratio.median, from, to });
    }
    Ok(ratios)
}
