//! The working directory, to which threads and commands on a node go back by its path.

use std::env;
use std::fs;
use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// Fails when the process is in a directory that its user cannot reach by its path, as when a program has been started in
/// root's home directory and become another user's. The directory itself is usable then, and no node can go to it.
pub(crate) fn check() -> Result<()> {
    let directory = env::current_dir().map_err(|error| unreachable("the working directory", None, &error))?;
    enter(&directory).map_err(|error| {
        // The first one on the way that is closed is the one to name.
        let mut way: Vec<&Path> = directory.ancestors().collect();
        way.reverse();
        let closed = way.into_iter().find(|part| enter(part).is_err());
        unreachable(&directory.display().to_string(), closed, &error)
    })
}

/// Looks into a directory, which takes the permission to enter it and all above it.
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
