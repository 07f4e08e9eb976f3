//! Handling events until something says stop.

use std::cell::Cell;
use std::iter::FusedIterator;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::time::Instant;

use crate::dispatch::limits::{Dispatch, Work};
use crate::dispatch::source::Source;
use crate::dispatch::waker::Waker;
use crate::error::Result;
use crate::event::event::Event;
use crate::event::event::OwnedEvent;
use crate::group::group::Group;
use crate::group::link::Link;

/// How long a [`run`](Group::run_with) goes on, if its handler does not end it.
///
/// ```no_run
/// use std::ops::ControlFlow::{Break, Continue};
/// use std::time::{Duration, Instant};
/// use cpg::{Ended, Event, Group, Wait, Waker};
///
/// let mut group = Group::join("ledger")?;
/// let first = |_: &_, event: Event<'_>| match event {
///     Event::Deliver(message) => Break(message.payload().to_vec()),
///     _ => Continue(()),
/// };
/// assert_eq!(group.run_with(Wait::none(), first)?, Ended::TimedOut);
/// let soon = Instant::now() + Duration::from_millis(10);
/// assert_eq!(group.run_with(Wait::until(soon), first)?, Ended::TimedOut);
/// let waker = Waker::new()?;
/// waker.wake();
/// assert_eq!(group.run_with(Wait::forever().or_woken_by(&waker), first)?, Ended::Woken);
/// group.send(b"it")?;
/// assert_eq!(group.run_with(Wait::forever(), first)?, Ended::Broke(b"it".to_vec()));
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Wait<'w> {
    none: bool,
    deadline: Option<Instant>,
    waker: Option<&'w Waker>,
}

impl<'w> Wait<'w> {
    /// Until the handler ends it.
    pub fn forever() -> Self {
        Self::default()
    }

    /// Not at all: events that are there are handled, and [`Ended::TimedOut`] says that no more were.
    pub fn none() -> Self {
        Self { none: true, ..Self::default() }
    }

    /// Until the deadline at the latest.
    pub fn until(deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..Self::default() }
    }

    /// Or until `waker` ends it.
    #[must_use]
    pub fn or_woken_by(self, waker: &'w Waker) -> Self {
        Self { waker: Some(waker), ..self }
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// What ended a [`run`](Group::run_with).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended<T> {
    /// The handler, with this value.
    Broke(T),
    /// The [`Waker`].
    Woken,
    /// The deadline.
    TimedOut,
}

/// A run that is under way.
struct Run<'w> {
    wait: Wait<'w>,
    /// Whether the handler has ended it.
    broke: Cell<bool>,
    /// Looked at after each message of a packet, and again before the next event of libcpg's.
    woken: Cell<bool>,
}

impl Run<'_> {
    fn is_over(&self) -> bool {
        let woken = self.wait.waker.is_some_and(|waker| {
            self.woken.set(self.woken.get() || waker.take_hinted());
            self.woken.get()
        });
        woken || self.wait.is_late()
    }
}

impl Work for Run<'_> {
    type Output = Ended<()>;

    #[inline]
    fn more(&self, _: usize) -> bool {
        !self.broke.get() && !self.is_over()
    }

    fn run(&self, source: &Source<'_, '_>) -> Result<Ended<()>> {
        let Wait { none, deadline, waker } = self.wait;
        loop {
            if self.broke.get() {
                return Ok(Ended::Broke(()));
            }
            if self.is_over() {
                return Ok(if self.woken.get() { Ended::Woken } else { Ended::TimedOut });
            }
            if source.one()? {
                continue;
            }
            if none || !source.wait(deadline, waker.map(Waker::as_fd))? {
                return Ok(Ended::TimedOut);
            }
            if waker.is_some_and(Waker::take) {
                return Ok(Ended::Woken);
            }
        }
    }
}

impl Group {
    /// Handles events, waiting for them, until the handler breaks with a value.
    ///
    /// ```no_run
    /// use std::ops::ControlFlow::{Break, Continue};
    /// use cpg::{Event, Group};
    ///
    /// let mut group = Group::join("election")?;
    /// group.send(b"I stand")?;
    /// let first = group.run(|_, event| match event {
    ///     Event::Deliver(message) => Break(message.sender()),
    ///     _ => Continue(()),
    /// })?;
    /// # Ok::<(), cpg::Error>(())
    /// ```
    ///
    /// The event that the handler breaks at is handled, those after it have not been taken. Waiting costs no CPU time, and a
    /// signal does not end it (B6, B11); [`run_with`](Self::run_with) takes a deadline and a [`Waker`].
    ///
    /// # Panics
    /// As [`dispatch`](Self::dispatch).
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn run<T>(&mut self, handler: impl FnMut(&Link, Event<'_>) -> ControlFlow<T>) -> Result<T> {
        match self.run_with(Wait::forever(), handler)? {
            Ended::Broke(value) => Ok(value),
            Ended::Woken | Ended::TimedOut => unreachable!("there is no waker and no deadline"),
        }
    }

    /// As [`run`](Self::run), with other things that can end it. Between two events they are looked at, so a stream of events
    /// does not keep them off.
    ///
    /// # Panics
    /// As [`dispatch`](Self::dispatch).
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn run_with<T>(
        &mut self,
        wait: Wait<'_>,
        mut handler: impl FnMut(&Link, Event<'_>) -> ControlFlow<T>,
    ) -> Result<Ended<T>> {
        let (run, mut value) = (Run { wait, broke: Cell::new(false), woken: Cell::new(false) }, None);
        let ended = self.pump(
            &mut |link: &Link, event: Event<'_>| {
                if let ControlFlow::Break(end) = handler(link, event) {
                    value = Some(end);
                    run.broke.set(true);
                }
            },
            &run,
        )?;
        Ok(match ended {
            Ended::Broke(()) => Ended::Broke(value.expect("it broke with one")),
            Ended::Woken => Ended::Woken,
            Ended::TimedOut => Ended::TimedOut,
        })
    }

    /// Waits for the next event, and returns a copy that can be kept.
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn recv(&mut self) -> Result<OwnedEvent> {
        self.run(|_, event| ControlFlow::Break(event.to_owned()))
    }

    /// As [`recv`](Self::recv), but gives up at the deadline, with `None`. A deadline in the past takes what is there.
    ///
    /// ```no_run
    /// use std::time::Instant;
    /// use cpg::Group;
    ///
    /// let mut group = Group::join("ledger")?;
    /// while let Some(event) = group.recv_deadline(Instant::now())? {
    ///     println!("{event:?}");
    /// }
    /// # Ok::<(), cpg::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch).
    #[doc(alias = "cpg_dispatch")]
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<Option<OwnedEvent>> {
        let mut next = None;
        self.dispatch(Dispatch::OneUntil(deadline), |_, event| next = Some(event.to_owned()))?;
        Ok(next)
    }

    /// The events, one [`recv`](Self::recv) after the other, until an error, which is the last item.
    ///
    /// No event is taken before it is asked for, so none is lost when the iterator is dropped.
    ///
    /// ```no_run
    /// use cpg::{Group, OwnedEvent};
    ///
    /// let mut group = Group::join("ledger")?;
    /// group.send(b"+5 alice")?;
    /// for event in group.events() {
    ///     if let OwnedEvent::Deliver(message) = event? {
    ///         println!("{}: {:?}", message.sender(), message.payload());
    ///         break;
    ///     }
    /// }
    /// # Ok::<(), cpg::Error>(())
    /// ```
    pub fn events(&mut self) -> Events<'_> {
        Events(Some(self))
    }
}

/// The events of a group, from [`Group::events`].
///
/// ```no_run
/// use cpg::{Events, Group};
///
/// let mut group = Group::join("ledger")?;
/// let mut events: Events<'_> = group.events();
/// // The first is the view that the group was joined with.
/// println!("{:?}", events.next().unwrap()?);
/// # Ok::<(), cpg::Error>(())
/// ```
#[derive(Debug)]
pub struct Events<'g>(Option<&'g mut Group>);

impl Iterator for Events<'_> {
    type Item = Result<OwnedEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.0.as_mut()?.recv();
        if event.is_err() {
            self.0 = None;
        }
        Some(event)
    }
}

impl FusedIterator for Events<'_> {}
