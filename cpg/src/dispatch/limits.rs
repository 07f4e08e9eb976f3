//! The limits of a dispatch, and the reasons why it ends.

use std::time::Instant;

use crate::dispatch::waker::Waker;

/// The limits of a dispatch: the number of events that it handles, and the time that it waits for them.
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use cpg::{Group, Limits};
///
/// let mut group = Group::join("ledger")?;
/// let soon = Instant::now() + Duration::from_millis(100);
/// group.dispatch(Limits::one().until(soon), |_, event| println!("{event:?}"))?;
/// group.dispatch(Limits::available().at_most(64), |_, event| println!("{event:?}"))?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// A dispatch waits with `poll` on the [descriptor](crate::Group#impl-AsFd-for-Group), never in libcpg, where nothing could stop
/// the wait ([B6](crate::facts#b6)). A signal does not end the wait ([B11](crate::facts#b11)). A dispatch checks all limits between
/// two events, so a stream of events delays none of them.
///
/// | C | here |
/// |---|---|
/// | `CS_DISPATCH_ALL` | [`available()`](Self::available) |
/// | `CS_DISPATCH_ONE` | [`one()`](Self::one) |
/// | `CS_DISPATCH_ONE_NONBLOCKING` | [`available()`](Self::available)[`.at_most(1)`](Self::at_most) |
/// | `CS_DISPATCH_BLOCKING` | [`forever()`](Self::forever), which a [`Waker`] or the handler can stop |
#[doc(alias = "cs_dispatch_flags_t")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Limits<'w> {
    pub(super) most: usize,
    pub(super) waits: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) waker: Option<&'w Waker>,
}

impl<'w> Limits<'w> {
    /// Handles the events that are there, until none is left. Does not wait.
    ///
    /// While a stream of events goes on, the dispatch goes on too. Loops that have other things to do add
    /// [`at_most`](Self::at_most) or [`until`](Self::until).
    #[doc(alias = "CS_DISPATCH_ALL")]
    #[doc(alias = "CS_DISPATCH_ONE_NONBLOCKING")]
    pub const fn available() -> Self {
        Self { most: usize::MAX, waits: false, deadline: None, waker: None }
    }

    /// Waits for one event and handles it.
    #[doc(alias = "CS_DISPATCH_ONE")]
    pub const fn one() -> Self {
        Self { most: 1, ..Self::forever() }
    }

    /// Handles events, and waits for more events, until another limit or the handler ends the dispatch.
    #[doc(alias = "CS_DISPATCH_BLOCKING")]
    pub const fn forever() -> Self {
        Self { waits: true, ..Self::available() }
    }

    /// Handles at most this number of events. With 0 the dispatch handles none and does not wait.
    pub const fn at_most(self, events: usize) -> Self {
        Self { most: events, ..self }
    }

    /// Ends the dispatch at the deadline. If the deadline has passed already, one event that is there is still handled.
    pub const fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Ends the dispatch when `waker` is woken.
    pub const fn woken_by(self, waker: &'w Waker) -> Self {
        Self { waker: Some(waker), ..self }
    }
}

/// The reason why a run ended.
///
/// ```no_run
/// use std::ops::ControlFlow::{Break, Continue};
/// use std::time::{Duration, Instant};
/// use cpg::{Ended, Event, Group, Limits};
///
/// let mut group = Group::join("ledger")?;
/// let soon = Limits::forever().until(Instant::now() + Duration::from_secs(1));
/// let ended: Ended<Vec<u8>> = group.run(soon, |_, event| match event {
///     Event::Deliver(message) => Break(message.payload().to_vec()),
///     _ => Continue(()),
/// })?;
/// if let Some(payload) = ended.broke() {
///     println!("{payload:?}");
/// }
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended<T> {
    /// The handler broke with this value.
    Broke(T),
    /// The [`Waker`] was woken.
    Woken,
    /// The deadline passed.
    TimedOut,
    /// No event was there, and the limits do not wait for events.
    Idle,
    /// The number of events that the limits allow was handled.
    Enough,
}

impl<T> Ended<T> {
    /// Returns the value that the handler broke with, if it did.
    pub fn broke(self) -> Option<T> {
        match self {
            Self::Broke(value) => Some(value),
            _ => None,
        }
    }
}
