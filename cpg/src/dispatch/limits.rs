//! How long a dispatch goes on.

use std::time::Instant;

use crate::dispatch::waker::Waker;

/// The limits of a dispatch: how many events it handles, and how long it waits for them.
///
/// Waiting is `poll` on the [descriptor](crate::Group#impl-AsFd-for-Group), never a wait in libcpg, which nothing could stop
/// (B6). A signal does not end it (B11). Between two events all limits are looked at, so that a stream of events keeps none of
/// them off.
///
/// | C | here |
/// |---|---|
/// | `CS_DISPATCH_ALL` | [`available()`](Self::available) |
/// | `CS_DISPATCH_ONE` | [`one()`](Self::one) |
/// | `CS_DISPATCH_ONE_NONBLOCKING` | [`available()`](Self::available)[`.at_most(1)`](Self::at_most) |
/// | `CS_DISPATCH_BLOCKING` | [`forever()`](Self::forever), which a [`Waker`] or the handler can stop |
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
    /// Handles events until none is there, without waiting.
    ///
    /// A stream of events can keep it for as long as the stream lasts: loops that have other things to do add
    /// [`at_most`](Self::at_most) or [`until`](Self::until).
    #[doc(alias = "CS_DISPATCH_ALL")]
    #[doc(alias = "CS_DISPATCH_ONE_NONBLOCKING")]
    pub const fn available() -> Self {
        Self { most: usize::MAX, waits: false, deadline: None, waker: None }
    }

    /// Waits for one event, and handles it.
    #[doc(alias = "CS_DISPATCH_ONE")]
    pub const fn one() -> Self {
        Self { most: 1, ..Self::forever() }
    }

    /// Handles events, and waits for more, until something else ends it.
    #[doc(alias = "CS_DISPATCH_BLOCKING")]
    pub const fn forever() -> Self {
        Self { waits: true, ..Self::available() }
    }

    /// Handles so many events at most: none with 0, and then it does not wait either.
    pub const fn at_most(self, events: usize) -> Self {
        Self { most: events, ..self }
    }

    /// Ends at the deadline. One that has passed already still takes one event that is there.
    pub const fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Ends when `waker` is woken.
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
    /// No event was there, and the limits do not wait for one.
    Idle,
    /// As many events as the limits allow were handled.
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
