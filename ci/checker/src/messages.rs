//! What is known of each message.

use std::collections::HashMap;

use crate::record::{Fate, MessageId};

/// From here on a message may travel in parts. (The limit is 1 MiB less 1 KiB; nothing is sent between the two.)
pub(crate) const LONG: u32 = 1_000_000;

/// What is known of one message.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) hash: u32,
    pub(crate) len: u32,
    pub(crate) known: bool,
    pub(crate) tracked: bool,
    /// One bit for each fate.
    pub(crate) fates: u8,
    /// Its sender has delivered it.
    pub(crate) own: bool,
    /// Clients that deliver it.
    pub(crate) delivered: u32,
    /// Clients that have come to it: for the order.
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

/// Tells deliveries that are in their sender's order from those that are not. One for a client, over all its processes.
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
