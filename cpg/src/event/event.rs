//! The events of a group and of a session.

use crate::event::lost::Lost;
use crate::event::malformed_packet::{MalformedPacket, OwnedMalformedPacket};
use crate::event::message::{Message, OwnedMessage};
use crate::event::rejoined::{OwnedRejoined, Rejoined};
use crate::event::ring::{OwnedRing, Ring};
use crate::event::undelivered::Undelivered;
use crate::event::view::{OwnedView, View};

/// An event of a group. [`Deliver`](Self::Deliver) and [`ConfChg`](Self::ConfChg) come in the order on which all members agree.
///
/// ```no_run
/// use cpg::{Event, Group, Limits, OwnedEvent};
///
/// let mut group = Group::join("ledger")?;
/// let mut kept: Vec<OwnedEvent> = Vec::new();
/// group.dispatch(Limits::one(), |_, event: Event<'_>| kept.push(event.into_owned()))?;
/// assert!(matches!(&kept[..], [OwnedEvent::ConfChg(view)] if view.is_first()));
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// The first three kinds come from libcpg. A [`Group`](crate::Group) gets only these. A [`Session`](crate::Session) gets the others
/// too.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message was delivered. Messages of this member are delivered too.
    Deliver(Message<'a>),
    /// Members joined or left the group.
    ConfChg(View<'a>),
    /// Nodes joined or left the cluster, or this part of it.
    TotemConfChg(Ring<'a>),
    /// The rest of a [packet](crate::packet) cannot be read, or a packet has come to a session that does not
    /// [coalesce](crate::SessionOptions::coalesce). Only in a [`Session`](crate::Session).
    Malformed(MalformedPacket<'a>),
    /// A message of this member will not come back to it. Other members may have got it, if [`was_sent`](Undelivered::was_sent)
    /// is true. Only in a [`Session`](crate::Session).
    Undelivered(Undelivered),
    /// The connection was lost, which has ended the membership. The session is trying to come back. Only in a session that
    /// [reconnects](crate::SessionOptions::reconnect).
    Lost(Lost),
    /// The session has come back, and this is its first view. Only in a session that
    /// [reconnects](crate::SessionOptions::reconnect).
    Rejoined(Rejoined<'a>),
}

impl Event<'_> {
    /// Copies the event into an owned event, which can be kept.
    pub fn into_owned(self) -> OwnedEvent {
        match self {
            Self::Deliver(message) => OwnedEvent::Deliver(message.into_owned()),
            Self::ConfChg(view) => OwnedEvent::ConfChg(view.into_owned()),
            Self::TotemConfChg(ring) => OwnedEvent::TotemConfChg(ring.into_owned()),
            Self::Malformed(packet) => OwnedEvent::Malformed(packet.into_owned()),
            Self::Undelivered(message) => OwnedEvent::Undelivered(message),
            Self::Lost(lost) => OwnedEvent::Lost(lost),
            Self::Rejoined(rejoined) => OwnedEvent::Rejoined(rejoined.into_owned()),
        }
    }
}

/// An [`Event`] that owns its data.
///
/// ```no_run
/// use cpg::{Group, OwnedEvent};
///
/// let mut group = Group::join("ledger")?;
/// let mut entries = Vec::new();
/// group.send(b"+5 alice")?;
/// while entries.is_empty() {
///     match group.recv()? {
///         OwnedEvent::Deliver(message) => entries.push(message.into_payload()),
///         OwnedEvent::ConfChg(view) => println!("members: {:?}", view.members()),
///         _ => {}
///     }
/// }
/// group.leave()?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// # Tests without a cluster
///
/// Tests can make owned events, and [borrow](Self::as_event) them for the code that handles events:
///
/// ```
/// use cpg::{CsError, Error, Event, GroupName, Lost, Member, NodeId, Reason, RingId, Undelivered};
/// use cpg::{OwnedEvent, OwnedMalformedPacket, OwnedMessage, OwnedRejoined, OwnedRing, OwnedView, packet};
///
/// #[derive(Debug, Default, PartialEq)]
/// struct Ledger {
///     entries: Vec<Vec<u8>>,
///     leads: bool,
///     crashed: usize,
/// }
///
/// impl Ledger {
///     fn hear(&mut self, me: Member, event: Event<'_>) {
///         match event {
///             Event::Deliver(message) => self.entries.push(message.payload().to_vec()),
///             Event::ConfChg(view) => {
///                 self.leads = view.lowest() == Some(me);
///                 self.crashed += view.left().iter().filter(|member| member.reason() == Reason::ProcDown).count();
///             }
///             Event::Rejoined(_) => self.entries.clear(),
///             _ => {}
///         }
///     }
/// }
///
/// let group = || GroupName::new("ledger").unwrap();
/// let [first, me] = [1, 2].map(|node| Member::new(NodeId::new(node), 4711));
/// let both = OwnedView::new(group(), me, [first, me]).with_joined([me.with_reason(Reason::Join)]);
/// let alone = OwnedView::new(group(), me, [me]).with_left([first.with_reason(Reason::ProcDown)]);
/// let gone = Error::Cs { call: "cpg_dispatch", code: CsError::Library };
///
/// let mut ledger = Ledger::default();
/// for mut event in [
///     OwnedEvent::ConfChg(both),
///     OwnedEvent::Deliver(OwnedMessage::new(group(), first, "+5 alice")),
///     OwnedEvent::Malformed(OwnedMalformedPacket::new(group(), first, "+7 bob", packet::Error::Magic)),
///     OwnedEvent::TotemConfChg(OwnedRing::new(RingId::new(9, me.node()), [me.node()])),
///     OwnedEvent::ConfChg(alone.clone()),
/// ] {
///     ledger.hear(me, event.as_event());
/// }
/// assert_eq!(ledger, Ledger { entries: vec![b"+5 alice".to_vec()], leads: true, crashed: 1 });
/// for mut event in [
///     OwnedEvent::Undelivered(Undelivered::new("-5 alice", true, gone.clone())),
///     OwnedEvent::Lost(Lost::new(1, gone)),
///     OwnedEvent::Rejoined(OwnedRejoined::new(2, alone)),
/// ] {
///     ledger.hear(me, event.as_event());
/// }
/// assert!(ledger.entries.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnedEvent {
    /// A message was delivered.
    Deliver(OwnedMessage),
    /// Members joined or left the group.
    ConfChg(OwnedView),
    /// Nodes joined or left the cluster.
    TotemConfChg(OwnedRing),
    /// A packet cannot be read, or a session that does not coalesce has got one.
    Malformed(OwnedMalformedPacket),
    /// A message of this member will not come back to it.
    Undelivered(Undelivered),
    /// The connection was lost, which has ended the membership.
    Lost(Lost),
    /// The session has come back, with its first view.
    Rejoined(OwnedRejoined),
}

impl OwnedEvent {
    /// Borrows the event, for code that handles borrowed events.
    ///
    /// The borrow is mutable, because a [message](crate::OwnedMessage::as_message) can be changed in place. Kinds without a borrowed
    /// form are cloned.
    ///
    /// ```no_run
    /// use cpg::{Event, Group, OwnedEvent};
    ///
    /// fn show(event: Event<'_>) {
    ///     println!("{event:?}");
    /// }
    ///
    /// let mut group = Group::join("ledger")?;
    /// let mut event: OwnedEvent = group.recv()?;
    /// show(event.as_event());
    /// # Ok::<(), cpg::Error>(())
    /// ```
    pub fn as_event(&mut self) -> Event<'_> {
        match self {
            Self::Deliver(message) => Event::Deliver(message.as_message()),
            Self::ConfChg(view) => Event::ConfChg(view.as_view()),
            Self::TotemConfChg(ring) => Event::TotemConfChg(ring.as_ring()),
            Self::Malformed(packet) => Event::Malformed(packet.as_malformed_packet()),
            Self::Undelivered(message) => Event::Undelivered(message.clone()),
            Self::Lost(lost) => Event::Lost(lost.clone()),
            Self::Rejoined(rejoined) => Event::Rejoined(rejoined.as_rejoined()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cs_error::CsError;
    use crate::error::Error;
    use crate::event::ring::RingId;
    use crate::group_name::GroupName;
    use crate::member::{Member, NodeId};
    use crate::packet::format;

    /// Calls `work` with an event of each kind.
    fn each(work: impl Fn(Event<'_>)) {
        let group = &GroupName::new("ledger").unwrap();
        let [me, other] = [1, 2].map(|node| Member::new(NodeId::new(node), 4711));
        let view = View { group, members: &[me], left: &[other], joined: &[me], me };
        let error = Error::Cs { call: "cpg_dispatch", code: CsError::Library };
        let (id, malformed) = (RingId::new(42, NodeId::new(1)), format::Error::Flags(1));
        let mut payload = *b"+5 alice";
        for event in [
            Event::Deliver(Message { group, sender: other, payload: &mut payload, packed: true }),
            Event::ConfChg(view),
            Event::TotemConfChg(Ring { id, members: &[NodeId::new(1)] }),
            Event::Malformed(MalformedPacket { group, sender: other, bytes: b"rest", error: malformed }),
            Event::Undelivered(Undelivered::new(b"+5 bob".to_vec(), true, error.clone())),
            Event::Lost(Lost { generation: 1, error }),
            Event::Rejoined(Rejoined { generation: 2, view }),
        ] {
            work(event);
        }
    }

    #[test]
    fn an_event_that_was_kept_and_is_borrowed_again_is_the_same() {
        each(|event| {
            let borrowed = format!("{event:?}");
            let mut owned = event.into_owned();
            let kept = owned.clone();
            assert_eq!(format!("{:?}", owned.as_event()), borrowed);
            assert_eq!(owned.as_event().into_owned(), kept);
        });
    }

    #[test]
    fn what_an_owned_event_says_is_what_the_borrowed_one_says() {
        each(|event| match event.into_owned() {
            OwnedEvent::Deliver(mut message) => {
                assert_eq!((message.payload(), message.is_packed()), (&b"+5 alice"[..], true));
                message.as_message().payload_mut()[0] = b'-';
                assert_eq!(message.into_payload(), b"-5 alice");
            }
            OwnedEvent::ConfChg(view) => {
                assert!(view.includes_me() && view.is_first());
                assert_eq!((view.lowest(), view.left().len()), (view.as_view().lowest(), 1));
            }
            OwnedEvent::TotemConfChg(ring) => {
                assert_eq!((ring.id(), ring.members()), (ring.as_ring().id(), ring.as_ring().members()));
            }
            OwnedEvent::Malformed(packet) => {
                let borrowed = packet.as_malformed_packet();
                assert_eq!((packet.error(), packet.sender()), (borrowed.error(), borrowed.sender()));
                assert_eq!((packet.group(), packet.bytes()), (borrowed.group(), borrowed.bytes()));
                assert_eq!(packet.into_bytes(), b"rest");
            }
            OwnedEvent::Rejoined(rejoined) => {
                assert_eq!((rejoined.generation(), rejoined.as_rejoined().generation()), (2, 2));
                assert_eq!(rejoined.as_rejoined().view().into_owned(), *rejoined.view());
            }
            OwnedEvent::Undelivered(_) | OwnedEvent::Lost(_) => {}
        });
    }
}
