//! The end of a membership with its connection, and the beginning of the next one.

use crate::error::Error;
use crate::event::view::{ConfChg, View};

/// A membership has ended with the connection to its daemon; the group is on its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub(crate) generation: u64,
    pub(crate) error: Error,
}

impl Lost {
    /// Which membership has ended: 1 for the first, and one more for each that follows.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What said so.
    pub fn error(&self) -> &Error {
        &self.error
    }
}

/// A group has come back: the first event of its new membership, in place of the first view's
/// [`ConfChg`](crate::Event::ConfChg).
#[derive(Debug, Clone, Copy)]
pub struct Rejoined<'a> {
    pub(crate) generation: u64,
    pub(crate) view: ConfChg<'a>,
}

impl<'a> Rejoined<'a> {
    /// Which membership begins: one more than that which was [lost](Lost::generation).
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Who is in the group now.
    pub fn view(&self) -> ConfChg<'a> {
        self.view
    }

    /// A copy that can be kept.
    pub fn to_comeback(&self) -> Comeback {
        Comeback { generation: self.generation, view: self.view.to_view() }
    }
}

/// A [`Rejoined`] that owns its view.
///
/// ```
/// use cpg::{Comeback, Event, OwnedEvent, Rejoined};
///
/// /// Those who went on while this member was away.
/// fn others(back: &Rejoined<'_>) -> usize {
///     back.view().members().len() - 1
/// }
///
/// /// What a loop that keeps events for later does with one.
/// fn later(event: &OwnedEvent) {
///     if let OwnedEvent::Rejoined(comeback) = event {
///         let comeback: &Comeback = comeback;
///         println!("generation {}: {:?}", comeback.generation(), comeback.view().members());
///     }
/// }
///
/// /// A copy by itself.
/// fn keep(event: &Event<'_>) -> Option<Comeback> {
///     if let Event::Rejoined(rejoined) = event { Some(rejoined.to_comeback()) } else { None }
/// }
/// # let _ = (others as fn(&_) -> _, later as fn(&_), keep as fn(&Event<'_>) -> _);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comeback {
    generation: u64,
    view: View,
}

impl Comeback {
    /// Which membership begins: one more than that which was [lost](Lost::generation).
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Who is in the group now.
    pub fn view(&self) -> &View {
        &self.view
    }
}
