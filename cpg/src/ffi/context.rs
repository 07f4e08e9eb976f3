//! The way from libcpg's callbacks to the caller's closure: the context pointer of the handle.
//!
//! libcpg passes nothing but the handle to a callback. But it keeps one pointer for the program in each handle, the context. Here
//! the context is the address of a [`Context`], which the handle owns and which lives until `cpg_finalize` has returned. During
//! **one** `cpg_dispatch` the context points at a [`Frame`] on the stack of the dispatching thread. A callback at any other time
//! finds no frame. A Rust panic must not pass through C ([A6](crate::facts#a6)): the frame keeps the panic, which goes on once C
//! has returned.

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

/// The value at which the context pointer of a handle points.
///
/// It is in an [`Arc`], so that C's pointer stays valid when the handle moves. A `Box` would not do: moving a `Box` claims unique
/// access to its content again.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// The [`Frame`] of the running dispatch, or null. Relaxed ordering is enough, because libcpg calls back on the dispatching
    /// thread.
    frame: AtomicPtr<()>,
}

impl Context {
    /// Returns the pointer for `cpg_model_initialize`. It is valid as long as the [`Arc`] lives.
    pub(super) fn as_ptr(context: &Arc<Self>) -> *mut c_void {
        Arc::as_ptr(context).cast_mut().cast()
    }

    /// Puts a frame in until the guard is dropped. `None` if a frame is in already, because a handle cannot have two dispatches
    /// at once ([A2](crate::facts#a2)).
    #[inline]
    pub(super) fn enter<'c>(&'c self, frame: &'c Frame<'_>) -> Option<Entered<'c>> {
        if !self.frame.load(Ordering::Relaxed).is_null() {
            return None;
        }
        self.frame.store(ptr::from_ref(frame).cast_mut().cast(), Ordering::Relaxed);
        Some(Entered(self))
    }
}

/// A guard that takes the frame out of its [`Context`] when it is dropped.
pub(super) struct Entered<'c>(&'c Context);

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.frame.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

/// The closure that gets the event of a dispatch.
type Handler<'f> = dyn FnMut(Event<'_>) + 'f;

/// The state of one dispatch of one event.
pub(super) struct Frame<'f> {
    handler: Cell<Option<&'f mut Handler<'f>>>,
    /// The member whose handle this is.
    pub(super) me: &'f Member,
    /// The number of members in the last view, or in a list that was longer than C's array ([A8](crate::facts#a8)).
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
        // The handler is taken out while it runs. So a callback within a callback, or one after a panic, finds no handler.
        let Some(handler) = self.handler.take() else { return };
        match catch_unwind(AssertUnwindSafe(|| handler(event()))) {
            Ok(()) => self.handler.set(Some(handler)),
            Err(panic) => self.panic.set(Some(panic)),
        }
    }

    /// Returns the panic of the handler, if it has panicked.
    #[inline]
    pub(super) fn into_panic(self) -> Option<Box<dyn Any + Send>> {
        self.panic.into_inner()
    }
}

/// Calls `call` with the frame of the running dispatch on `handle`, if there is a dispatch.
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
