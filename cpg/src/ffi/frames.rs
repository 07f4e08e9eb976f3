//! The functions of libcpg with large stack frames. These frames, or those of libqb below them, can jump over a guard page
//! ([A1](crate::facts#a1), [A16](crate::facts#a16)).
//!
//! None of these functions probes the stack. At the end of a stack they write into the memory below it. So each wrapper takes a
//! proof that enough stack is left, and nothing else in this crate calls these functions (`disallowed-methods` in this package's
//! `.clippy.toml`).
#![expect(clippy::disallowed_methods, reason = "the one place")]

use std::ffi::c_void;

use cpg_sys as sys;

use crate::os::stack::StackLeft;

/// The stack for `cpg_dispatch`: a frame of 1 054 040 bytes (`IPC_DISPATCH_SIZE` in `ipc_cpg.h` and four arrays of 128 members),
/// and room for libqb below it and for the callback.
pub(super) const DISPATCH: usize = 1152 << 10;

/// The stack for connecting: `qb_ipcc_connect` has a frame of 12 336 bytes, `qb_rb_open_2` 8 408, the functions below that open
/// and close files 4 264.
pub(super) const CONNECT: usize = 48 << 10;

/// The stack for closing: `remove_tempdir` and `qb_rb_close_helper` have frames of 4 264 bytes.
pub(super) const FINALIZE: usize = 24 << 10;

/// The stack for `cpg_membership_get`: a frame of 9 464 bytes, which holds the daemon's reply.
pub(super) const MEMBERSHIP: usize = 24 << 10;

/// The stack for `cpg_zcb_alloc`: a frame of 4 376 bytes, which holds a path.
pub(super) const ZCB_ALLOC: usize = 24 << 10;

/// Calls `cpg_dispatch`.
///
/// # Safety
/// The contract of `cpg_dispatch`, except that the stack is checked.
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

/// Calls `cpg_model_initialize`.
///
/// # Safety
/// The contract of `cpg_model_initialize`, except that the stack is checked.
pub(super) unsafe fn model_initialize(
    _left: StackLeft<CONNECT>,
    handle: *mut sys::cpg_handle_t,
    model: *mut sys::cpg_model_v1_data_t,
    context: *mut c_void,
) -> sys::cs_error_t {
    // SAFETY: the stack is there, and the rest is the caller's promise.
    unsafe { sys::cpg_model_initialize(handle, sys::CPG_MODEL_V1, model.cast(), context) }
}

/// Calls `cpg_finalize`.
///
/// # Safety
/// The contract of `cpg_finalize`, except that the stack is checked.
pub(super) unsafe fn finalize(_left: StackLeft<FINALIZE>, handle: sys::cpg_handle_t) -> sys::cs_error_t {
    // SAFETY: the stack is there, and the rest is the caller's promise.
    unsafe { sys::cpg_finalize(handle) }
}

/// Calls `cpg_membership_get`.
///
/// # Safety
/// The contract of `cpg_membership_get`, except that the stack is checked.
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

/// Calls `cpg_zcb_alloc`.
///
/// # Safety
/// The contract of `cpg_zcb_alloc`, except that the stack is checked.
pub(super) unsafe fn zcb_alloc(
    _left: StackLeft<ZCB_ALLOC>,
    handle: sys::cpg_handle_t,
    len: usize,
    buffer: *mut *mut c_void,
) -> sys::cs_error_t {
    // SAFETY: the stack is there, and the rest is the caller's promise.
    unsafe { sys::cpg_zcb_alloc(handle, len, buffer) }
}
