//! The functions that libcpg calls, and the events that they make from their arguments.

use std::ffi::c_void;
use std::sync::atomic::Ordering;

use cpg_sys as sys;

use crate::event::event::Event;
use crate::event::message::Message;
use crate::event::ring::{Ring, RingId, TotemEvents};
use crate::event::view::View;
use crate::ffi::context::{Frame, reach};
use crate::ffi::slice::{slice, slice_mut};
use crate::group_name::GroupName;
use crate::member::{Member, NodeId};

/// The number of entries in each array on the stack of `cpg_dispatch` ([A8](crate::facts#a8)).
pub(crate) const MEMBERS_MAX: usize = sys::CPG_MEMBERS_MAX as usize;

/// Returns the callbacks and flags for `cpg_model_initialize`.
///
/// With [`TotemEvents::None`] the result is what `cpg_initialize` makes of its two callbacks (`lib/cpg.c`).
pub(super) fn model(totem: TotemEvents) -> sys::cpg_model_v1_data_t {
    let initial = totem == TotemEvents::InitialAndChanges;
    sys::cpg_model_v1_data_t {
        model: sys::CPG_MODEL_V1,
        cpg_deliver_fn: Some(deliver),
        cpg_confchg_fn: Some(confchg),
        cpg_totem_confchg_fn: if totem == TotemEvents::None { None } else { Some(totem_confchg) },
        flags: if initial { sys::CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF } else { 0 },
    }
}

impl Frame<'_> {
    /// Keeps the size of a list that was too long. libcpg has written past the end of its array, so the list is not read.
    #[cold]
    fn overflow(&self, len: usize) {
        self.view_size.store(len, Ordering::Relaxed);
    }
}

unsafe extern "C" fn deliver(
    handle: sys::cpg_handle_t,
    group: *const sys::cpg_name,
    nodeid: u32,
    pid: u32,
    message: *mut c_void,
    len: usize,
) {
    reach(handle, |frame| {
        // SAFETY: libcpg passes a name on its stack (lib/cpg.c, cpg_dispatch), which GroupName has the layout of.
        let Some(group) = (unsafe { group.cast::<GroupName>().as_ref() }) else { return };
        // SAFETY: libcpg passes its receive buffer, or the one it put the parts together in, and its length; it does not use
        // the bytes again, which cpg.h lets the callback change.
        let payload = unsafe { slice_mut(message.cast::<u8>(), len) };
        let sender = Member::new(NodeId::new(nodeid), pid);
        frame.handle(|| Event::Deliver(Message { group, sender, payload, packed: false }));
    });
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
    reach(handle, |frame| {
        let longest = members_len.max(left_len).max(joined_len);
        if longest > MEMBERS_MAX {
            return frame.overflow(longest);
        }
        // SAFETY: libcpg passes a name on its stack (lib/cpg.c, cpg_dispatch), which GroupName has the layout of.
        let Some(group) = (unsafe { group.cast::<GroupName>().as_ref() }) else { return };
        // SAFETY: libcpg passes its array and the entries written in it, at most its length as was just checked. Member has
        // the layout of cpg_address.
        let members = unsafe { slice(members.cast::<Member>(), members_len) };
        // SAFETY: as above.
        let left = unsafe { slice(left.cast::<Member>(), left_len) };
        // SAFETY: as above.
        let joined = unsafe { slice(joined.cast::<Member>(), joined_len) };
        frame.view_size.store(members.len(), Ordering::Relaxed);
        frame.handle(|| Event::ConfChg(View { group, members, left, joined, me: *frame.me }));
    });
}

unsafe extern "C" fn totem_confchg(
    handle: sys::cpg_handle_t,
    ring_id: sys::cpg_ring_id,
    members_len: u32,
    members: *const u32,
) {
    reach(handle, |frame| {
        let len = members_len as usize;
        if len > MEMBERS_MAX {
            return frame.overflow(len);
        }
        // SAFETY: libcpg passes its array and the entries written in it, at most its length as was just checked. NodeId is a
        // u32 (repr(transparent)).
        let members = unsafe { slice(members.cast::<NodeId>(), len) };
        let id = RingId::new(ring_id.seq, NodeId::new(ring_id.nodeid));
        frame.handle(|| Event::TotemConfChg(Ring { id, members }));
    });
}
