//! A check of the crate `cpg`: its files import in the direction of its [levels](levels::LEVELS), and
//! `unsafe` stays in two of its folders.
//!
//! - A file imports from its own folder and from folders of lower levels. There is no circle of files.
//! - A path names the module that an item is defined in, and goes through no re-export.
//! - A `mod.rs` has modules and re-exports, and nothing else.
//! - `unsafe` and `allow(unsafe_code)` stand in `os` and `ffi` alone, the latter once, in `mod.rs`. Nothing
//!   is transmuted, and no type is declared `Send` or `Sync`.
//!
//! The root file `lib.rs` may name everything. Modules that only tests and rustdoc see (`#[cfg(test)]`,
//! `#[cfg(any(doc, doctest))]`) are free to import; what is said of `unsafe` holds for them too.
//!
//! # What a parser cannot see
//!
//! The files are parsed, not compiled. A dependency without a path stays unseen: a call of a method, the
//! type of a value that is only passed on, a name that a macro puts together. A macro's arguments are read
//! as tokens: `a::b` is a path wherever it stands.
#![deny(unsafe_code)]

pub mod levels;
mod mentions;
mod modules;
mod report;
mod resolve;
mod rules;
mod scan;
mod unsafety;

pub use report::{Report, Violation};

use std::collections::BTreeMap;

use crate::modules::Crate;

/// The text of each file, by its path from `src` on, with slashes.
pub type Sources = BTreeMap<String, String>;

/// Checks a crate.
///
/// # Errors
///
/// A text that says which file cannot be parsed, or is missing.
pub fn check(sources: &Sources) -> Result<Report, String> {
    let krate = Crate::read(sources)?;
    let mut report = Report::default();
    rules::check(&krate, &mut report);
    unsafety::check(&krate, &mut report);
    for file in &krate.files {
        report.file(&file.name, file.lines);
    }
    for name in sources.keys().filter(|name| !krate.files.iter().any(|file| file.name == **name)) {
        report.violation(name, 1, "no file declares this one as a module: declare it or delete it");
    }
    report.finish();
    Ok(report)
}
