//! A replicated key-value store on closed process groups, whose acknowledged writes survive.
//!
//! Other programs can reuse [`replica`]: state that is the same on all members, without any I/O. [`store`] is the state here, [`serve`] the
//! program around both, and [`client`] a client of that program.

#![forbid(unsafe_code)]

pub mod bench;
pub mod client;
pub mod replica;
pub mod serve;
pub mod store;
pub mod wire;
