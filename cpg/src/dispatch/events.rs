//! Events one by one, as an iterator.

use std::fmt;
use std::iter::FusedIterator;

use crate::error::Result;
use crate::event::event::OwnedEvent;

/// A source of single events: a group or a session.
pub(crate) trait Receive {
    /// Waits for the next event.
    fn receive(&mut self) -> Result<OwnedEvent>;
}

/// An iterator over the events of a group or a session. The first error is the last item.
///
/// ```no_run
/// use cpg::{Events, Group};
///
/// let mut group = Group::join("ledger")?;
/// let mut events: Events<'_> = group.events();
/// // The first event is the view that this member joined with.
/// println!("{:?}", events.next().unwrap()?);
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// [`Group::events`](crate::Group::events) and [`Receiver::events`](crate::Receiver::events) make it.
#[must_use = "no event is taken before it is asked for"]
pub struct Events<'r>(Option<&'r mut (dyn Receive + Send)>);

impl<'r> Events<'r> {
    pub(crate) fn new(from: &'r mut (dyn Receive + Send)) -> Self {
        Self(Some(from))
    }
}

impl Iterator for Events<'_> {
    type Item = Result<OwnedEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.0.as_mut()?.receive();
        if event.is_err() {
            self.0 = None;
        }
        Some(event)
    }
}

impl FusedIterator for Events<'_> {}

impl fmt::Debug for Events<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("ended", &self.0.is_none()).finish()
    }
}
