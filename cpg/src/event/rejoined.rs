//! The beginning of the next membership.

use crate::event::view::{OwnedView, View};

/// A session has come back: the first event of its new membership, in place of the first view's
/// [`ConfChg`](crate::Event::ConfChg).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejoined<'a> {
    pub(crate) generation: u64,
    pub(crate) view: View<'a>,
}

impl<'a> Rejoined<'a> {
    /// The number of the membership that begins: one more than that which was [lost](crate::Lost::generation).
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The view that it begins with.
    pub fn view(&self) -> View<'a> {
        self.view
    }

    /// Copies the view into one that can be kept.
    pub fn into_owned(self) -> OwnedRejoined {
        OwnedRejoined { generation: self.generation, view: self.view.into_owned() }
    }
}

/// A [`Rejoined`] that owns its view.
///
/// ```
/// use cpg::{Event, OwnedEvent, OwnedRejoined, Rejoined};
///
/// /// Those who went on while this member was away.
/// fn others(rejoined: Rejoined<'_>) -> usize {
///     rejoined.view().members().len() - 1
/// }
///
/// /// What a loop that keeps events for later does with one.
/// fn later(event: &OwnedEvent) {
///     if let OwnedEvent::Rejoined(rejoined) = event {
///         let (generation, view) = (rejoined.generation(), rejoined.view());
///         println!("generation {generation}: {:?}, {} others", view.members(), others(rejoined.as_rejoined()));
///     }
/// }
///
/// /// A copy by itself.
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

    /// Borrows the view, and says which membership begins with it.
    pub fn as_rejoined(&self) -> Rejoined<'_> {
        Rejoined { generation: self.generation, view: self.view.as_view() }
    }

    /// The number of the membership that begins: one more than that which was [lost](crate::Lost::generation).
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The view that it begins with.
    pub fn view(&self) -> &OwnedView {
        &self.view
    }
}
