//! The facts that are known of each message.

use std::collections::HashMap;

use crate::record::{Fate, MessageId};

/// The smallest length of a message that may travel in parts. (The real limit is 1 MiB less 1 KiB; no message is
/// between the two.)
pub(crate) const LONG: u32 = 1_000_000;

/// The facts that are known of one message.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) hash: u32,
    pub(crate) len: u32,
    pub(crate) known: bool,
    pub(crate) tracked: bool,
    /// The answers that the sender got, one bit for each fate.
    pub(crate) fates: u8,
    /// True if the message was delivered to its sender.
    pub(crate) own: bool,
    /// The number of clients to which the message is delivered.
    pub(crate) delivered: u32,
    /// The number of clients that wait at this message, for the check of the order.
    pub(crate) reached: u32,
}

impl Sent {
    pub(crate) fn has(&self, fate: Fate) -> bool {
        self.fates & (1 << fate as u8) != 0
    }
}

/// The messages of all processes.
#[derive(Debug, Default)]
pub(crate) struct Messages(HashMap<(u16, u16), Vec<Sent>>);

impl Messages {
    pub(crate) fn get_mut(&mut self, id: MessageId) -> &mut Sent {
        let all = self.0.entry((id.client, id.launch)).or_default();
        let index = id.seq as usize;
        if all.len() <= index {
            all.resize(index + 1, Sent::default());
        }
        &mut all[index]
    }

    pub(crate) fn get(&self, id: MessageId) -> Sent {
        self.of(id.client, id.launch).get(id.seq as usize).copied().unwrap_or_default()
    }

    pub(crate) fn of(&self, client: u16, launch: u16) -> &[Sent] {
        self.0.get(&(client, launch)).map_or(&[], Vec::as_slice)
    }
}

/// A check that the deliveries to one client, over all its processes, are in the order of their senders.
#[derive(Debug, Default)]
pub(crate) struct Sequence(HashMap<(u16, u16), u32>);

impl Sequence {
    pub(crate) fn is_next(&mut self, id: MessageId) -> bool {
        match self.0.get_mut(&(id.client, id.launch)) {
            Some(last) if id.seq <= *last => false,
            Some(last) => {
                *last = id.seq;
                true
            }
            None => {
                self.0.insert((id.client, id.launch), id.seq);
                true
            }
        }
    }
}
