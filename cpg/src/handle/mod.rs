//! Connected: options, and what the daemon can be asked.

pub(crate) mod daemon;
pub(crate) mod handle;
pub(crate) mod listing;
pub(crate) mod members;
