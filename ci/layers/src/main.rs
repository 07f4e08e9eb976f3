//! Checks the files under a folder: `layers SRC [EXCEPTIONS]`. Prints what is wrong and ends with 1 if
//! anything is, and with 2 if it cannot check.
#![deny(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use cpg_layers::exceptions::Exceptions;
use cpg_layers::{Report, Sources};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (root, list) = match &arguments[..] {
        [root] => (root, None),
        [root, list] => (root, Some(list)),
        _ => {
            eprintln!("usage: layers SRC [EXCEPTIONS]");
            return ExitCode::from(2);
        }
    };
    match check(root, list.map(String::as_str)) {
        Ok(report) => tell(root, &report, list.map_or("", String::as_str)),
        Err(error) => {
            eprintln!("layers: {error}");
            ExitCode::from(2)
        }
    }
}

fn check(root: &str, list: Option<&str>) -> Result<Report, String> {
    let exceptions = match list {
        Some(list) => {
            let text = fs::read_to_string(list).map_err(|error| format!("{list}: {error}"))?;
            Exceptions::parse(&text).map_err(|error| format!("{list}: {error}"))?
        }
        None => Exceptions::default(),
    };
    let mut sources = Sources::new();
    read(Path::new(root), "", &mut sources).map_err(|error| format!("{root}: {error}"))?;
    cpg_layers::check(&sources, exceptions).map_err(|error| format!("{root}: {error}"))
}

/// Reads the Rust files of a folder and of those in it.
fn read(folder: &Path, before: &str, sources: &mut Sources) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{before}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read(&entry.path(), &format!("{name}/"), sources)?;
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            sources.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

fn tell(root: &str, report: &Report, list: &str) -> ExitCode {
    for wrong in &report.violations {
        println!("{root}/{}:{}: {}", wrong.file, wrong.line, wrong.text);
    }
    for pair in &report.idle {
        println!("{list}: {pair} is no longer needed: delete the line");
    }
    for (file, lines) in &report.long {
        println!("note: {root}/{file} has {lines} lines");
    }
    println!(
        "{} files, {} imports between them, {} exceptions; wrong: {}",
        report.files,
        report.imports,
        report.excepted,
        report.violations.len() + report.idle.len()
    );
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
