//! The program `layers SRC`: it checks the files in a folder and prints the violations. The exit status is 1 if there
//! is a violation, and 2 if the check is not possible.
#![deny(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use cpg_layers::{Report, Sources};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root] = &arguments[..] else {
        eprintln!("usage: layers SRC");
        return ExitCode::from(2);
    };
    match check(root) {
        Ok(report) => tell(root, &report),
        Err(error) => {
            eprintln!("layers: {root}: {error}");
            ExitCode::from(2)
        }
    }
}

fn check(root: &str) -> Result<Report, String> {
    let mut sources = Sources::new();
    read(Path::new(root), "", &mut sources).map_err(|error| error.to_string())?;
    cpg_layers::check(&sources)
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

fn tell(root: &str, report: &Report) -> ExitCode {
    for wrong in &report.violations {
        println!("{root}/{}:{}: {}", wrong.file, wrong.line, wrong.text);
    }
    for (file, lines) in &report.long {
        println!("note: {root}/{file} has {lines} lines");
    }
    println!(
        "{} files, {} imports between them; wrong: {}",
        report.files,
        report.imports,
        report.violations.len()
    );
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
