//! The cost of the binding itself: instructions and allocations per message, compared with C, without a daemon.
//!
//! Each program runs twice under valgrind with a stub of libcpg (`c/stub.c`), with different numbers of messages. The
//! difference is the cost of the messages. The figures of both languages include the cost of the stub. There are two
//! programs in C: one has its state in globals and dispatches all available events at once. The other is the twin of
//! this crate: it finds its state by `cpg_context_get` and dispatches one event at a time.

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

/// A case in C, and the cases of this crate that do the same.
const CASES: [(&str, &[&str]); 3] = [
    ("deliver", &["deliver", "deliver-run"]),
    ("send", &["send"]),
    ("both", &["both", "both-queued", "both-coalesced"]),
];

/// Measures all cases and prints them. Returns the figures with names, for programs to read.
pub fn run() -> Result<BTreeMap<String, f64>> {
    let stub = Stub::build()?;
    let program = compile("cost", &["-lcpg"])?.into_os_string();
    let c = [program.clone(), "all".into()];
    let twin = [program, "twin".into()];
    let rust = [std::env::current_exe()?.into_os_string(), CASE.into()];
    let mut figures = BTreeMap::new();
    let mut rows = Vec::new();
    for (kind, cases) in CASES {
        let bases = Bases { c: of_one(&stub, &c, kind, kind)?, twin: of_one(&stub, &twin, kind, kind)? };
        rows.push((format!("{kind}: C"), bases.cells(bases.c)));
        rows.push((format!("{kind}: C, the twin of cpg"), bases.cells(bases.twin)));
        for &case in cases {
            let cost = of_one(&stub, &rust, case, kind)?;
            rows.push((format!("{kind}: cpg, {}", case::what(case)), bases.cells(cost)));
            let mut insert = |name, figure| figures.insert(format!("{case}.{name}"), figure);
            insert("instructions_over_twin", cost.instructions - bases.twin.instructions);
            insert("instructions_over_c", cost.instructions - bases.c.instructions);
            insert("allocations_over_c", cost.allocations - bases.c.allocations);
        }
    }
    let columns = ["instructions", "over the twin", "over C", "allocations", "over C"];
    print!("{}", table::text("one message of 64 bytes", &columns, &rows));
    println!();
    for (name, rate) in decode::run(&stub)? {
        let (rate, percent) = (rate.median / 1e6, rate.percent());
        println!("64-byte messages out of packets, {name}: {rate:.1} million a second ±{percent:.0}%");
        figures.insert(format!("decode.{name}_millions_per_second"), rate);
    }
    Ok(figures)
}

/// The cost of one message in a program.
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

/// The cost of a message in the programs in C.
#[derive(Debug, Clone, Copy)]
struct Bases {
    c: Cost,
    twin: Cost,
}

impl Bases {
    /// Returns the cells of one row.
    fn cells(self, cost: Cost) -> Vec<String> {
        vec![
            table::number(Some(cost.instructions), 1),
            table::number(Some(cost.instructions - self.twin.instructions), 1),
            table::number(Some(cost.instructions - self.c.instructions), 1),
            table::number(Some(cost.allocations), 3),
            table::number(Some(cost.allocations - self.c.allocations), 3),
        ]
    }
}
