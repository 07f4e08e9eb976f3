//! Dispatching: how long it goes on, and what ends it.

pub(crate) mod events;
pub(crate) mod limits;
pub(crate) mod plain;
pub(crate) mod run;
pub(crate) mod waker;
