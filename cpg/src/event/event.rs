//! Everything that a group hears.

use crate::event::malformed::{Malformed, MalformedPacket};
use crate::event::message::{Deliver, Message};
use crate::event::reconnect::{Comeback, Lost, Rejoined};
use crate::event::ring::{Ring, TotemConfChg};
use crate::event::undelivered::Undelivered;
use crate::event::view::{ConfChg, View};

/// Something that happened in a group, in the order that all its members agree on.
///
/// The first three are what libcpg has, and all that a [`Group`](crate::Group) gets. The others come to a
/// [`Session`](crate::Session).
///
/// ```no_run
/// use cpg::{Event, Group, Limits, OwnedEvent};
///
/// let mut group = Group::join("ledger")?;
/// let mut kept: Vec<OwnedEvent> = Vec::new();
/// group.dispatch(Limits::one(), |_, event: Event<'_>| kept.push(event.to_owned()))?;
/// assert!(matches!(&kept[..], [OwnedEvent::ConfChg(view)] if view.is_first()));
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message was delivered, own ones included.
    Deliver(Deliver<'a>),
    /// Members joined or left the group.
    ConfChg(ConfChg<'a>),
    /// Nodes joined or left the cluster, or this part of it.
    TotemConfChg(TotemConfChg<'a>),
    /// A [packet](crate::packet) cannot be read from here on. Only in a [coalesced](crate::Flow::coalesced) session.
    Malformed(Malformed<'a>),
    /// A message of this member was not delivered, and nothing will deliver it. Only in a [`Session`](crate::Session).
    Undelivered(Undelivered),
    /// The membership has ended with the connection, and the session is on its way back. Only in a session that
    /// [reconnects](crate::SessionOptions::reconnect).
    Lost(Lost),
    /// The session has come back, with this view as the first. Only in a session that [reconnects](crate::SessionOptions::reconnect).
    Rejoined(Rejoined<'a>),
}

impl Event<'_> {
    /// A copy that can be kept.
    pub fn to_owned(&self) -> OwnedEvent {
        match self {
            Self::Deliver(message) => OwnedEvent::Deliver(message.to_message()),
            Self::ConfChg(change) => OwnedEvent::ConfChg(change.to_view()),
            Self::TotemConfChg(change) => OwnedEvent::TotemConfChg(change.to_ring()),
            Self::Malformed(packet) => OwnedEvent::Malformed(packet.to_packet()),
            Self::Undelivered(message) => OwnedEvent::Undelivered(message.clone()),
            Self::Lost(lost) => OwnedEvent::Lost(lost.clone()),
            Self::Rejoined(back) => OwnedEvent::Rejoined(back.to_comeback()),
        }
    }
}

/// An [`Event`](crate::Event) that owns what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnedEvent {
    /// A message was delivered.
    Deliver(Message),
    /// Members joined or left the group.
    ConfChg(View),
    /// Nodes joined or left the cluster.
    TotemConfChg(Ring),
    /// A packet cannot be read.
    Malformed(MalformedPacket),
    /// A message of this member was not delivered.
    Undelivered(Undelivered),
    /// The membership has ended with the connection.
    Lost(Lost),
    /// The group has come back.
    Rejoined(Comeback),
}
