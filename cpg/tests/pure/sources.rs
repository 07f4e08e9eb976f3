//! The source files of the crate.

use std::fs;
use std::path::{Path, PathBuf};

/// Adds the files of Rust and of the guide below a directory.
pub fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "md") {
            found.push(path);
        }
    }
}
