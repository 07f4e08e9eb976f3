//! Sessions for tasks on real corosync daemons, in private clusters.
#![cfg(feature = "tokio")]

mod basics;
mod cancel;
mod faults;
mod full;
mod limits;
mod paused;
mod reconnect;
#[path = "../support/mod.rs"]
mod support;
mod waits;
