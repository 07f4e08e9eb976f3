//! What the binding itself costs: instructions and allocations of a message, beside C's, without a daemon.
//!
//! Programs run twice on a stub of libcpg (`c/stub.c`) under valgrind, with different numbers of messages. The difference is
//! what the messages cost; what the stub costs is in the figures of both languages.

mod case;
mod decode;
mod stub;
mod valgrind;

pub use case::{CASE, run as case};
pub use decode::{DECODER, receive as decode};

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::Result;
use crate::field::compile;
use crate::report::table;
use stub::Stub;
use valgrind::Cost;

/// The two numbers of messages.
const FEW: u64 = 10_000;
const MANY: u64 = 60_000;

/// A case of C's, and those of this crate that do the same.
const CASES: [(&str, &[&str]); 3] = [
    ("deliver", &["deliver", "deliver-run"]),
    ("send", &["send"]),
    ("both", &["both", "both-queued", "both-coalesced"]),
];

/// Measures and prints; the figures have names for a program to read.
pub fn run() -> Result<BTreeMap<String, f64>> {
    let stub = Stub::build()?;
    let c = [compile("cost", &["-lcpg"])?.into_os_string()];
    let rust = [std::env::current_exe()?.into_os_string(), CASE.into()];
    let mut figures = BTreeMap::new();
    let mut rows = Vec::new();
    for (kind, cases) in CASES {
        let base = of_one(&stub, &c, kind, kind)?;
        rows.push((format!("{kind}: C"), cells(base, None)));
        for &case in cases {
            let cost = of_one(&stub, &rust, case, kind)?;
            rows.push((format!("{kind}: cpg, {}", case::what(case)), cells(cost, Some(base))));
            figures.insert(format!("{case}.instructions_over_c"), cost.instructions - base.instructions);
            figures.insert(format!("{case}.allocations_over_c"), cost.allocations - base.allocations);
        }
    }
    let columns = ["instructions", "over C", "allocations", "over C"];
    print!("{}", table::text("one message of 64 bytes", &columns, &rows));
    println!();
    for (name, rate) in decode::run(&stub)? {
        let (rate, percent) = (rate.median / 1e6, rate.percent());
        println!("64-byte messages out of packets, {name}: {rate:.1} million a second ±{percent:.0}%");
        figures.insert(format!("decode.{name}_millions_per_second"), rate);
    }
    Ok(figures)
}

/// What one message costs a program.
fn of_one(stub: &Stub, program: &[OsString], case: &str, kind: &str) -> Result<Cost> {
    let run = |messages: u64| {
        let number = messages.to_string();
        let variables = match kind {
            "deliver" => vec![("CPG_STUB_DELIVER", number.clone())],
            "both" => vec![("CPG_STUB_ECHO", "yes".to_owned())],
            _ => Vec::new(),
        };
        let words = [program, &[case.into(), number.into()]].concat();
        valgrind::count(stub, &words, &variables)
    };
    Ok(Cost::of_one(run(FEW)?, run(MANY)?, (MANY - FEW) as f64))
}

fn cells(cost: Cost, base: Option<Cost>) -> Vec<String> {
    let over = |figure: fn(&Cost) -> f64| base.map(|base| figure(&cost) - figure(&base));
    vec![
        table::number(Some(cost.instructions), 1),
        table::number(over(|cost| cost.instructions), 1),
        table::number(Some(cost.allocations), 3),
        table::number(over(|cost| cost.allocations), 3),
    ]
}
