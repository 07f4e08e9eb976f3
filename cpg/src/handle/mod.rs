//! Connected: what the daemon can be asked. (The options of a connection are in `ffi`, which `more_handles` needs.)

pub(crate) mod backoff;
pub(crate) mod daemon;
pub(crate) mod handle;
pub(crate) mod members;
pub(crate) mod process;
