//! Joined connections: one membership on one connection, used by one thread.

pub(crate) mod callbacks;
pub(crate) mod group;
pub(crate) mod join;
pub(crate) mod leave;
pub(crate) mod link;
pub(crate) mod zero_copy;
