//! The torture test: it runs processes in closed process groups on a cluster that is broken all the time, and
//! `cpg-checker` checks their records. `ci/torture --help` explains its use, and the README in this directory explains
//! its report.
#![deny(unsafe_code)]

mod arguments;
mod busy;
mod client;
mod end;
mod message;
mod process;
mod run;
mod style;
mod verdict;

use std::process::ExitCode;

use arguments::Mode;
use cpg_faults::{Result, plan};

fn main() -> ExitCode {
    let mode = match arguments::parse(lexopt::Parser::from_env()) {
        Ok(mode) => mode,
        Err(error) => {
            eprintln!("torture: {error}\nTry `ci/torture --help`.");
            return ExitCode::from(2);
        }
    };
    match start(mode) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("torture: {error}");
            ExitCode::from(3)
        }
    }
}

/// Does the task. Returns true if all is well.
fn start(mode: Mode) -> Result<bool> {
    match mode {
        Mode::Help => print!("{}", arguments::HELP),
        Mode::Version => println!("torture {}", env!("CARGO_PKG_VERSION")),
        Mode::Client(task) => client::run(&task)?,
        Mode::Plan(options) => {
            let clients = (options.clients + options.listers) * options.nodes as usize;
            for (time, fault) in plan::make(options.seed, options.nodes, clients, options.length) {
                println!("{:8.3}  {fault}", time.as_secs_f64());
            }
        }
        Mode::Check(directory, options) => {
            let options = arguments::Options { keep: Some(directory.clone()), ..options };
            let verdict = verdict::Verdict { options, ..verdict::Verdict::over(&directory)? };
            return verdict.tell();
        }
        Mode::Show(file) => {
            let mut reader = cpg_checker::Source::File(file).open_at(0)?;
            while let Some(record) = reader.read()? {
                println!("{record:?}");
            }
        }
        Mode::Run(options) => return run::run(options)?.tell(),
    }
    Ok(true)
}
