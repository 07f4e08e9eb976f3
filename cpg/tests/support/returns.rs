//! Sessions that reconnect, and their events.

use cpg::{OwnedEvent, Receiver, Reconnect, Session, SessionOptions};

use super::{deadline, pump_session};

pub fn returning(reconnect: Reconnect) -> SessionOptions {
    Session::options().reconnect(reconnect)
}

/// Dispatches until the session has rejoined, and returns the events up to then.
pub fn until_back(session: &mut Session) -> Vec<OwnedEvent> {
    pump_session(session, |events| matches!(events.last(), Some(OwnedEvent::Rejoined(_))))
}

/// Dispatches a receiver, as [`until_back`] does.
pub fn until_received_back(receiver: &mut Receiver) -> Vec<OwnedEvent> {
    let mut events = Vec::new();
    while !matches!(events.last(), Some(OwnedEvent::Rejoined(_))) {
        events.extend(receiver.recv_until(deadline()).unwrap());
    }
    events
}

/// Returns the fate of messages in the order of events: those that were handed back, and `lost` and `rejoined` with the
/// generation.
pub fn told(events: &[OwnedEvent]) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    events
        .iter()
        .filter_map(|event| match event {
            OwnedEvent::Deliver(message) => Some(text(message.payload())),
            OwnedEvent::Undelivered(message) => {
                assert!(message.error().is_connection_lost(), "{:?}", message.error());
                let how = if message.was_sent() { "sent" } else { "unsent" };
                Some(format!("{how} {}", text(message.payload())))
            }
            OwnedEvent::Lost(lost) => {
                assert!(lost.error().is_connection_lost());
                Some(format!("lost {}", lost.generation()))
            }
            OwnedEvent::Rejoined(back) => Some(format!("rejoined {}", back.generation())),
            _ => None,
        })
        .collect()
}

/// Takes events until the receiver gets the loss of its membership.
pub fn until_lost(receiver: &mut Receiver) {
    while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
}
