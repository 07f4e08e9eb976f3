//! `main` returns the error.
//!
//! Each error of this crate says what failed, in which C call, and what to do. `Debug` of [`cpg::Error`], which Rust
//! prints when `main` returns an error, is the same text. So `main` can return `cpg::Result<()>`, or a `Box<dyn Error>`
//! where other errors occur as well, and the exit status is 1. A program that wants its own text and status matches the
//! result in `main`.

use std::error::Error;
use std::time::{Duration, Instant};

use cpg::ConnectOptions;

/// A service may be started before corosync is up. A tool that a person runs would not wait.
const START: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    // Connect once, here. A connection is not inherited: a program that forks, to run as a daemon, forks before this
    // line.
    let group = ConnectOptions::new().wait_for_daemon().join_until("idioms", Instant::now() + START)?;
    println!("this member is {}, of {:?}", group.me(), group.members()?);
    // An error of leaving is lost if the group is only dropped.
    group.leave()?;
    Ok(())
}
