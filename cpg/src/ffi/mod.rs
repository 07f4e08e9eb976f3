//! libcpg: each function made safe.

pub(crate) mod raw;
pub(crate) mod room;
pub(crate) mod trampoline;
