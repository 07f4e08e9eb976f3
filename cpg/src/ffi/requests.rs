//! The half of a connection that makes requests, and the requests that need no wait of their own.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use cpg_sys as sys;

use crate::error::Result;
use crate::ffi::frames;
use crate::ffi::open::OpenHandle;
use crate::ffi::trampoline::MEMBERS_MAX;
use crate::group_name::GroupName;
use crate::member::{Member, NodeId};
use crate::os::thread;

/// The number of entries that `cpg_membership_get` can write. It is that of the daemon's reply (`ipc_cpg.h`,
/// `PROCESSOR_COUNT_MAX`), whatever length the caller gives ([A9](crate::facts#a9)).
const MAX_REPLY: usize = 384;

/// The half of a connection that makes requests, one at a time. It is not `Sync`, and each connection has exactly one
/// ([A4](crate::facts#a4)).
///
/// The half is a value. A call can move it to another thread and give it back, and meanwhile nobody else can make a request.
#[derive(Debug)]
pub(crate) struct RequestHalf {
    pub(super) open: Arc<OpenHandle>,
    /// Iterations that the daemon, under flow control, has not closed yet.
    pub(super) unfinished: RefCell<Vec<sys::cpg_iteration_handle_t>>,
    /// The number of zero-copy buffers that have not been given back.
    pub(super) buffers: Cell<usize>,
    /// True if the daemon has accepted a zero-copy buffer, so it supports them.
    pub(super) takes_buffers: Cell<bool>,
}

/// The number of members of a group: the proof that one more event of a full group can be taken ([A8](crate::facts#a8)).
#[derive(Debug)]
pub(crate) struct Counted(pub(super) usize);

impl Counted {
    pub(crate) fn members(&self) -> usize {
        self.0
    }

    /// Returns the proof that [`membership_get`](RequestHalf::membership_get) can be asked for this group, if it can.
    pub(crate) fn small(&self) -> Option<Small> {
        Small::of(self.0)
    }
}

/// The proof that a group was seen with fewer than 128 members. That is far below 384, the number above which the daemon writes
/// past its own reply ([A9](crate::facts#a9)).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Small(());

impl Small {
    fn of(members: usize) -> Option<Self> {
        (members < MEMBERS_MAX).then_some(Self(()))
    }

    /// Returns the proof from the size of the last view. 0 means that there was no view, because every view has a member.
    pub(super) fn in_view(members: usize) -> Option<Self> {
        if members == 0 { None } else { Self::of(members) }
    }
}

impl RequestHalf {
    pub(super) fn new(open: Arc<OpenHandle>) -> Self {
        Self { open, unfinished: RefCell::default(), buffers: Cell::new(0), takes_buffers: Cell::new(false) }
    }

    /// Refuses a connection that a parent of this process made ([A7](crate::facts#a7)).
    #[inline]
    pub(super) fn check_owner(&self) -> Result<()> {
        self.open.check_owner()
    }

    /// Gives back the memory of dropped zero-copy buffers.
    pub(super) fn free_unused(&self) {
        for start in self.open.take_unused() {
            // SAFETY: the pointer is one of cpg_zcb_alloc, and it is forgotten here. One thread only (A4).
            let code = unsafe { sys::cpg_zcb_free(self.open.handle, start.into_inner().cast()) };
            if code == sys::CS_OK {
                self.buffers.set(self.buffers.get().saturating_sub(1));
            }
        }
    }

    /// Turns a code into an error; see [`OpenHandle::check_request`].
    pub(super) fn check(&self, call: &'static str, code: sys::cs_error_t) -> Result<()> {
        self.open.check_request(call, code)
    }

    /// Returns the node of this machine.
    pub(crate) fn local_get(&self) -> Result<NodeId> {
        self.check_owner()?;
        let mut node = 0;
        // SAFETY: libcpg writes one unsigned int, and no other thread makes a request on this handle, as a
        // RequestHalf is not Sync (A4).
        let code = unsafe { sys::cpg_local_get(self.open.handle, &raw mut node) };
        self.check("cpg_local_get", code)?;
        Ok(NodeId::new(node))
    }

    /// Returns the members of a group that was seen to be small. (In a group with more than 384 members, the daemon writes past
    /// its own reply, [A9](crate::facts#a9).)
    pub(crate) fn membership_get(&self, group: &GroupName, _seen: Small) -> Result<Vec<Member>> {
        self.check_owner()?;
        let handle = self.open.handle;
        let mut name = group.clone();
        let mut list = vec![Member::new(NodeId::new(0), 0); MAX_REPLY];
        let mut entries = 0;
        let asked = thread::with_stack(|left| {
            // SAFETY: GroupName and Member have the layout of cpg_name and cpg_address (asserted in their files), and the
            // list has room for all that the reply of the daemon can hold (A9). One thread only (A4): this one waits for
            // another that makes the call.
            unsafe {
                frames::membership_get(
                    left,
                    handle,
                    (&raw mut name).cast(),
                    list.as_mut_ptr().cast(),
                    &raw mut entries,
                )
            }
        });
        let code = asked?;
        self.check("cpg_membership_get", code)?;
        list.truncate(usize::try_from(entries).unwrap_or(0));
        Ok(list)
    }

    /// Returns the number of members of a group that was seen to be small, as [`membership_get`](Self::membership_get) does.
    pub(crate) fn count_small(&self, group: &GroupName, seen: Small) -> Result<Counted> {
        self.membership_get(group, seen).map(|members| Counted(members.len()))
    }

    pub(crate) fn join(&self, group: &GroupName) -> Result<()> {
        self.check_owner()?;
        group.check_joinable()?;
        self.open.group.get_or_init(|| group.clone());
        // SAFETY: the name has the layout of cpg_name and outlives the call, which copies it. This handle has
        // not left a group, after which cpg_join would spin (B2): each type that leaves
        // consumes it.
        let code = unsafe { sys::cpg_join(self.open.handle, std::ptr::from_ref(group).cast()) };
        self.check("cpg_join", code)
    }

    pub(crate) fn leave(&self, group: &GroupName) -> Result<()> {
        self.check_owner()?;
        // SAFETY: as in join. The name is the one joined (B3), and the join has been delivered, before which
        // cpg_leave would spin on CS_ERR_BUSY (lib/cpg.c): only what has joined leaves, under that name.
        let code = unsafe { sys::cpg_leave(self.open.handle, std::ptr::from_ref(group).cast()) };
        self.check("cpg_leave", code)
    }
}
