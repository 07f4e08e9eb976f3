//! A precise comparison of sending and dispatching without a queue with C.
//!
//! The cost of a message in the program itself is only a few per cent of the whole, and two measurements differ by more
//! than that. So there are many short measurements, in turn and in changing order. The median of the ratios of
//! neighbours is then known to one per cent. To check this, the program with which the others are compared is measured
//! twice.
//!
//! The twin of the crate is a C program that does the same work: it dispatches one event at a time, and its callbacks
//! find their state by `cpg_context_get`. The result is the ratio of the crate to the twin.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::Result;
use crate::field::{Field, Programs};
use crate::measure::rate;
use crate::series::{Series, interleaved};
use crate::stats::median_within;
use crate::task::Task;
use crate::variant::Variant;

/// The size of a message in bytes.
const SIZE: usize = 64;

/// The time of one measurement.
const DURATION: Duration = Duration::from_millis(200);

/// The number of rounds for each round that the user asked for.
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

/// The ratio of messages per second to those of another program.
#[derive(Debug, Serialize)]
pub struct Ratio {
    median: f64,
    /// The median is between these values with a certainty of 95 %.
    from: f64,
    to: f64,
}

impl Ratio {
    fn of(series: &Series<Program>, base: &Series<Program>) -> Option<Self> {
        let median = series.ratio(base, rate)?.median;
        let (from, to) = median_within(series.ratios(base, rate))?;
        Some(Self { median, from, to })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, from, to } = self;
        f.pad(&format!("{median:.3} ({from:.3} – {to:.3})"))
    }
}

/// The name of the program with which it is compared.
type Ratios = BTreeMap<&'static str, Ratio>;

pub fn run(rounds: usize, programs: &Programs) -> Result<BTreeMap<String, Ratios>> {
    let field = Field::start_apart(programs)?;
    let once = |variant| Program { variant, again: false };
    let again = |variant| Program { variant, again: true };
    // All programs are compared with the first three.
    let mut compared = vec![
        once(Variant::CTwin),
        once(Variant::C),
        once(Variant::COne),
        again(Variant::CTwin),
        again(Variant::C),
        once(Variant::Plain),
    ];
    compared.extend(Variant::built().filter(|variant| variant.is_peer()).map(once));
    let rounds = rounds * ROUNDS;
    let all = interleaved(&field, rounds, &compared, |program| Task::flood(program.variant, SIZE, DURATION));
    println!("{SIZE} bytes; the sender and the daemon have one CPU each; {rounds} rounds of {DURATION:?}");
    print!("{:<14} {:>10} {:>13}", "", "messages/s", "CPU s/million");
    let bases = &all[..3];
    for base in bases {
        print!(" {:>22}", format!("× {} (95 %)", base.key));
    }
    println!();
    let mut figures = BTreeMap::new();
    for series in &all {
        let failed = || format!("{}: too few measurements succeeded", series.key);
        let rates = series.spread(rate).ok_or_else(failed)?;
        let cpu = series.spread(|measured| measured.sender.cpu_per_million()).ok_or_else(failed)?;
        print!("{:<14} {:>10.0} {:>13.2}", series.key, rates.median, cpu.median);
        let mut ratios = Ratios::new();
        for base in bases {
            let ratio = Ratio::of(series, base).ok_or_else(failed)?;
            print!(" {ratio:>22}");
            ratios.insert(base.key.variant.name(), ratio);
        }
        println!();
        figures.insert(series.key.to_string(), ratios);
    }
    let headline = &figures[Variant::Plain.name()][Variant::CTwin.name()];
    println!("ratio of cpg to its twin in C: {headline}");
    Ok(figures)
}
