//! Linux: descriptors, sockets, stacks, forks, and threads with their own tables.
//!
//! Only this folder and `ffi` contain `unsafe`.
#![allow(unsafe_code)]

pub(crate) mod ending;
pub(crate) mod fd;
pub(crate) mod fork;
pub(crate) mod handover;
pub(crate) mod lock;
#[cfg(any(miri, cpg_model))]
mod miri;
#[cfg(cpg_model)]
pub(crate) mod model;
pub(crate) mod outstanding;
pub(crate) mod patience;
pub(crate) mod readiness;
pub(crate) mod shared_memory;
pub(crate) mod socket;
pub(crate) mod stack;
pub(crate) mod thread;
pub(crate) mod worker;
