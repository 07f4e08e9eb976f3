//! libcpg, with each function made safe: the wrappers check everything that the C functions assume.
//!
//! Only this folder and `os` have `unsafe` code. [A1](crate::facts#a1), [B1](crate::facts#b1) and so on refer to the list of
//! facts in the crate's documentation.
#![allow(unsafe_code)]

pub(crate) mod call;
pub(crate) mod connection;
pub(crate) mod context;
pub(crate) mod events;
mod frames;
pub(crate) mod iteration;
pub(crate) mod open;
pub(crate) mod options;
pub(crate) mod peer;
pub(crate) mod requests;
pub(crate) mod send;
pub(crate) mod slice;
#[cfg(all(test, cpg_model))]
#[path = "../../tests/stub/stub.rs"]
pub(crate) mod stub;
pub(crate) mod trampoline;
pub(crate) mod zero_copy;
