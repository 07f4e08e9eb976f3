//! What programs with traffic need: a queue, tickets, packets, reconnecting.

pub(crate) mod delivery;
pub(crate) mod flow;
pub(crate) mod lag;
pub(crate) mod outbox;
pub(crate) mod queue;
pub(crate) mod reconnect;
pub(crate) mod recovery;
pub(crate) mod rejoin;
pub(crate) mod requests;
pub(crate) mod split;
pub(crate) mod ticket;
