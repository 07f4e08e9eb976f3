//! The functions of libcpg whose frames, or those of libqb under them, jump over a guard page ([A1](crate::facts#a1),
//! [A16](crate::facts#a16)).
//!
//! None of them has stack probes: at the end of a stack they write into whatever is mapped below it. So each takes the proof
//! that the stack is there, and nothing else in this crate calls them (`disallowed-methods` in this package's `.clippy.toml`).
#![expect(clippy::disallowed_methods, reason = "the one place")]

use std::ffi::c_void;

use cpg_sys as sys;

use crate::os::stack::StackLeft;

/// A frame of 1 054 040 bytes (`IPC_DISPATCH_SIZE` in `ipc_cpg.h` and four arrays of 128 members). The rest is for libqb under
/// it and the callback above it.
pub(super) const DISPATCH: usize = 1152 << 10;

/// `qb_ipcc_connect` has a frame of 12 336 bytes, `qb_rb_open_2` one of 8 408, what opens and closes the files under them 4 264.
pub(super) const CONNECT: usize = 48 << 10;

/// `remove_tempdir` and `qb_rb_close_helper` have frames of 4 264 bytes.
pub(super) const FINALIZE: usize = 24 << 10;

/// A frame of 9 464 bytes: the reply of the daemon.
pub(super) const MEMBERSHIP: usize = 24 << 10;

/// A frame of 4 376 bytes: a path.
pub(super) const ZCB_ALLOC: usize = 24 << 10;

/// # Safety
/// As `cpg_dispatch`, but for the stack.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is on the path of each event")]
pub(super) unsafe fn dispatch(
    _left: &StackLeft<DISPATCH>,
    handle: sys::cpg_handle_t,
    kind: sys::cs_dispatch_flags_t,
) -> sys::cs_error_t {
    // SAFETY: the stack is there, and the rest is the caller's promise.
    unsafe { sys::cpg_dispatch(handle, kind) }
}

/// # Safety
/// As `cpg_model_initialize`, but for the stack.
pub(super) unsafe fn model_initialize(
    _left: StackLeft<CONNECT>,
    handle: *mut sys::cpg_handle_t,
    model: *mut sys::cpg_model_v1_data_t,
    context: *mut c_void,
) -> sys::cs_error_t {
    // SAFETY: the stack is there, and the rest is the caller's promise.
    unsafe { sys::cpg_model_initialize(handle, sys::CPG_MODEL_V1, model.cast(), context) }
}

/// # Safety
/// As `cpg_finalize`, but for the stack.
pub(super) unsafe fn finalize(_left: StackLeft<FINALIZE>, handle: sys::cpg_handle_t) -> sys::cs_error_t {
    // SAFETY: the stack is there, and the rest is the caller's promise.
    unsafe { sys::cpg_finalize(handle) }
}

/// # Safety
/// As `cpg_membership_get`, but for the stack.
pub(super) unsafe fn membership_get(
    _left: StackLeft<MEMBERSHIP>,
    handle: sys::cpg_handle_t,
    group: *mut sys::cpg_name,
    list: *mut sys::cpg_address,
    entries: *mut libc::c_int,
) -> sys::cs_error_t {
    // SAFETY: the stack is there, and the rest is the caller's promise.
    unsafe { sys::cpg_membership_get(handle, group, list, entries) }
}

/// # Safety
/// As `cpg_zcb_alloc`, but for the stack.
pub(super) unsafe fn zcb_alloc(
    _left: StackLeft<ZCB_ALLOC>,
    handle: sys::cpg_handle_t,
    len: usize,
    buffer: *mut *mut c_void,
) -> sys::cs_error_t {
    // SAFETY: the stack is there, and the rest is the caller's promise.
    unsafe { sys::cpg_zcb_alloc(handle, len, buffer) }
}
