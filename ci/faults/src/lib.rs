//! What breaks a cluster and its clients: the plan, and doing it. The torture test of the crate and that of `examples/kv` share it.
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
