//! What needs neither libcpg nor a daemon.

mod documentation;
mod packet;
mod vocabulary;
