//! The benchmark: the cost of sending and receiving, compared with C. `ci/bench --help` lists the measurements, the
//! module `variant` the programs that are compared.

mod arguments;
mod clock;
mod cost;
mod field;
mod measure;
mod plain;
mod quick;
mod report;
mod series;
mod stats;
mod styles;
mod task;
mod tune;
mod variant;
mod worker;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use arguments::{Arguments, Mode};
use field::Programs;
use report::{Report, table};
use variant::Variant;

/// An error that ends the command, with a text for the user.
type Failure = Box<dyn Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

fn main() -> ExitCode {
    let arguments = match arguments::parse(lexopt::Parser::from_env()) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("bench: {error}\nTry `ci/bench --help`.");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.mode {
        Mode::Help => print!("{}", arguments::HELP),
        Mode::Version => println!("bench {}", env!("CARGO_PKG_VERSION")),
        Mode::Full => full(arguments)?,
        Mode::Quick => quick(arguments)?,
        Mode::Cost => {
            let figures = cost::run()?;
            write(arguments.json.as_deref(), || Ok(serde_json::to_string_pretty(&figures)? + "\n"))?;
        }
        Mode::Plain => {
            let figures = plain::run(arguments.plan.rounds, &Programs::build()?)?;
            write(arguments.json.as_deref(), || Ok(serde_json::to_string_pretty(&figures)? + "\n"))?;
        }
        Mode::Styles => styles::run(arguments.plan.rounds, arguments.messages)?,
        Mode::Tune => {
            let plan = &arguments.plan;
            tune::run(&plan.nodes, plan.rounds, plan.duration, &Programs::build()?)?;
        }
        Mode::Worker(words) => worker::run(words)?,
        Mode::Receiver(words) => styles::receive(words)?,
        Mode::CostOf(words) => cost::case(words)?,
        Mode::Decoder => cost::decode()?,
    }
    Ok(())
}

fn full(arguments: &Arguments) -> Result<()> {
    let programs = Programs::build()?;
    let results = measure::measure(&arguments.plan, &programs)?;
    let report = Report::new(&arguments.plan, results);
    for variant in Variant::built() {
        println!("{variant:<21} {}", variant.what());
    }
    print!("{}", table::report(&report));
    write(arguments.json.as_deref(), || Ok(serde_json::to_string_pretty(&report)? + "\n"))?;
    write(arguments.html.as_deref(), || report::page(&report))?;
    write(arguments.svg.as_deref(), || report::overview(&report))
}

fn quick(arguments: &Arguments) -> Result<()> {
    let ratios = quick::run(&Programs::build()?)?;
    for (key, ratio) in &ratios {
        println!("{key:<26} {:>8.3} ±{:.1}%", ratio.median, ratio.percent());
    }
    let medians: std::collections::BTreeMap<_, _> =
        ratios.iter().map(|(key, ratio)| (key, ratio.median)).collect();
    write(arguments.json.as_deref(), || Ok(serde_json::to_string_pretty(&medians)? + "\n"))
}

/// Writes a file, if the user asked for it.
fn write(file: Option<&Path>, content: impl FnOnce() -> Result<String>) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    fs::write(file, content()?).map_err(|error| format!("{}: {error}", file.display()).into())
}
