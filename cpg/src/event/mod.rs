//! Events: what a group hears, each kind borrowed from libcpg for the length of a call beside its twin that can be kept.

pub(crate) mod event;
pub(crate) mod lost;
pub(crate) mod malformed_packet;
pub(crate) mod message;
pub(crate) mod rejoined;
pub(crate) mod ring;
pub(crate) mod undelivered;
pub(crate) mod view;
