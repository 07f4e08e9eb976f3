//! The functions that libcpg calls, and the way from them to the caller's closure.
//!
//! libcpg gives a callback nothing but the handle. For the length of one dispatch, and no longer, the thread that dispatches
//! has a [`Frame`] on its stack, and a pointer to it in a variable of the thread. A callback follows that if the frame is one of
//! its handle: nothing that C does at another time, on another thread or for another handle reaches a frame. A Rust panic must
//! not go through C (A6): it is kept in the frame and goes on when C has returned.
//!
//! libcpg's own place for such a pointer is the context of the handle. To set it, take it back and ask for it in the callback
//! is three calls a message, each of which looks the handle up under a lock: a twentieth of all that a small message costs in
//! C. And the pointer would be the same: one to follow on this thread alone, and only while the dispatch lasts.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use cpg_sys as sys;

use crate::error::{Error, Result};
use crate::event::event::Event;
use crate::event::message::Deliver;
use crate::event::ring::RingId;
use crate::event::ring::TotemConfChg;
use crate::event::view::ConfChg;
use crate::ffi::raw::{self, Events, Taken};
use crate::group_name::GroupName;
use crate::member::{Member, NodeId};
use crate::os::stack;

/// Entries of the arrays on the stack of `cpg_dispatch` (A8).
pub(crate) const MEMBERS_MAX: usize = sys::CPG_MEMBERS_MAX as usize;

/// The callbacks for `cpg_initialize`, which has none for the ring.
pub(crate) fn callbacks() -> sys::cpg_callbacks_t {
    sys::cpg_callbacks_t { cpg_deliver_fn: Some(deliver), cpg_confchg_fn: Some(confchg) }
}

/// The callbacks and flags for `cpg_model_initialize`.
pub(crate) fn model(initial_totem: bool) -> sys::cpg_model_v1_data_t {
    sys::cpg_model_v1_data_t {
        model: sys::CPG_MODEL_V1,
        cpg_deliver_fn: Some(deliver),
        cpg_confchg_fn: Some(confchg),
        cpg_totem_confchg_fn: Some(totem_confchg),
        flags: if initial_totem { sys::CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF } else { 0 },
    }
}

thread_local! {
    /// The frame whose dispatch is under way on this thread, the innermost if there are several; null for none.
    static RUNNING: Cell<*const ()> = const { Cell::new(std::ptr::null()) };
}

/// What one dispatch has in hand.
struct Frame<'f> {
    from: &'f Events,
    handler: &'f dyn Fn(Event<'_>),
    me: Member,
    /// Whether there is one of the two that follow.
    failed: Cell<bool>,
    panic: Cell<Option<Box<dyn Any + Send>>>,
    /// Members in a list that was longer than the array it had to go into.
    overflow: Cell<Option<usize>>,
}

/// Lets `work` dispatch `events` into `handler`, as often as it likes.
///
/// `me` is the member that the connection is; `check` runs before each event that is taken of a full group (A8). A panic of the
/// handler goes on from here.
#[inline]
pub(crate) fn with<R>(
    events: &Events,
    me: Member,
    handler: &dyn Fn(Event<'_>),
    check: &dyn Fn() -> Result<()>,
    work: impl FnOnce(&Pump<'_>) -> Result<R>,
) -> Result<R> {
    events.own_process()?;
    stack::check()?;
    let frame = Frame {
        from: events,
        handler,
        me,
        failed: Cell::new(false),
        panic: Cell::new(None),
        overflow: Cell::new(None),
    };
    let outer = RUNNING.replace(std::ptr::from_ref(&frame).cast());
    work(&Pump { frame: &frame, check, outer })
}

/// One dispatch, while its frame is in place.
pub(crate) struct Pump<'f> {
    frame: &'f Frame<'f>,
    check: &'f dyn Fn() -> Result<()>,
    /// The one that was under way before.
    outer: *const (),
}

impl Pump<'_> {
    /// Takes one event, or one part of a long message, from libcpg; false when there is none.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a return over a system call is mispredicted, and costs more than the rest"
    )]
    pub(crate) fn one(&self) -> Result<bool> {
        let Frame { from, failed, .. } = self.frame;
        if from.could_overflow() {
            self.count()?;
        }
        match from.dispatch_one() {
            _ if failed.get() => self.fail(),
            Taken::One => Ok(true),
            Taken::None => Ok(false),
            Taken::Failed(code) => Err(raw::dispatch_error(code)),
        }
    }

    #[cold]
    fn count(&self) -> Result<()> {
        if self.frame.from.is_full()? { (self.check)() } else { Ok(()) }
    }

    #[cold]
    fn fail(&self) -> Result<bool> {
        let Frame { from, panic, overflow, .. } = self.frame;
        let members = overflow.get();
        if let Some(members) = members {
            // For good: a panic must not make it forgotten.
            from.note_size(members);
        }
        if let Some(panic) = panic.take() {
            resume_unwind(panic);
        }
        Err(Error::GroupTooLarge { members: members.unwrap_or_default(), limit: MEMBERS_MAX })
    }

    /// Where they come from.
    pub(crate) fn from(&self) -> &Events {
        self.frame.from
    }
}

impl Drop for Pump<'_> {
    #[inline]
    fn drop(&mut self) {
        RUNNING.set(self.outer);
    }
}

impl Frame<'_> {
    /// The frame of the dispatch that is under way on `handle`.
    ///
    /// The lifetimes are the caller's to keep within the callback.
    #[inline]
    fn of<'f>(handle: sys::cpg_handle_t) -> Option<&'f Frame<'f>> {
        let frame = RUNNING.get().cast::<Frame<'f>>();
        // SAFETY: null, or the frame of the dispatch that is under way on this thread: `with` says which one that is, and
        // its Pump takes that back before the frame goes.
        unsafe { frame.as_ref() }.filter(|frame| frame.from.is_of(handle))
    }

    fn overflow(&self, members: usize) {
        self.overflow.set(Some(members));
        self.failed.set(true);
    }

    #[inline]
    fn handle(&self, event: Event<'_>) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.handler)(event))) {
            self.panicked(panic);
        }
    }

    #[cold]
    fn panicked(&self, panic: Box<dyn Any + Send>) {
        self.panic.set(Some(panic));
        self.failed.set(true);
    }
}

unsafe extern "C" fn deliver(
    handle: sys::cpg_handle_t,
    group: *const sys::cpg_name,
    nodeid: u32,
    pid: u32,
    message: *mut std::ffi::c_void,
    len: usize,
) {
    let Some(frame) = Frame::of(handle) else { return };
    // SAFETY: libcpg passes a name on its stack (lib/cpg.c, cpg_dispatch), which GroupName has the layout of.
    let Some(group) = (unsafe { group.cast::<GroupName>().as_ref() }) else { return };
    // SAFETY: libcpg passes its receive buffer, or the one it put the parts together in, and its length; it does not use
    // the bytes again, which cpg.h lets the callback change.
    let payload = unsafe { raw::slice_mut(message.cast::<u8>(), len) };
    let sender = Member::new(NodeId::new(nodeid), pid);
    frame.handle(Event::Deliver(Deliver { group, sender, payload, packed: false }));
}

unsafe extern "C" fn confchg(
    handle: sys::cpg_handle_t,
    group: *const sys::cpg_name,
    members: *const sys::cpg_address,
    members_len: usize,
    left: *const sys::cpg_address,
    left_len: usize,
    joined: *const sys::cpg_address,
    joined_len: usize,
) {
    let Some(frame) = Frame::of(handle) else { return };
    let longest = members_len.max(left_len).max(joined_len);
    if longest > MEMBERS_MAX {
        frame.overflow(longest);
        return;
    }
    // SAFETY: libcpg passes a name on its stack (lib/cpg.c, cpg_dispatch), which GroupName has the layout of.
    let Some(group) = (unsafe { group.cast::<GroupName>().as_ref() }) else { return };
    // SAFETY: libcpg passes its array and the entries written in it, at most its length as was just checked. Member has
    // the layout of cpg_address.
    let members = unsafe { raw::slice(members.cast::<Member>(), members_len) };
    // SAFETY: as above.
    let left = unsafe { raw::slice(left.cast::<Member>(), left_len) };
    // SAFETY: as above.
    let joined = unsafe { raw::slice(joined.cast::<Member>(), joined_len) };
    frame.from.note_size(members.len());
    frame.handle(Event::ConfChg(ConfChg { group, members, left, joined, me: frame.me }));
}

unsafe extern "C" fn totem_confchg(
    handle: sys::cpg_handle_t,
    ring_id: sys::cpg_ring_id,
    members_len: u32,
    members: *const u32,
) {
    let Some(frame) = Frame::of(handle) else { return };
    let len = members_len as usize;
    if len > MEMBERS_MAX {
        frame.overflow(len);
        return;
    }
    // SAFETY: libcpg passes its array and the entries written in it, at most its length as was just checked. NodeId is a
    // u32 (repr(transparent)).
    let members = unsafe { raw::slice(members.cast::<NodeId>(), len) };
    let ring_id = RingId { seq: ring_id.seq, node: NodeId::new(ring_id.nodeid) };
    frame.handle(Event::TotemConfChg(TotemConfChg { ring_id, members }));
}
