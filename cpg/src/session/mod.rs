//! A membership with a queue, for programs with traffic: tickets, packets, long messages, reconnecting.

pub(crate) mod absence;
pub(crate) mod access;
pub(crate) mod early;
pub(crate) mod end;
pub(crate) mod flow;
pub(crate) mod incoming;
pub(crate) mod lag;
pub(crate) mod losses;
#[cfg(all(test, cpg_model))]
mod model;
pub(crate) mod options;
pub(crate) mod outbox;
pub(crate) mod outcome;
pub(crate) mod pipeline;
pub(crate) mod push;
pub(crate) mod queue;
pub(crate) mod receiver;
pub(crate) mod reconnect;
pub(crate) mod rejoin;
pub(crate) mod sender;
pub(crate) mod sent;
pub(crate) mod session;
pub(crate) mod shared;
pub(crate) mod state;
pub(crate) mod ticket;
pub(crate) mod turn;
pub(crate) mod unpack;
pub(crate) mod wire;
