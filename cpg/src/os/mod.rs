//! What the crate needs of Linux.

pub(crate) mod readiness;
pub(crate) mod stack;
