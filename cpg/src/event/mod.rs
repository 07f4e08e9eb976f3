//! Events: what a group hears, each kind borrowed from libcpg for the length of a call beside its twin that can be kept.

pub(crate) mod event;
pub(crate) mod malformed;
pub(crate) mod message;
pub(crate) mod reconnect;
pub(crate) mod ring;
pub(crate) mod undelivered;
pub(crate) mod view;
