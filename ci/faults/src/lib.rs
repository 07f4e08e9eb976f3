//! Faults of a cluster and its clients: a plan of faults, and functions that apply them. The torture tests of the crate and of
//! `examples/kv` share this library.
#![forbid(unsafe_code)]

pub mod cluster;
pub mod plan;
pub mod random;
pub mod shared_memory;

use std::error::Error;

/// An error in words for the user of a command.
pub type Failure = Box<dyn Error + Send + Sync>;
/// A result with such an error.
pub type Result<T> = std::result::Result<T, Failure>;
