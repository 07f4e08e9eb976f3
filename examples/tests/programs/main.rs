//! The programs on real corosync daemons, in private clusters.

mod chat;
mod counter;
mod cpgbench;
mod cpgcat;
mod every_program;
mod idioms;
mod loops;
mod members;
mod support;
mod terminal;
#[cfg(feature = "loops")]
mod tokio_chat;
