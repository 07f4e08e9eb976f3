//! The programs on real corosync daemons, in private clusters.

mod chat;
mod counter;
mod cpgbench;
mod cpgcat;
mod every_program;
mod loops;
mod members;
mod support;
#[cfg(feature = "loops")]
mod tokio_chat;
