//! The working directory. Threads and commands on a node go back to it by its path.

use std::env;
use std::fs;
use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// Fails if the user of the process cannot reach the working directory by its path. This happens if a program is
/// started in root's home directory and then becomes another user. The process can use the directory, but no node can
/// enter it.
pub(crate) fn check() -> Result<()> {
    let directory = env::current_dir().map_err(|error| unreachable("the working directory", None, &error))?;
    enter(&directory).map_err(|error| {
        // The error names the first directory on the path that is closed.
        let mut way: Vec<&Path> = directory.ancestors().collect();
        way.reverse();
        let closed = way.into_iter().find(|part| enter(part).is_err());
        unreachable(&directory.display().to_string(), closed, &error)
    })
}

/// Checks that the user can enter a directory and all directories above it.
fn enter(directory: &Path) -> io::Result<()> {
    fs::metadata(directory.join(".")).map(drop)
}

fn unreachable(directory: &str, closed: Option<&Path>, error: &io::Error) -> Error {
    let closed = closed.map_or_else(String::new, |closed| format!("{}: ", closed.display()));
    Error::Directory(format!(
        "a test cluster cannot be started in {directory}, which the user of this process cannot reach ({closed}{error}). \
         Threads and commands on a node go to the directory that the cluster was started in: \
         change to one that this user can enter, such as `cd /`, before starting it"
    ))
}
