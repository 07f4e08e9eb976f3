//! The measurements of a report.

use std::time::Duration;

use serde::Serialize;

use crate::Result;
use crate::field::{Field, Measured, Programs};
use crate::report::table;
use crate::series::{Series, interleaved};
use crate::stats::Spread;
use crate::task::{Job, Latencies, Task};
use crate::variant::Variant;

/// The plan of measurements.
#[derive(Debug, Clone)]
pub struct Plan {
    pub nodes: Vec<u32>,
    pub variants: Vec<Variant>,
    pub sizes: Vec<usize>,
    /// The sizes of messages whose latency is measured.
    pub latency_sizes: Vec<usize>,
    pub rounds: usize,
    /// The time of one measurement.
    pub duration: Duration,
}

/// The throughput of one variant.
#[derive(Debug, Clone, Serialize)]
pub struct Throughput {
    pub nodes: u32,
    pub size: usize,
    pub variant: Variant,
    /// The rate at the receiver.
    pub messages_per_second: Spread,
    pub megabytes_per_second: Spread,
    /// The ratio of messages per second to those of C in the same round.
    pub versus_c: Option<Spread>,
    /// The CPU time of the sender, including its self-deliveries.
    pub cpu_seconds_per_million: Spread,
    /// The CPU time of the sender, divided by the elapsed time.
    pub cores: Spread,
    /// The number of times that flow control refused a message.
    pub retries_per_message: Spread,
}

/// The latency of one variant at one load, in microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    pub nodes: u32,
    pub size: usize,
    pub load: Load,
    pub variant: Variant,
    pub messages_per_second: f64,
    pub p50: Spread,
    pub p99: Spread,
    pub p999: Spread,
    /// The ratio of the p50 to that of C in the same round.
    pub versus_c: Option<Spread>,
}

/// The load during a measurement of latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// One message at a time, there and back.
    Idle,
    /// Half of the best rate of C, for all programs.
    HalfOfC,
    /// Half of the best rate of each program.
    HalfOfOwn,
}

impl Load {
    /// Returns a description.
    pub fn what(self) -> &'static str {
        match self {
            Self::Idle => "one message at a time: sent, and delivered to its sender",
            Self::HalfOfC => {
                "all at half of the best rate of C: from the time at which a message is due until it is delivered"
            }
            Self::HalfOfOwn => {
                "each at half of its best rate: from the time at which a message is due until it is delivered"
            }
        }
    }
}

/// The results of all measurements.
#[derive(Debug, Default, Serialize)]
pub struct Results {
    pub throughput: Vec<Throughput>,
    pub latency: Vec<Latency>,
}

/// Carries out a plan, one cluster at a time.
pub fn measure(plan: &Plan, programs: &Programs) -> Result<Results> {
    let mut results = Results::default();
    for &nodes in &plan.nodes {
        let field = Field::start(nodes, programs)?;
        for &size in &plan.sizes {
            eprintln!("{}, {size} bytes: throughput", table::nodes(nodes));
            results.throughput.extend(throughput(&field, plan, size));
        }
        for &size in &plan.latency_sizes {
            for load in [Load::Idle, Load::HalfOfC, Load::HalfOfOwn] {
                eprintln!("{}, {size} bytes: latency, {}", table::nodes(nodes), load.what());
                let latencies = latency(&field, plan, size, load, &results.throughput);
                results.latency.extend(latencies);
            }
        }
    }
    Ok(results)
}

fn throughput(field: &Field<'_>, plan: &Plan, size: usize) -> Vec<Throughput> {
    let all =
        interleaved(field, plan.rounds, &plan.variants, |variant| Task::flood(variant, size, plan.duration));
    let base = base(&all);
    let row = |series: &Series<Variant>| {
        let bytes = size as f64;
        Some(Throughput {
            nodes: field.nodes(),
            size,
            variant: series.key,
            messages_per_second: series.spread(rate)?,
            megabytes_per_second: series.spread(|m| rate(m) * bytes / 1e6)?,
            versus_c: base.and_then(|base| series.ratio(base, rate)),
            cpu_seconds_per_million: series.spread(|m| m.sender.cpu_per_million())?,
            cores: series.spread(|m| m.sender.cores())?,
            retries_per_message: series
                .spread(|m| m.sender.retries as f64 / m.sender.received.max(1) as f64)?,
        })
    };
    all.iter().filter_map(row).collect()
}

fn latency(
    field: &Field<'_>,
    plan: &Plan,
    size: usize,
    load: Load,
    throughput: &[Throughput],
) -> Vec<Latency> {
    let best = |variant| {
        let row = throughput
            .iter()
            .find(|row| row.nodes == field.nodes() && row.size == size && row.variant == variant);
        row.map_or(0.0, |row| row.messages_per_second.median)
    };
    let rate = |variant| match load {
        Load::Idle => 0.0,
        Load::HalfOfC => best(Variant::C) / 2.0,
        Load::HalfOfOwn => best(variant) / 2.0,
    };
    let known = |variant: &Variant| load == Load::Idle || rate(*variant) > 0.0;
    let variants: Vec<Variant> = plan.variants.iter().copied().filter(known).collect();
    let all = interleaved(field, plan.rounds, &variants, |variant| Task {
        job: if load == Load::Idle { Job::Echo } else { Job::Paced },
        rate: rate(variant),
        ..Task::flood(variant, size, plan.duration)
    });
    let base = base(&all);
    let row = |series: &Series<Variant>| {
        Some(Latency {
            nodes: field.nodes(),
            size,
            load,
            variant: series.key,
            messages_per_second: series.spread(|m| m.receiver.rate())?.median,
            p50: series.spread(|m| micros(m, |all| all.p50))?,
            p99: series.spread(|m| micros(m, |all| all.p99))?,
            p999: series.spread(|m| micros(m, |all| all.p999))?,
            versus_c: base.and_then(|base| series.ratio(base, |m| micros(m, |all| all.p50))),
        })
    };
    all.iter().filter_map(row).collect()
}

/// Returns the messages per second at the receiver.
pub fn rate(measured: &Measured) -> f64 {
    measured.receiver.rate()
}

/// Returns one of the latencies at the receiver, in microseconds.
pub fn micros(measured: &Measured, of: impl Fn(Latencies) -> u64) -> f64 {
    measured.receiver.latencies.map_or(f64::NAN, |all| of(all) as f64 / 1e3)
}

fn base(all: &[Series<Variant>]) -> Option<&Series<Variant>> {
    all.iter().find(|series| series.key == Variant::C)
}
