//! Decides whether what processes in closed process groups sent, delivered and saw was as corosync and the crate `cpg` promise.
//!
//! It knows neither of them: it reads [records](record::Record) that the processes wrote, of any number of groups. Memory is
//! needed for each message and each ring, not for each delivery.
#![forbid(unsafe_code)]

mod compare;
mod fates;
pub mod log;
mod order;
pub mod record;
mod report;
mod same;
mod scan;
mod source;

use std::collections::BTreeMap;
use std::io;

use record::Ring;

pub use report::{Counts, Found, Known, Property, Report};
pub use source::{Reader, Source};

/// The records of one process.
#[derive(Debug, Clone)]
pub struct Process {
    /// What it is called in the report.
    pub name: String,
    /// Its records.
    pub source: Source,
}

/// All that happened.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The processes; those of one client in the order in which they were started.
    pub processes: Vec<Process>,
    /// The rings that each node was on, in order, from the [logs](log::rings) of the daemons. Without it nodes that parted and
    /// came together again are told apart by their views alone, which do not always say.
    pub rings: BTreeMap<u32, Vec<Ring>>,
    /// Whether the logs tell of [dropped messages](log::drops), if there are logs.
    pub logged_drops: Option<bool>,
}

/// Reads it all, and decides.
///
/// # Errors
/// Those of reading.
pub fn check(history: &History) -> io::Result<Report> {
    let mut report = Report::default();
    let mut scan = scan::scan(history, &mut report)?;
    fates::check(history, &scan, &mut report);
    same::check(history, &scan, &mut report)?;
    order::check(history, &mut scan, &mut report)?;
    Ok(report)
}
