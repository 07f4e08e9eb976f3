//! The half of a connection that takes events.

use std::cell::Cell;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use cpg_sys as sys;

use crate::error::{Error, Result};
use crate::event::event::Event;
use crate::ffi::context::Frame;
use crate::ffi::frames;
use crate::ffi::open::{OpenHandle, failure};
use crate::ffi::requests::{Counted, Small};
use crate::ffi::trampoline::MEMBERS_MAX;
use crate::member::Member;
use crate::os::fd;
use crate::os::stack::StackLeft;

/// The half of a connection that takes events: one event per dispatch, on one thread at a time.
#[derive(Debug)]
pub(crate) struct EventHalf {
    open: Arc<OpenHandle>,
    not_sync: PhantomData<Cell<()>>,
}

/// The result of one dispatch, or of another source that counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// There was something: an event, which the handler got, or a part of a long message.
    Something,
    /// There is nothing at the moment.
    Nothing,
    /// The group is full, and the waiting event could be a view that is too large for libcpg ([A8](crate::facts#a8)). The members
    /// have to be [counted](crate::ffi::call::Requests::count) before the event is taken.
    Full,
}

impl EventHalf {
    pub(super) fn new(open: Arc<OpenHandle>) -> Self {
        Self { open, not_sync: PhantomData }
    }

    /// Returns the proof that the group was small in its last view, if it was; see
    /// [`Requests::small`](crate::ffi::call::Requests::small).
    pub(crate) fn small(&self) -> Option<Small> {
        Small::in_view(self.open.view_size())
    }

    /// Takes one event, or one part of a long message, from libcpg without waiting. Hands the event to `handler`.
    ///
    /// `me` is the member whose handle this is. `counted` is the count of a full group, and is good for one event only.
    ///
    /// A panic of the handler continues from here.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a return over a system call is mispredicted, and costs more than the rest"
    )]
    pub(crate) fn dispatch_one(
        &mut self,
        me: &Member,
        counted: &mut Option<Counted>,
        handler: &mut dyn FnMut(Event<'_>),
    ) -> Result<Taken> {
        let open = &*self.open;
        // Before each event, because a handler may have forked, and the child must not take events of its parent (A17).
        open.check_owner()?;
        if open.view_size() >= MEMBERS_MAX && !self.has_room(counted)? {
            return self.untaken();
        }
        let frame = Frame::new(me, &open.view_size, handler);
        let Some(entered) = open.context.enter(&frame) else {
            return Err(Error::cs("cpg_dispatch", sys::CS_ERR_BUSY));
        };
        let code = match StackLeft::known() {
            // SAFETY: no dispatch of this handle is under way (A2), and libcpg has room for the next view (A8), as was just
            // checked. It neither blocks nor loops (B6), and calls the trampolines alone.
            Some(left) => unsafe { frames::dispatch(&left, open.handle, sys::CS_DISPATCH_ONE_NONBLOCKING) },
            // SAFETY: as above.
            None => unsafe { Self::dispatch_deeper(open.handle) }?,
        };
        drop(entered);
        if let Some(panic) = frame.into_panic() {
            resume_unwind(panic);
        }
        if open.view_size() > MEMBERS_MAX {
            return Err(self.too_large());
        }
        match code {
            sys::CS_OK => Ok(Taken::Something),
            sys::CS_ERR_TRY_AGAIN => Ok(Taken::Nothing),
            code => Err(Self::failed(code)),
        }
    }

    /// Dispatches deeper in this thread's stack than before, after asking for the rest of the stack ([A1](crate::facts#a1)).
    ///
    /// # Safety
    /// The contract of [`frames::dispatch`].
    #[cold]
    unsafe fn dispatch_deeper(handle: sys::cpg_handle_t) -> Result<sys::cs_error_t> {
        let left = StackLeft::ask()?;
        // SAFETY: the caller's promise.
        let code = unsafe { frames::dispatch(&left, handle, sys::CS_DISPATCH_ONE_NONBLOCKING) };
        left.used();
        Ok(code)
    }

    #[cold]
    fn failed(code: sys::cs_error_t) -> Error {
        failure("cpg_dispatch", code)
    }

    #[cold]
    fn too_large(&self) -> Error {
        Error::GroupTooLarge { members: self.open.view_size(), limit: MEMBERS_MAX }
    }

    /// True if the next event can be taken. A full group needs a count first, because one more join makes a view that is too
    /// large for libcpg.
    ///
    /// A group that was too large is refused for good, even after it has shrunk, because the view that is too large still waits.
    #[cold]
    fn has_room(&self, counted: &mut Option<Counted>) -> Result<bool> {
        if self.open.view_size() > MEMBERS_MAX {
            return Err(self.too_large());
        }
        let Some(Counted(members)) = counted.take() else { return Ok(false) };
        if members > MEMBERS_MAX {
            self.open.view_size.store(members, Ordering::Relaxed);
            return Err(self.too_large());
        }
        Ok(true)
    }

    /// Returns [`Taken::Full`] if an event waits, so that the group has to be counted.
    ///
    /// The event must be there first: an event that comes after the count could be of any later time. libqb itself also looks at
    /// the socket first (`lib/ipcc.c`, `qb_ipcc_event_recv`).
    #[cold]
    fn untaken(&self) -> Result<Taken> {
        let there = fd::wait_readable(Some(Instant::now()), [Some(self.as_fd()), None, None])?;
        Ok(if there { Taken::Full } else { Taken::Nothing })
    }
}

impl Drop for EventHalf {
    fn drop(&mut self) {
        // Only this half takes events, and a connection is of no use without events.
        self.open.begin_ending();
    }
}

impl AsFd for EventHalf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }
}
