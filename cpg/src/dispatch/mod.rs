//! How long a dispatch goes on, and what ends it.

pub(crate) mod limits;
pub(crate) mod source;
pub(crate) mod waker;
