//! A sweep of window and packet sizes, for choosing the defaults.

use std::fmt;
use std::time::Duration;

use crate::Result;
use crate::field::{Field, Programs};
use crate::measure::{micros, rate};
use crate::report::table;
use crate::series::interleaved;
use crate::stats::Spread;
use crate::task::{Job, Sizes, Task};
use crate::variant::Variant;

const WINDOWS: [usize; 8] = [64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20, 8 << 20];
const PACKETS: [usize; 5] = [16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10];

/// The load at which latency is measured: the rate that C reaches on three nodes.
const RATE: f64 = 100_000.0;

#[derive(Clone, Copy)]
struct Setting(Sizes);

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sizes { window, packet } = self.0;
        write!(f, "window {} KiB, packets {} KiB", window >> 10, packet >> 10)
    }
}

/// Prints a table for each number of nodes: small messages in packets, and messages that travel alone.
pub fn run(nodes: &[u32], rounds: usize, duration: Duration, programs: &Programs) -> Result<()> {
    // At least one packet is in flight, so a smaller window has no effect.
    let packed: Vec<Setting> = PACKETS
        .into_iter()
        .flat_map(|packet| WINDOWS.into_iter().map(move |window| Sizes { window, packet }))
        .filter(|sizes| sizes.window >= sizes.packet)
        .map(Setting)
        .collect();
    let alone: Vec<Setting> =
        WINDOWS.into_iter().map(|window| Setting(Sizes { window, packet: 256 << 10 })).collect();
    for &nodes in nodes {
        let field = Field::start(nodes, programs)?;
        println!("\n{}, 64 bytes, in packets", table::nodes(nodes));
        sweep(&field, rounds, duration, &packed, Variant::Coalesced, 64);
        for size in [64, 8192, 1_000_000] {
            println!("\n{}, {size} bytes, one at a time", table::nodes(nodes));
            sweep(&field, rounds, duration, &alone, Variant::Queued, size);
        }
    }
    Ok(())
}

fn sweep(
    field: &Field<'_>,
    rounds: usize,
    duration: Duration,
    settings: &[Setting],
    variant: Variant,
    size: usize,
) {
    let task = |setting: Setting| Task { sizes: Some(setting.0), ..Task::flood(variant, size, duration) };
    let floods = interleaved(field, rounds, settings, task);
    // Messages that travel alone are not sent at this rate.
    let is_paced = variant == Variant::Coalesced;
    let paced = if is_paced {
        interleaved(field, rounds, settings, |setting| Task { job: Job::Paced, rate: RATE, ..task(setting) })
    } else {
        Vec::new()
    };
    let columns = ["messages/s", "±%", "MB/s", "cores", "p50 µs", "p99 µs"];
    let mut rows = Vec::new();
    for (index, flood) in floods.iter().enumerate() {
        let figure =
            |spread: Option<Spread>, digits| table::number(spread.map(|spread| spread.median), digits);
        let latency = |of: fn(crate::task::Latencies) -> u64| {
            paced.get(index).and_then(|series| series.spread(|m| micros(m, of)))
        };
        rows.push((
            flood.key.to_string(),
            vec![
                figure(flood.spread(rate), 0),
                table::number(flood.spread(rate).map(|spread| spread.percent()), 0),
                figure(flood.spread(|m| rate(m) * size as f64 / 1e6), 1),
                figure(flood.spread(|m| m.sender.cores()), 2),
                figure(latency(|all| all.p50), 0),
                figure(latency(|all| all.p99), 0),
            ],
        ));
    }
    print!("{}", table::text("", &columns, &rows));
}
