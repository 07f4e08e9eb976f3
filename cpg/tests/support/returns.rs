//! Sessions that come back, and what they tell of it.

use cpg::{OwnedEvent, Receiver, Reconnect, Session, SessionOptions};

use super::{deadline, pump_session};

pub fn returning(reconnect: Reconnect) -> SessionOptions {
    Session::options().reconnect(reconnect)
}

/// Dispatches until the session has come back, and returns the events that led to it.
pub fn until_back(session: &mut Session) -> Vec<OwnedEvent> {
    pump_session(session, |events| matches!(events.last(), Some(OwnedEvent::Rejoined(_))))
}

/// As [`until_back`], of a receiver.
pub fn until_received_back(receiver: &mut Receiver) -> Vec<OwnedEvent> {
    let mut events = Vec::new();
    while !matches!(events.last(), Some(OwnedEvent::Rejoined(_))) {
        events.extend(receiver.recv_until(deadline()).unwrap());
    }
    events
}

/// What became of messages, in the order of events: those handed back, and `lost` and `rejoined` by generation.
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

/// Takes events until the receiver has heard that its membership is lost.
pub fn until_lost(receiver: &mut Receiver) {
    while !matches!(receiver.recv().unwrap(), OwnedEvent::Lost(_)) {}
}
