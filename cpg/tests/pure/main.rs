//! What needs neither libcpg nor a daemon.

mod documentation;
mod references;
mod vocabulary;
