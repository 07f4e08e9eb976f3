//! Tests that need neither libcpg nor a daemon.

mod documentation;
mod references;
mod sources;
mod vocabulary;
