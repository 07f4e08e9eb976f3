//! A check of the crate `cpg`: its files import in the direction of its [levels](levels::LEVELS), and
//! `unsafe` stays in two of its folders.
//!
//! - A file imports only from its folder and from folders of lower levels. Files do not import each other in a circle.
//! - A path names the module in which an item is defined, and uses no re-export.
//! - A `mod.rs` has modules and re-exports, and nothing else.
//! - `unsafe` and `allow(unsafe_code)` are only in `os` and `ffi`, the latter once, in `mod.rs`. There is no
//!   transmutation, and no type is declared `Send` or `Sync`.
//!
//! The root file `lib.rs` may name everything. Modules that only tests and rustdoc see (`#[cfg(test)]`,
//! `#[cfg(any(doc, doctest))]`) may import anything, but the rules about `unsafe` apply to them as well.
//!
//! # The limits of a parser
//!
//! The files are parsed and not compiled. So the check does not see a dependency without a path: a call of a method,
//! the type of a value that is only passed on, a name that a macro builds. The arguments of a macro are read as tokens:
//! `a::b` counts as a path in any place.
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
/// A text that names the file that cannot be parsed or is missing.
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
