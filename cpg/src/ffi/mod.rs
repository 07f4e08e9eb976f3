//! libcpg: each function as a safe one that checks what the C function takes on trust.
//!
//! Beside `os`, the only folder with `unsafe` in it. [A1](crate::facts#a1), [B1](crate::facts#b1), … are facts that the crate's
//! documentation lists.
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
