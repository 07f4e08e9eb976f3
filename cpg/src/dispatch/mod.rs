//! Dispatching: the loop, its limits, and the waker that ends it.

pub(crate) mod events;
pub(crate) mod limits;
pub(crate) mod plain;
pub(crate) mod run;
pub(crate) mod waker;
