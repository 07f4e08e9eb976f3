//! The beginning of the next membership of a session.

use crate::event::view::{OwnedView, View};

/// The beginning of the next membership, after a session has come back.
///
/// ```
/// use cpg::{Event, Rejoined};
///
/// /// Returns the number of members who went on while this member was away.
/// fn others(rejoined: Rejoined<'_>) -> usize {
///     rejoined.view().members().len() - 1
/// }
///
/// fn handle(event: Event<'_>, state: &mut Option<Vec<u8>>) {
///     if let Event::Rejoined(rejoined) = event {
///         // The state is stale: ask the others for it.
///         *state = None;
///         println!("membership {}: {} others", rejoined.generation(), others(rejoined));
///     }
/// }
/// # let _: fn(Event<'_>, &mut Option<Vec<u8>>) = handle;
/// ```
///
/// It is the first event of the new membership. It replaces the [`ConfChg`](crate::Event::ConfChg) of the first view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejoined<'a> {
    pub(crate) generation: u64,
    pub(crate) view: View<'a>,
}

impl<'a> Rejoined<'a> {
    /// Returns the number of the membership that begins: one more than that of the membership that was
    /// [lost](crate::Lost::generation).
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the first view of the membership.
    pub fn view(&self) -> View<'a> {
        self.view
    }

    /// Copies the event into an owned form, which can be kept.
    pub fn into_owned(self) -> OwnedRejoined {
        OwnedRejoined { generation: self.generation, view: self.view.into_owned() }
    }
}

/// A [`Rejoined`] that owns its view.
///
/// ```
/// use cpg::{Event, OwnedEvent, OwnedRejoined, Rejoined};
///
/// /// Returns the number of members who went on while this member was away.
/// fn others(rejoined: Rejoined<'_>) -> usize {
///     rejoined.view().members().len() - 1
/// }
///
/// /// Handles an event that a loop has kept for later.
/// fn later(event: &OwnedEvent) {
///     if let OwnedEvent::Rejoined(rejoined) = event {
///         let (generation, view) = (rejoined.generation(), rejoined.view());
///         println!("generation {generation}: {:?}, {} others", view.members(), others(rejoined.as_rejoined()));
///     }
/// }
///
/// /// Copies the event, if it is of this kind.
/// fn keep(event: Event<'_>) -> Option<OwnedRejoined> {
///     if let Event::Rejoined(rejoined) = event { Some(rejoined.into_owned()) } else { None }
/// }
/// # let _ = (later as fn(&_), keep as fn(Event<'_>) -> _);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRejoined {
    generation: u64,
    view: OwnedView,
}

impl OwnedRejoined {
    /// Makes the beginning of the membership with this number, for [tests](crate::OwnedEvent#tests-without-a-cluster).
    pub fn new(generation: u64, view: OwnedView) -> Self {
        Self { generation, view }
    }

    /// Borrows the view, together with the number of its membership.
    pub fn as_rejoined(&self) -> Rejoined<'_> {
        Rejoined { generation: self.generation, view: self.view.as_view() }
    }

    /// Returns the number of the membership that begins: one more than that of the membership that was
    /// [lost](crate::Lost::generation).
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the first view of the membership.
    pub fn view(&self) -> &OwnedView {
        &self.view
    }
}
