//! One closure for each kind of event, the form that C programs use.

use crate::event::event::Event;
use crate::event::message::Message;
use crate::event::ring::Ring;
use crate::event::view::View;
use crate::group::link::Link;

/// A handler that has one closure for each kind of event, as C programs fill in `cpg_callbacks_t`.
///
/// ```no_run
/// use cpg::{Callbacks, Group, Limits};
///
/// let mut group = Group::join("chat")?;
/// let mut lines = Vec::new();
/// let mut callbacks = Callbacks::new()
///     .on_deliver(|_, message| lines.push(message.payload().to_vec()))
///     .on_confchg(|_, view| println!("{} members", view.members().len()));
/// group.dispatch(Limits::one(), |link, event| callbacks.handle(link, event))?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// [`handle`](Self::handle) is the handler. It ignores events of a kind that has no closure.
///
/// A single closure that matches on the [`Event`] is shorter, and its arms can share state. `Callbacks` are for a
/// [`Group`](crate::Group), and are made on the thread that dispatches. Handlers of sessions match on the event.
#[doc(alias = "cpg_callbacks_t")]
#[doc(alias = "cpg_model_v1_data_t")]
#[derive(Default)]
pub struct Callbacks<'f> {
    deliver: Option<DeliverFn<'f>>,
    confchg: Option<ConfChgFn<'f>>,
    totem_confchg: Option<TotemConfChgFn<'f>>,
}

/// The closure for messages.
type DeliverFn<'f> = Box<dyn FnMut(&Link, Message<'_>) + 'f>;
/// The closure for views.
type ConfChgFn<'f> = Box<dyn FnMut(&Link, View<'_>) + 'f>;
/// The closure for rings.
type TotemConfChgFn<'f> = Box<dyn FnMut(&Link, Ring<'_>) + 'f>;

impl<'f> Callbacks<'f> {
    /// Makes a handler without closures, which ignores all events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `f` for each message.
    #[must_use]
    pub fn on_deliver(mut self, f: impl FnMut(&Link, Message<'_>) + 'f) -> Self {
        self.deliver = Some(Box::new(f));
        self
    }

    /// Calls `f` for each change of the group's membership.
    #[must_use]
    pub fn on_confchg(mut self, f: impl FnMut(&Link, View<'_>) + 'f) -> Self {
        self.confchg = Some(Box::new(f));
        self
    }

    /// Calls `f` for each change of the ring.
    #[must_use]
    pub fn on_totem_confchg(mut self, f: impl FnMut(&Link, Ring<'_>) + 'f) -> Self {
        self.totem_confchg = Some(Box::new(f));
        self
    }

    /// Passes the event to the closure for its kind.
    pub fn handle(&mut self, link: &Link, event: Event<'_>) {
        match event {
            Event::Deliver(message) => {
                if let Some(f) = &mut self.deliver {
                    f(link, message);
                }
            }
            Event::ConfChg(view) => {
                if let Some(f) = &mut self.confchg {
                    f(link, view);
                }
            }
            Event::TotemConfChg(ring) => {
                if let Some(f) = &mut self.totem_confchg {
                    f(link, ring);
                }
            }
            // A group gets no other events.
            _ => {}
        }
    }
}

impl std::fmt::Debug for Callbacks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callbacks")
            .field("deliver", &self.deliver.is_some())
            .field("confchg", &self.confchg.is_some())
            .field("totem_confchg", &self.totem_confchg.is_some())
            .finish()
    }
}
