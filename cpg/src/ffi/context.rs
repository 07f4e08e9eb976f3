//! The way from libcpg's callbacks to the caller's closure: the context pointer of the handle.
//!
//! libcpg gives a callback nothing but the handle, and keeps one pointer for the program in each handle, the context. Here it
//! is the address of a [`Context`], which the handle owns and which lives until `cpg_finalize` has returned. For the length of
//! **one** `cpg_dispatch` the context points at a [`Frame`] on the stack that dispatches; a callback at any other time finds
//! nothing. A Rust panic must not go through C ([A6](crate::facts#a6)): the frame keeps it, and it goes on when C has returned.

use std::any::Any;
use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use cpg_sys as sys;

use crate::event::event::Event;
use crate::member::Member;

/// The value that the context pointer of a handle points at.
///
/// It stands in an [`Arc`], so that moving the handle leaves C's pointer good: a `Box` claims its content anew when it moves.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// The [`Frame`] of the dispatch that is under way, else null. Relaxed will do: libcpg calls back on the thread that
    /// dispatches.
    frame: AtomicPtr<()>,
}

impl Context {
    /// Returns the pointer for `cpg_model_initialize`, which is good for as long as the [`Arc`] is.
    pub(super) fn as_ptr(context: &Arc<Self>) -> *mut c_void {
        Arc::as_ptr(context).cast_mut().cast()
    }

    /// Puts a frame in until the guard goes; `None` if one is in already: no two dispatches of a handle run at once
    /// ([A2](crate::facts#a2)).
    #[inline]
    pub(super) fn enter<'c>(&'c self, frame: &'c Frame<'_>) -> Option<Entered<'c>> {
        if !self.frame.load(Ordering::Relaxed).is_null() {
            return None;
        }
        self.frame.store(ptr::from_ref(frame).cast_mut().cast(), Ordering::Relaxed);
        Some(Entered(self))
    }
}

/// The time for which a frame is in a [`Context`].
pub(super) struct Entered<'c>(&'c Context);

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.frame.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

/// The closure that a dispatch hands its event to.
type Handler<'f> = dyn FnMut(Event<'_>) + 'f;

/// One dispatch of one event.
pub(super) struct Frame<'f> {
    handler: Cell<Option<&'f mut Handler<'f>>>,
    /// The member that the handle is.
    pub(super) me: &'f Member,
    /// The members in the last view, or in a list that was longer than C's array ([A8](crate::facts#a8)).
    pub(super) view_size: &'f AtomicUsize,
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

impl<'f> Frame<'f> {
    #[inline]
    pub(super) fn new(me: &'f Member, view_size: &'f AtomicUsize, handler: &'f mut Handler<'f>) -> Self {
        Self { handler: Cell::new(Some(handler)), me, view_size, panic: Cell::new(None) }
    }

    /// Makes an event and hands it to the handler.
    #[inline]
    pub(super) fn handle<'e>(&self, event: impl FnOnce() -> Event<'e>) {
        // Taken while it runs: a callback within a callback, or one after a panic, finds none.
        let Some(handler) = self.handler.take() else { return };
        match catch_unwind(AssertUnwindSafe(|| handler(event()))) {
            Ok(()) => self.handler.set(Some(handler)),
            Err(panic) => self.panic.set(Some(panic)),
        }
    }

    /// Returns the panic that the handler has ended with, if it has.
    #[inline]
    pub(super) fn into_panic(self) -> Option<Box<dyn Any + Send>> {
        self.panic.into_inner()
    }
}

/// Calls `call` with the frame of the dispatch that is under way on `handle`, if there is one.
#[inline]
pub(super) fn reach(handle: sys::cpg_handle_t, call: impl FnOnce(&Frame<'_>)) {
    let mut context = ptr::null_mut();
    // SAFETY: libcpg looks the handle up and writes one pointer; for a handle that is closed it writes none (lib/cpg.c,
    // cpg_context_get).
    if unsafe { sys::cpg_context_get(handle, &raw mut context) } != sys::CS_OK {
        return;
    }
    // SAFETY: null, or the Context that cpg_model_initialize got with this handle: the handle keeps it until cpg_finalize has
    // returned, and nothing in this crate sets another.
    let Some(context) = (unsafe { context.cast::<Context>().as_ref() }) else { return };
    let frame = context.frame.load(Ordering::Relaxed).cast::<Frame<'_>>();
    // SAFETY: null, or the frame of the dispatch that libcpg calls back from, which its guard takes out before it goes.
    if let Some(frame) = unsafe { frame.as_ref() } {
        call(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::NodeId;

    #[test]
    fn a_second_dispatch_of_one_handle_is_refused() {
        let (context, size) = (Context::default(), AtomicUsize::new(0));
        let me = Member::new(NodeId::new(1), 1);
        let (mut one, mut other) = (|_: Event<'_>| {}, |_: Event<'_>| {});
        let (frame, second) = (Frame::new(&me, &size, &mut one), Frame::new(&me, &size, &mut other));
        let entered = context.enter(&frame);
        assert!(entered.is_some() && context.enter(&second).is_none());
        drop(entered);
        assert!(context.enter(&second).is_some());
    }

    #[test]
    fn a_frame_is_taken_out_when_its_dispatch_panics() {
        let (context, size) = (Context::default(), AtomicUsize::new(0));
        let mut handler = |_: Event<'_>| {};
        let me = Member::new(NodeId::new(1), 1);
        let frame = Frame::new(&me, &size, &mut handler);
        let dispatch = || {
            let _entered = context.enter(&frame).unwrap();
            panic!("as a handler may");
        };
        assert!(catch_unwind(AssertUnwindSafe(dispatch)).is_err());
        assert!(context.frame.load(Ordering::Relaxed).is_null());
    }
}
