//! Connections that have not joined a group, and the questions that they can ask. (The options of a connection are in `ffi`,
//! because the option `more_handles` is unsafe.)

pub(crate) mod backoff;
pub(crate) mod daemon;
pub(crate) mod handle;
pub(crate) mod members;
pub(crate) mod process;
