//! Connected: what the daemon can be asked. (The options of a connection are in `ffi`, since one of them is an unsafe function.)

pub(crate) mod daemon;
pub(crate) mod handle;
pub(crate) mod listing;
pub(crate) mod members;
