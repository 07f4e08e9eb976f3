//! Joined: one membership on one connection.

pub(crate) mod callbacks;
pub(crate) mod group;
pub(crate) mod inbox;
pub(crate) mod join;
pub(crate) mod link;
pub(crate) mod run;
pub(crate) mod zero_copy;
